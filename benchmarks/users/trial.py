"""One trial: users arrive, settle, and are measured by their CPU and by what the server saw.

start ──► ramp ──► settle ──► CPU clock, /observed ──► measure ──► CPU clock, /observed, memory ──► stop
"""

import os
import tempfile
import time
from pathlib import Path

import attrs

from benchmarks.contenders import ROOT
from benchmarks.jobs.deployment import Deployment
from benchmarks.jobs.services import BATCHED, find_services
from benchmarks.process import CLIENT_CORE, SERVER_CORE, Child
from benchmarks.users.generators import Generator
from benchmarks.users.observed import ask
from tests.clients.launch import ClientLoad, variables

_KEPT = ("PATH", "HOME", "LANG", "TMPDIR")
_SPARE_SECONDS = 5.0  # that a generator runs on after it was measured, unless it is stopped before
_STOP_SECONDS = 10.0


class GeneratorError(Exception):
    """A load generator crashed or made no request; the text says what it printed."""


@attrs.frozen
class Schedule:
    """When a trial is measured.

    Attributes:
        settle_seconds: Between the arrival of the last user and the measurement.
        measure_seconds: Length of the measurement.
    """

    settle_seconds: float = 3.0
    measure_seconds: float = 6.0

    def seconds(self, load: ClientLoad) -> float:
        """Return how long the generator is told to run."""
        return load.ramp_seconds + self.settle_seconds + self.measure_seconds + _SPARE_SECONDS


@attrs.frozen
class Sample:
    """One trial.

    Attributes:
        users: Users.
        rate: Requests a second that the server received.
        cpu_us: CPU µs a request, user and system, of all the generator's processes.
        busy: CPU over wall time: 1.0 is a full core.
        rss_mb: Resident memory of the generator's processes, at the end of the measurement.
        late_percent: Polls that came 100 ms or more after they were due, in a hundred.
        gap_p99_ms: Milliseconds between two polls of a job that 99 % of the polls do not exceed.
        failures: Answers of the server other than 2xx.
    """

    users: int
    rate: float
    cpu_us: float
    busy: float
    rss_mb: float
    late_percent: float
    gap_p99_ms: float
    failures: int


def fast_server() -> Deployment:
    """Return the server that all generators load, not yet started: it shares a core with its Redis.

    Raises:
        Unavailable: Its toolchain is not installed.
    """
    (service,) = find_services([BATCHED])
    settings = {"OBSERVE": "1", "WORKER_CONCURRENCY": "100000"}  # sleeping jobs occupy a place each
    return Deployment(service, settings, core=SERVER_CORE)


def run_trial(generator: Generator, load: ClientLoad, schedule: Schedule) -> Sample:
    """Let a generator load a fresh server, and measure it.

    Args:
        generator: Which one.
        load: What its users do; `seconds` is replaced by what the schedule needs.
        schedule: When it is measured.

    Raises:
        Unavailable: The generator or the server is not installed.
        ServiceError: The server crashed.
        GeneratorError: The generator crashed, or made no request.
    """
    load = attrs.evolve(load, seconds=schedule.seconds(load))
    with fast_server() as server, tempfile.TemporaryDirectory(prefix="bench-users-") as folder:
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environment |= {"PYTHONPATH": str(ROOT)} | variables(server.url, load)
        output = Path(folder) / "stdout"
        child = Child(
            generator.command(server.url, load),
            core=CLIENT_CORE,
            env=environment,
            output=output,
            log=Path(folder) / "stderr",
            cwd=Path(folder),
        )
        try:
            return measure(child, server, load, schedule)
        except GeneratorError as error:
            raise GeneratorError(f"{generator.name} {error}: {output.read_text()[-1000:]}") from None
        finally:
            child.stop(timeout=_STOP_SECONDS)


def measure(child: Child, server: Deployment, load: ClientLoad, schedule: Schedule) -> Sample:
    """Measure a generator that has just been started.

    Raises:
        ServiceError: The server crashed.
        GeneratorError: The generator ended, or made no request.
    """
    _sleep(child, load.ramp_seconds + schedule.settle_seconds)
    before, cpu_before, began = ask(server.url), child.tree_cpu_seconds(), time.perf_counter()
    _sleep(child, schedule.measure_seconds)
    after, cpu_after, ended = ask(server.url), child.tree_cpu_seconds(), time.perf_counter()
    seen = after.since(before)
    if seen.requests <= 1:  # the harness's own question
        raise GeneratorError(f"made no request: {child.stderr_tail()}")
    server.cpu_seconds()  # raises when it has crashed
    return Sample(
        users=load.users,
        rate=seen.requests / (ended - began),
        cpu_us=(cpu_after - cpu_before) / seen.requests * 1e6,
        busy=(cpu_after - cpu_before) / (ended - began),
        rss_mb=child.tree_rss_mb(),
        late_percent=100 * seen.late_share(load.poll_seconds),
        gap_p99_ms=seen.gap_ms(0.99),
        failures=seen.failures,
    )


def _sleep(child: Child, seconds: float) -> None:
    """Wait while the generator works."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not child.running:
            raise GeneratorError(f"has ended: {child.stderr_tail()}")
        time.sleep(0.1)
