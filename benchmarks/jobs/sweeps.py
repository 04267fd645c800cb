"""Is a request as cheap at every size? One size varies, everything else is equal.

A figure at a size is compared with the same figure at the first size, measured right before it: a ratio
within a round. A size is flat when the median of its ratios is within 15 % of 1.

    stored    so many finished jobs are in Redis
    clients   the submissions come from so many clients
    waiting   so many jobs wait: what the API does with a request, and what a worker does with a job
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import attrs

from benchmarks.jobs.cache import measure_cache
from benchmarks.jobs.deployment import Deployment, ServiceError
from benchmarks.jobs.filling import CONNECTIONS, submit_jobs, wait_until_finished
from benchmarks.jobs.load import Mix
from benchmarks.jobs.memory import measure_memory
from benchmarks.jobs.services import OURS, JobService, find_services
from benchmarks.jobs.sweep_report import Measured, Sweep, write_sweep
from benchmarks.jobs.trial import run_trial, warm_up
from benchmarks.output import RunInfo, report_progress

STORED = (0, 10_000, 100_000, 1_000_000)
CLIENTS = (10, 1_000, 100_000)
WAITING = (20_000, 100_000, 1_000_000)
_WORKED_OFF = 10_000  # jobs that a worker is measured over
_PATIENCE_SECONDS = 1800.0
_SETTINGS = {"JOB_TTL_SECONDS": "86400", "MAX_QUEUE_LENGTH": "10000000"}


def sweep_stored(options: argparse.Namespace) -> str:
    """Vary the number of finished jobs that are stored; return the report."""
    service, mix = chosen_service(options), chosen_mix(options)
    measured = Measured()
    with base_and_varied(service, options) as (base, varied):
        stored = 0
        for size in sizes(STORED, options)[1:]:
            submit_jobs(varied, size - stored, mix)
            wait_until_finished(varied, _PATIENCE_SECONDS)
            stored = size
            for _ in range(options.rounds):
                base.restart_service(empty=True)
                costs = [request_cost(each, mix, options.seconds) for each in (base, varied)]
                measured.add("CPU µs a request", size, *costs)
    sweep = Sweep("stored", "Stored jobs", "finished jobs in Redis", STORED[0], measured)
    return write_sweep(sweep, RunInfo.now(options.rounds), options.results)


def sweep_clients(options: argparse.Namespace) -> str:
    """Vary the number of clients; return the report."""
    service, mix = chosen_service(options), chosen_mix(options)
    measured = Measured()
    with Deployment(service, _SETTINGS | options.settings) as deployment:
        for size in sizes(CLIENTS, options)[1:]:
            for _ in range(options.rounds):
                mixes = [attrs.evolve(mix, clients=count) for count in (CLIENTS[0], size)]
                costs = [request_cost(deployment, each, options.seconds) for each in mixes]
                measured.add("CPU µs a request", size, *costs)
    sweep = Sweep("clients", "Clients", "clients", CLIENTS[0], measured)
    return write_sweep(sweep, RunInfo.now(options.rounds), options.results)


def sweep_waiting(options: argparse.Namespace) -> str:
    """Vary the number of waiting jobs; return the report.

    Nobody works on them while the API is measured, and nobody asks the API while a worker is.
    """
    service, mix = chosen_service(options), chosen_mix(options)
    measured = Measured()
    api, worker = {"ROLES": "api"}, {"ROLES": "worker"}
    with base_and_varied(service, options) as (base, varied):
        varied.restart_service(api)
        for size in sizes(WAITING, options)[1:]:
            submit_jobs(varied, size - varied.unfinished(), mix)
            for _ in range(options.rounds):
                base.restart_service(api, empty=True)
                submit_jobs(base, WAITING[0], mix)
                both = (base, varied)
                costs = [request_cost(each, mix, options.seconds, finish=False) for each in both]
                measured.add("API: CPU µs a request", size, *costs)
                job_costs = []
                for each in both:
                    each.restart_service(worker)
                    job_costs.append(job_cost(each))
                    each.restart_service(api)
                measured.add("worker: CPU µs a job", size, *job_costs)
    sweep = Sweep("waiting", "Waiting jobs", "jobs waiting", WAITING[0], measured)
    return write_sweep(sweep, RunInfo.now(options.rounds), options.results)


def request_cost(deployment: Deployment, mix: Mix, seconds: float, *, finish: bool = True) -> float:
    """Return CPU µs a request of a service, which is warmed up before.

    Raises:
        ServiceError: It refused a request.
    """
    warm = warm_up(deployment, mix, CONNECTIONS, finish=finish)
    sample = run_trial(deployment, warm, connections=CONNECTIONS, seconds=seconds, finish=finish)
    if sample.not_2xx:
        raise ServiceError(f"{sample.not_2xx:,} of {sample.requests:,} requests were refused")
    report_progress(f"{sample.cpu_us:6.1f} µs CPU a request, {sample.rate:7,.0f} requests/s")
    return sample.cpu_us


def job_cost(deployment: Deployment) -> float:
    """Return CPU µs a job of a service that works off what waits, over `_WORKED_OFF` jobs.

    Raises:
        ServiceError: It stands still.
    """
    start = deployment.unfinished()
    deadline = time.monotonic() + _PATIENCE_SECONDS

    def wait_for(done: int) -> tuple[int, float]:
        while (left := deployment.unfinished()) > start - done:
            if time.monotonic() > deadline:
                raise ServiceError(f"no progress with {left:,} jobs waiting")
            time.sleep(0.005)
        return left, deployment.cpu_seconds()

    (left_before, cpu_before), (left_after, cpu_after) = wait_for(_WORKED_OFF // 10), wait_for(_WORKED_OFF)
    cost = (cpu_after - cpu_before) / (left_before - left_after) * 1e6
    report_progress(f"{cost:6.1f} µs CPU a job, {left_after:,} jobs waiting")
    return cost


@contextmanager
def base_and_varied(
    service: JobService, options: argparse.Namespace
) -> Iterator[tuple[Deployment, Deployment]]:
    """Run the service twice, each with a Redis of its own: one stays small, one grows."""
    settings = _SETTINGS | options.settings
    with Deployment(service, settings) as base, Deployment(service, settings) as varied:
        yield base, varied


def chosen_service(options: argparse.Namespace) -> JobService:
    """Return the one service of ``--only``, or ours."""
    return find_services(options.only or [OURS])[0]


def chosen_mix(options: argparse.Namespace) -> Mix:
    """Return the requests that the command line asks for."""
    return Mix(submit=options.submit, clients=options.clients, ordered=not options.unordered)


def sizes(all_sizes: tuple[int, ...], options: argparse.Namespace) -> list[int]:
    """Return the first size, and those of the others that ``--most`` allows."""
    return [all_sizes[0], *(size for size in all_sizes[1:] if size <= options.most)]


SWEEPS: dict[str, Callable[[argparse.Namespace], str]] = {
    "stored": sweep_stored,
    "clients": sweep_clients,
    "waiting": sweep_waiting,
    "memory": lambda options: measure_memory(chosen_service(options), options),
    "cache": lambda options: measure_cache(chosen_service(options), options),
}
