"""Fills a job service with jobs through its API, and waits until they have ended."""

import time

import attrs

from benchmarks.jobs.deployment import Deployment, ServiceError
from benchmarks.jobs.load import Mix, run_wrk
from benchmarks.output import report_progress

CONNECTIONS = 64
_SLOWEST_RATE = 500.0  # submissions a second
_LEAST_SECONDS = 30.0
_LOOK_SECONDS = 0.25


def submit_jobs(deployment: Deployment, count: int, mix: Mix) -> None:
    """Submit so many jobs, over as many client ids as the mix has.

    Args:
        deployment: The running service.
        count: How many; a few more are submitted, those under way when the count is reached.
        mix: What jobs; its shares and its limit are replaced.

    Raises:
        ServiceError: The service accepted fewer.
    """
    if count <= 0:
        return
    started = time.monotonic()
    load = run_wrk(
        deployment.url,
        attrs.evolve(mix, submit=100, limit=count),
        connections=CONNECTIONS,
        seconds=_LEAST_SECONDS + count / _SLOWEST_RATE,
    )
    if load.submitted < count:
        raise ServiceError(
            f"{load.submitted:,} of {count:,} jobs accepted, {load.not_2xx:,} requests refused"
        )
    seconds = time.monotonic() - started
    report_progress(f"submitted {load.submitted:,} jobs in {seconds:.0f} s")


def wait_until_finished(deployment: Deployment, seconds: float) -> None:
    """Wait until every accepted job has ended.

    Raises:
        ServiceError: They did not end in `seconds`.
    """
    deadline = time.monotonic() + seconds
    while (left := deployment.unfinished()) > 0:
        if time.monotonic() > deadline:
            raise ServiceError(f"{left:,} jobs have not ended after {seconds:g} s")
        time.sleep(_LOOK_SECONDS)
