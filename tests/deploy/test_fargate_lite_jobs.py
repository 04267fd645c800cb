"""The job service's API task as Fargate would run it (tests/support/fargate.py): ready, at work, drained."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from loadtest_trio.backends.embedded.ports import LOOPBACK, free_ports
from tests.support.aws_deployment import CLUSTER, JobDeployment
from tests.support.fargate import FargateTask
from tests.support.podman import assert_confined
from tests.support.rig import wait_until

pytestmark = pytest.mark.deploy_slow

LONG_RESULT = 20_000  # its factorial has 77,338 digits: it goes to S3
SLEEP_SECONDS = 8


@pytest.fixture
def task(deployed_jobs: str, jobs: JobDeployment, run_task: Callable[..., FargateTask]) -> FargateTask:
    """The API's task, with a Redis that has a replica."""
    health, api = free_ports(2)
    local = {"HEALTH_PORT": str(health), "API_PORT": str(api), "API_HOST": LOOPBACK}
    return run_task(jobs.client, f"{CLUSTER}-api", replicas=1, **local)


@pytest.fixture
def api(task: FargateTask) -> Iterator[httpx.Client]:
    """A client with the token from Secrets Manager, once the task passes the load balancer's check."""
    given = task.container.environment
    headers = {"Authorization": f"Bearer {given['API_TOKEN']}", "X-Client-Id": "proof"}
    address = f"http://{LOOPBACK}:{given['API_PORT']}"
    with httpx.Client(base_url=address, headers=headers, timeout=30) as client:
        seconds = task.definition["healthCheck"]["startPeriod"]
        wait_until(lambda: readiness(client) == 200, seconds, lambda: task.container.output[-3000:])
        yield client


def readiness(client: httpx.Client) -> int:
    """Return the status of the load balancer's check; 0 while nothing listens."""
    try:
        return client.get("/api/jobs/health").status_code
    except httpx.TransportError:
        return 0


def submit(client: httpx.Client, kind: str, **payload: int) -> str:
    """Submit a job that is accepted and return its id."""
    body = {"type": kind, "payload": payload, "ordered": False}
    answer = client.post("/api/jobs", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def ended(client: httpx.Client, job: str) -> dict[str, Any]:
    """Return a job when it has ended, by long polls."""
    while (view := client.get(f"/api/jobs/{job}", params={"wait": 20}).json())["status"] != "COMPLETED":
        assert view["status"] in ("PENDING", "RUNNING"), view
    return dict(view)


def test_api_task_serves_jobs_and_drains(task: FargateTask, api: httpx.Client) -> None:
    """Within its limits: ready, jobs done with results in Redis and S3; after SIGTERM nothing is cut off."""
    container = task.container
    assert task.check() == 0
    assert_confined(container)
    assert_limited(task)
    assert httpx.post(api.base_url.join("/api/jobs"), json={}).status_code == 401
    short, long = submit(api, "factorial", n=20), submit(api, "factorial", n=LONG_RESULT)
    assert (ended(api, short), api.get(f"/api/jobs/{short}/result").text)[1] == "2432902008176640000"
    assert (ended(api, long), len(api.get(f"/api/jobs/{long}/result").text))[1] == 77_338
    assert task.endpoints.fetches, "S3 was used with the task role's credentials"
    drain(task, api)
    stopped = container.lines[-1]
    assert stopped["event"] == "service_stopped"
    ledger = stopped["ledger"]
    assert (ledger["created"], ledger["processed"], ledger["queued"]) == (4, 3, 1), "one is left for others"
    assert (ledger["in_flight"], ledger["difference"]) == (0, 0)
    assert (stopped["errors"], stopped["messages_failed"]) == (0, 0)


def drain(task: FargateTask, api: httpx.Client) -> None:
    """SIGTERM: not ready at once, still taking work, a long poll answered, and out before SIGKILL with 0."""
    sleeping = submit(api, "sleep", ms=SLEEP_SECONDS * 1000)
    with ThreadPoolExecutor(2) as threads:
        polled = threads.submit(ended, api, sleeping)
        time.sleep(1)
        stopping = threads.submit(task.container.stop)
        wait_until(lambda: readiness(api) == 503, 4, lambda: f"readiness is {readiness(api)}")
        submit(api, "factorial", n=5)
        assert polled.result()["status"] == "COMPLETED"
        code, seconds = stopping.result()
    assert code == 0
    assert seconds < task.definition["stopTimeout"]


def assert_limited(task: FargateTask) -> None:
    """The container's control group has the CPU and memory of the definition, and no more."""
    files = "/sys/fs/cgroup/cpu.max /sys/fs/cgroup/memory.max"
    older = "/sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/memory/memory.limit_in_bytes"
    script = f"cat {files} 2>/dev/null || cat {older}"
    quota, memory = task.container.execute("sh", "-c", script).stdout.splitlines()
    assert quota.split()[0] == "100000", "of periods of 100 ms: one CPU"
    assert int(memory) == 2048 * 1024 * 1024
