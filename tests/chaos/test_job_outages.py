"""Redis killed, stopped, paused and failed over under a job service at work; a job that kills its worker."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import redis

from loadtest_trio.backends.embedded import RedisServer, S3Server
from tests.chaos.job_trials import SETTINGS
from tests.support.redis_pair import Pair, open_pair
from tests.support.rig import BUCKET, start_redis, wait_until
from tests.support.service_process import ServiceProcess

OUTAGE_SECONDS = 3.0
AT_ONCE_SECONDS = 1.0
PAUSED_SECONDS = 15.0  # a Redis that takes packets and says nothing is noticed by a timeout, twice
WAIT_SECONDS = 3.0  # Redis' WAIT for a replica takes one
PAUSE_SECONDS = 0.005  # between two submissions
HEADERS = {"X-Client-Id": "c"}


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis to kill, that keeps what it has acknowledged."""
    with start_redis(tmp_path, appendfsync="always") as server:
        yield server


class Service:
    """The job service as a client sees it."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=30)
        self.accepted: list[str] = []

    def submit(self, ms: int = 20) -> httpx.Response:
        """Submit a job and remember it if it is accepted."""
        body = {"type": "sleep", "payload": {"ms": ms}, "ordered": False}
        answer = self._client.post("/api/jobs", json=body, headers=HEADERS)
        if answer.status_code == 202:
            self.accepted.append(answer.json()["id"])
        return answer

    def statuses(self) -> set[str]:
        """Return how the accepted jobs stand."""
        found = [self._client.get(f"/api/jobs/{each}") for each in self.accepted]
        return {each.json()["status"] for each in found if each.status_code == 200}

    def status(self, job_id: str) -> str:
        """Return how a job stands; "" for one that is unknown or cannot be told."""
        answer = self._client.get(f"/api/jobs/{job_id}")
        return str(answer.json()["status"]) if answer.status_code == 200 else ""

    @contextmanager
    def submissions(self) -> Iterator[None]:
        """Submit one job after the other, from a thread, for the length of the block."""
        over = threading.Event()

        def submit() -> None:
            while not over.wait(PAUSE_SECONDS):
                self.submit()

        thread = threading.Thread(target=submit)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def ready(self) -> bool:
        """Return whether it may be sent requests."""
        return self._client.get("/api/jobs/health").status_code == 200


@pytest.mark.parametrize("fault", ["kill", "stop", "pause"])
def test_accepted_jobs_survive_an_outage_of_redis(
    own_redis: RedisServer, s3_server: S3Server, fault: str
) -> None:
    """Submissions answer 503 with Retry-After meanwhile; afterwards every job that was accepted ends well."""
    environ = {
        "REDIS_ENDPOINT": own_redis.url,
        "S3_BUCKET": BUCKET,
        "API_PORT": "0",
        **s3_server.environment(),
    }
    with ServiceProcess("jobs", environ={**SETTINGS, **environ}) as process:
        service = Service(process.wait_for("service_started")["api"])
        for _ in range(60):
            assert service.submit().status_code == 202
        getattr(own_redis, fault)()
        began = time.monotonic()
        while time.monotonic() - began < OUTAGE_SECONDS:
            asked = time.monotonic()
            refused = service.submit()
            longest = PAUSED_SECONDS if fault == "pause" else AT_ONCE_SECONDS
            assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
            assert time.monotonic() - asked < longest
        assert not service.ready()
        own_redis.resume() if fault == "pause" else own_redis.restart()
        wait_until(service.ready, 20, lambda: "not ready again")
        for _ in range(10):  # the first may still meet a connection of the server that is gone
            wait_until(lambda: service.submit().status_code == 202, 20, lambda: "submissions are refused")
        wait_until(lambda: service.statuses() == {"COMPLETED"}, 30, lambda: f"{service.statuses()}")
        assert len(service.accepted) == 70


@contextmanager
def replicated(tmp_path: Path, s3_server: S3Server) -> Iterator[tuple[Pair, ServiceProcess, Service]]:
    """Run the job service with JOB_WAIT_REPLICAS=1 on a Redis with a replica in step."""
    with open_pair(tmp_path) as pair:
        pair.wait_for_replication()
        environ = {"REDIS_ENDPOINT": pair.url, "S3_BUCKET": BUCKET, **s3_server.environment()}
        more = {"API_PORT": "0", "JOB_WAIT_REPLICAS": "1"}
        with ServiceProcess("jobs", environ={**SETTINGS, **environ, **more}) as process:
            yield pair, process, Service(process.wait_for("service_started")["api"])


@pytest.mark.parametrize("killed", [False, True], ids=["planned", "killed"])
def test_jobs_accepted_by_replicas_survive_a_failover_under_load(
    tmp_path: Path, s3_server: S3Server, killed: bool
) -> None:
    """With JOB_WAIT_REPLICAS no job that was answered 202 is lost, although submissions never pause."""
    with replicated(tmp_path, s3_server) as (pair, process, service):
        with service.submissions():
            accept_more(service, 100)
            _fail_over(pair, killed)
            process.wait_for("backend_unavailable")
            process.wait_for("backend_recovered")
            accept_more(service, 100)
        left = set(service.accepted)

        def ended() -> bool:
            left.difference_update([each for each in left if service.status(each) == "COMPLETED"])
            return not left

        wait_until(ended, 30, lambda: f"{len(left)} of {len(service.accepted)} jobs are lost or unfinished")


def test_absent_replica_refuses_submissions_and_nothing_else(tmp_path: Path, s3_server: S3Server) -> None:
    """With JOB_WAIT_REPLICAS and no replica: 503 with Retry-After; jobs are done, the task stays ready."""
    with replicated(tmp_path, s3_server) as (pair, _, service):
        for _ in range(20):
            assert service.submit(ms=500).status_code == 202
        pair.b.kill()
        for _ in range(2):
            asked = time.monotonic()
            refused = service.submit()
            assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
            assert time.monotonic() - asked < WAIT_SECONDS
            assert service.ready()
        wait_until(lambda: service.statuses() == {"COMPLETED"}, 30, lambda: f"{service.statuses()}")
        pair.b.restart()
        wait_until(lambda: service.submit().status_code == 202, 20, lambda: "submissions are refused")
        wait_until(lambda: service.statuses() == {"COMPLETED"}, 30, lambda: f"{service.statuses()}")


def _fail_over(pair: Pair, killed: bool) -> None:
    """Let B take over; A follows it, after a restart if it is killed."""
    if killed:
        pair.a.kill()
        pair.promote()
        pair.a.restart()
        pair.follow()
    else:
        pair.fail_over()


def accept_more(service: Service, count: int) -> None:
    """Wait until so many more jobs have been accepted."""
    wanted = len(service.accepted) + count
    wait_until(lambda: len(service.accepted) >= wanted, 30, lambda: f"{len(service.accepted)} of {wanted}")


def test_job_that_kills_its_worker_is_archived_as_dead(own_redis: RedisServer, s3_server: S3Server) -> None:
    """The reaper that buries it has it archived: it can be read when its record has expired."""
    environ = {
        "REDIS_ENDPOINT": own_redis.url,
        "S3_BUCKET": BUCKET,
        "API_PORT": "0",
        "MAX_DELIVERIES": "1",
        "JOB_ARCHIVE": "s3",
        "JOB_TTL_SECONDS": "1",
        **s3_server.environment(),
    }
    with ServiceProcess("jobs", environ={**SETTINGS, **environ}) as process:
        service = Service(process.wait_for("service_started")["api"])
        assert service.submit(ms=30_000).status_code == 202
        (job,) = service.accepted
        wait_until(lambda: service.status(job) == "RUNNING", 10, lambda: service.status(job))
        process.process.kill()
    with ServiceProcess("jobs", environ={**SETTINGS, **environ}) as process:
        service = Service(process.wait_for("service_started")["api"])
        wait_until(lambda: service.status(job) == "DEAD_LETTER", 20, lambda: service.status(job))
        with redis.Redis.from_url(own_redis.url) as client:
            record = f"{{{SETTINGS['QUEUE_NAME']}}}:job:{job}"
            wait_until(lambda: not client.exists(record), 10, lambda: "the record does not expire")
        wait_until(lambda: service.status(job) == "DEAD_LETTER", 10, lambda: "it is not in the archive")
