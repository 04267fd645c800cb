"""All job services in turn, round after round."""

import argparse
import subprocess
from collections.abc import Mapping

from benchmarks.jobs.deployment import Deployment, ServiceError
from benchmarks.jobs.load import LoadError, Mix
from benchmarks.jobs.report import CONNECTIONS, Comparison, Round
from benchmarks.jobs.services import OURS, JobService, find_services, peer_program
from benchmarks.jobs.trial import Sample, run_trial, warm_up
from benchmarks.output import RunInfo, complain, report_progress
from benchmarks.process import Unavailable

_PACKAGES = ("arq", "fastapi", "httptools", "pydantic", "redis", "starlette", "uvicorn", "uvloop")


def compare(options: argparse.Namespace) -> tuple[Comparison, bool]:
    """Measure every service once in each round.

    Args:
        options: From the command line: rounds, seconds, only, submit, clients, unordered, settings.

    Returns:
        The comparison, and whether a service that can run here has failed.
    """
    mix = Mix(submit=options.submit, clients=options.clients, ordered=not options.unordered)
    rounds: list[Round] = []
    left_out: dict[str, str] = {}
    failed = False
    for number in range(options.rounds):
        rounds.append({})
        for service in find_services(options.only):
            if service.name in left_out:
                continue
            try:
                settings = options.settings if service.name == OURS else {}
                samples = measure(service, mix, options.seconds, settings)
            except (Unavailable, ServiceError, LoadError) as reason:
                failed = failed or not isinstance(reason, Unavailable)
                left_out[service.name] = str(reason)
                complain(f"round {number + 1}  {service.name}: left out: {reason}")
                continue
            for connections, sample in samples.items():
                rounds[-1][service.name, connections] = sample
                report_progress(f"round {number + 1}  {describe(service.name, connections, sample)}")
    info = RunInfo.now(options.rounds)
    return Comparison(info, options.seconds, options.submit, rounds, left_out, peer_versions()), failed


def measure(service: JobService, mix: Mix, seconds: float, settings: Mapping[str, str]) -> dict[int, Sample]:
    """Start one service, and load it with each number of connections.

    Raises:
        Unavailable: It, or wrk, or Redis, is not installed.
        ServiceError: It crashed, or did not finish its jobs.
        LoadError: wrk failed.
    """
    samples = {}
    with Deployment(service, settings) as deployment:
        for connections in CONNECTIONS:
            warm = warm_up(deployment, mix, connections)
            samples[connections] = run_trial(deployment, warm, connections=connections, seconds=seconds)
    return samples


def describe(name: str, connections: int, sample: Sample) -> str:
    """Return a sample as one line of progress."""
    return (
        f"{name:12} {connections:4} connections  {sample.rate:7,.0f} requests/s  "
        f"p95 {sample.p95_ms:6.1f} ms  {sample.cpu_us:6.1f} µs CPU a request  {sample.not_2xx} not 2xx  "
        f"({sample.busy:.0%} busy, {sample.behind_seconds:.1f} s behind)"
    )


def peer_versions() -> dict[str, str]:
    """Return the versions of the Python peers' packages, as far as they are installed."""
    script = "import importlib.metadata as m, sys; [print(n, m.version(n)) for n in sys.argv[1:]]"
    try:
        command = [peer_program("python"), "-c", script, *_PACKAGES]
    except Unavailable:
        return {}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return dict(line.split() for line in done.stdout.splitlines())
