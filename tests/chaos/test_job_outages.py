"""Redis killed, stopped and paused under a job service at work."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from loadtest_trio.backends.embedded import RedisServer, S3Server
from tests.chaos.job_trials import SETTINGS
from tests.support.rig import BUCKET, start_redis, wait_until
from tests.support.service_process import ServiceProcess

OUTAGE_SECONDS = 3.0
AT_ONCE_SECONDS = 1.0
PAUSED_SECONDS = 15.0  # a Redis that takes packets and says nothing is noticed by a timeout, twice
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

    def submit(self) -> httpx.Response:
        """Submit a job and remember it if it is accepted."""
        body = {"type": "sleep", "payload": {"ms": 20}, "ordered": False}
        answer = self._client.post("/api/jobs", json=body, headers=HEADERS)
        if answer.status_code == 202:
            self.accepted.append(answer.json()["id"])
        return answer

    def statuses(self) -> set[str]:
        """Return how the accepted jobs stand."""
        found = [self._client.get(f"/api/jobs/{each}") for each in self.accepted]
        return {each.json()["status"] for each in found if each.status_code == 200}

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
