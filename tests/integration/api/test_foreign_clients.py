"""Locust and k6 playing brief 001's client against the running job service, behind each of its servers."""

import http.client
import json
import signal
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import pytest

from tests.clients.launch import K6, LOCUST, ClientLoad, run_client
from tests.support.service_process import ServiceProcess

BRIEF = ClientLoad(users=10, spawn_rate=10, seconds=3)
ONE_HASTY_USER = ClientLoad(users=1, spawn_rate=1, seconds=4, poll_seconds=0.2)


@contextmanager
def serving(backends: Mapping[str, str], **settings: str) -> Iterator[str]:
    """Run the job service as its users do; yields its address, and sees that it stops well."""
    environ = {**backends, "API_PORT": "0", "HEALTH_PORT": "0", **settings}
    with ServiceProcess("jobs", environ=environ) as service:
        yield str(service.wait_for("service_started")["api"])
        service.signal(signal.SIGTERM)
        assert service.wait() == 0
        assert not [line for line in service.lines if line["level"] == "ERROR"]


def statistics(url: str) -> dict[str, Any]:
    """Return what the service counts."""
    with closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)) as connection:
        connection.request("GET", "/api/jobs/stats")
        found: dict[str, Any] = json.load(connection.getresponse())
        return found


@pytest.fixture
def backends(redis_url: str, s3_environment: dict[str, str], bucket: str) -> dict[str, str]:
    """The variables with which the service finds its backends."""
    return {"REDIS_ENDPOINT": redis_url, "S3_BUCKET": bucket, **s3_environment}


@pytest.mark.parametrize("client", [LOCUST, K6])
@pytest.mark.parametrize("server", ["lean", "hypercorn"])
def test_every_job_of_a_foreign_client_succeeds(client: str, server: str, backends: dict[str, str]) -> None:
    with serving(backends, API_SERVER=server, JOB_RATE_LIMIT_PER_MINUTE="0") as url:
        summary = run_client(client, url, BRIEF)
        counted = statistics(url)
    assert summary.failures == 0
    assert summary.jobs_submitted >= 3 * BRIEF.users
    # The client stops in the middle of a story: of each user, three jobs at most are still under way.
    assert 0 <= summary.jobs_submitted - summary.jobs_done <= 3 * BRIEF.users
    created = counted["queue"]["created"]
    assert summary.jobs_submitted <= created <= summary.jobs_submitted + BRIEF.users
    assert counted["byStatus"]["DEAD_LETTER"] == counted["byStatus"]["CANCELLED"] == 0
    assert summary.jobs_done <= counted["byStatus"]["COMPLETED"] <= created


@pytest.mark.parametrize("client", [LOCUST, K6])
def test_foreign_client_waits_as_long_as_the_rate_limit_says(client: str, backends: dict[str, str]) -> None:
    with serving(backends, JOB_RATE_LIMIT_PER_MINUTE="12") as url:
        summary = run_client(client, url, ONE_HASTY_USER)
    assert summary.failures == 0
    assert 12 <= summary.jobs_submitted <= 13
