"""The short form of scripts/job-trials."""

from pathlib import Path

from loadtest_trio.backends.embedded import S3Server
from tests.chaos.job_trials import try_out
from tests.support.rig import start_redis


def test_accepted_jobs_survive_kills_of_api_worker_and_compute_processes(
    s3_server: S3Server, tmp_path: Path
) -> None:
    """Whatever was answered 202 ends once, and each client's jobs end in their order."""
    with start_redis(tmp_path) as redis:
        outcome = try_out(redis, s3_server, jobs=1000, kills=8, seed=5)
    assert outcome.problems == []
    assert outcome.completed == outcome.accepted == 1000
    assert sum(outcome.kills.values()) >= 8
