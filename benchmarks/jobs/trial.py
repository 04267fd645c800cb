"""One trial: load a running service, let it finish its jobs, and divide its CPU by what it answered.

    warm up ──► CPU clock ──► wrk for some seconds ──► the last jobs have ended ──► CPU clock

The jobs that the load submitted are all computed before the second reading, so a service gains nothing by
leaving them behind; throughput and response times are wrk's own and end with the load.
"""

import time

import attrs

from benchmarks.jobs.deployment import Deployment, ServiceError
from benchmarks.jobs.load import Mix, run_wrk

_DRAIN_SECONDS = 120.0
_WARM_UP_SECONDS = 1.0


@attrs.frozen
class Sample:
    """One trial.

    Attributes:
        requests: Answered requests.
        rate: Requests a second.
        p50_ms: Median response time.
        p95_ms: The same for all but five in a hundred.
        p99_ms: The same for all but one in a hundred.
        cpu_us: CPU µs a request, user and system, of all the service's processes, jobs included. What wrk did
            not wait for at its end counts as a request, for the service worked on it.
        cpu_us_job: The same CPU over the jobs: what a job costs with all its polls.
        not_2xx: Answers that were none of 200 to 299, and socket errors.
        busy: CPU over wall time while the load lasted: 1.0 is a full core.
        behind_seconds: How long the service still worked on jobs after the load.
        rss_mb: Resident memory of the service's processes after the load.
    """

    requests: int
    rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    cpu_us: float
    cpu_us_job: float
    not_2xx: int
    busy: float
    behind_seconds: float
    rss_mb: float


def warm_up(deployment: Deployment, mix: Mix, connections: int, *, finish: bool = True) -> Mix:
    """Let a service import, compile and connect what it will need.

    Returns:
        The same mix, with jobs to ask for from the first request on.
    """
    load = run_wrk(deployment.url, mix, connections=connections, seconds=_WARM_UP_SECONDS)
    if finish:
        deployment.wait_for_jobs(load.last_ids, _DRAIN_SECONDS)
    return attrs.evolve(mix, known_ids=load.last_ids)


def run_trial(
    deployment: Deployment, mix: Mix, *, connections: int, seconds: float, finish: bool = True
) -> Sample:
    """Load a warm service once.

    Args:
        deployment: The running service.
        mix: What is requested.
        connections: Of wrk.
        seconds: How long the load lasts.
        finish: Whether to wait until the submitted jobs have ended; not where nobody computes them.

    Raises:
        Unavailable: wrk is not installed.
        LoadError: wrk failed.
        ServiceError: The service crashed, or did not finish its jobs.
    """
    cpu_before, began = deployment.cpu_seconds(), time.perf_counter()
    load = run_wrk(deployment.url, mix, connections=connections, seconds=seconds)
    cpu_loaded, ended = deployment.cpu_seconds(), time.perf_counter()
    if not load.submitted:
        raise ServiceError(f"{deployment.service.name} accepted none of {load.requests} requests")
    behind = deployment.wait_for_jobs(load.last_ids, _DRAIN_SECONDS) if finish else 0.0
    used = deployment.cpu_seconds() - cpu_before
    return Sample(
        requests=load.requests,
        rate=load.requests / load.seconds,
        p50_ms=load.p50_ms,
        p95_ms=load.p95_ms,
        p99_ms=load.p99_ms,
        cpu_us=used / load.sent * 1e6,
        cpu_us_job=used / load.sent * load.requests / load.submitted * 1e6,
        not_2xx=load.not_2xx + load.socket_errors,
        busy=(cpu_loaded - cpu_before) / (ended - began),
        behind_seconds=behind,
        rss_mb=deployment.rss_mb(),
    )
