"""Locust and k6 playing brief 001's client: what they count is what the service saw."""

import json
import subprocess

import pytest

from tests.clients.launch import K6, LOCUST, ClientLoad, run_client
from tests.support.job_api import JobApi, serve

BRIEF = ClientLoad(users=3, spawn_rate=6, seconds=3, poll_seconds=0.5)

both = pytest.mark.parametrize("client", [LOCUST, K6])


@both
def test_client_creates_three_jobs_and_polls_each_until_done(client: str) -> None:
    with serve(JobApi(polls_until_done=2)) as api:
        summary = run_client(client, api.url, BRIEF)
    assert summary.failures == 0
    # The client stops in the middle of a story, so the answer to its last requests may not count.
    assert 0 <= len(api.submissions) - summary.jobs_submitted <= BRIEF.users
    assert 0 < summary.jobs_done <= summary.jobs_submitted
    assert len({user for user, _ in api.submissions}) == BRIEF.users
    assert all(json.loads(body) == BRIEF.job for _, body in api.submissions)
    assert max(api.polls.values()) == 2
    assert summary.p95_ms > 0


@both
def test_refused_submission_is_waited_out_and_is_no_failure(client: str) -> None:
    with serve(JobApi(refused_first=4)) as api:
        summary = run_client(client, api.url, BRIEF)
    assert summary.failures == 0
    assert summary.jobs_done > 0


@both
def test_job_that_does_not_succeed_is_a_failure(client: str) -> None:
    with serve(JobApi(final_status="dead")) as api:
        summary = run_client(client, api.url, BRIEF)
    assert summary.jobs_done == 0
    assert summary.failures > 0


@both
def test_service_that_is_not_there_is_a_failure(client: str) -> None:
    load = ClientLoad(users=1, spawn_rate=1, seconds=2)
    try:
        summary = run_client(client, "http://127.0.0.1:9", load)
    except subprocess.TimeoutExpired:  # pragma: no cover - it has to end by itself
        pytest.fail("the client did not end")
    assert summary.failures == summary.requests > 0
    assert summary.jobs_submitted == 0
