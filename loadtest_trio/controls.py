"""The controls that change the running service, and the values that metrics lines report."""

import signal
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import attrs

from loadtest_trio.scheduler import SchedulerService
from loadtest_trio.settings import MOST_WORKERS, SchedulerMode
from loadtest_trio.web.dashboard import Control
from loadtest_trio.worker import ConcurrencyLimiter, WorkerService

T = TypeVar("T", int, float)
_MAX_RATE = 1_000_000.0  # messages per second, so that a typing error does not fill Redis
_LIMITER_STARTS_AT_MOST = 64


def steered(scheduler: SchedulerService | None, worker: WorkerService | None) -> dict[str, Any]:
    """Return the current values of the controls, as fields of a metrics line.

    Args:
        scheduler: None in a process that does not schedule.
        worker: None in a process that does no work.
    """
    setpoint = scheduler.control.setpoint if scheduler else None
    in_rate_mode = setpoint is not None and setpoint.mode is SchedulerMode.RATE
    return {
        "scheduler_mode": setpoint.mode.value if setpoint else None,
        "rate_target": setpoint.rate if setpoint and in_rate_mode else None,
        "workers": worker.concurrency if worker else None,
    }


def service_controls(scheduler: SchedulerService | None, worker: WorkerService | None) -> Sequence[Control]:
    """Return the controls of a service; arguments as for `steered`."""
    controls = [*_scheduling(scheduler)] if scheduler else []
    if worker:
        controls.append(_workers(worker))
    question = "Stop the service? It finishes the work in hand and ends."
    stop = Control("stop", "Stop the service", "action", lambda _: _stop(), confirm=question)
    return [*controls, stop]


def _scheduling(scheduler: SchedulerService) -> Sequence[Control]:
    control = scheduler.control

    def set_mode(value: str) -> None:
        if value not in [*SchedulerMode]:
            raise ValueError(f"one of {', '.join(SchedulerMode)}")
        control.change(attrs.evolve(control.setpoint, mode=SchedulerMode(value)))

    def set_rate(value: str) -> None:
        rate = _number(value, float, f"a number above 0, and {_MAX_RATE:,.0f} at most")
        if not 0 < rate <= _MAX_RATE:
            raise ValueError(f"a number above 0, and {_MAX_RATE:,.0f} at most")
        control.change(attrs.evolve(control.setpoint, rate=rate, mode=SchedulerMode.RATE))

    def set_scheduling(value: str) -> None:
        if value not in ("running", "paused"):
            raise ValueError("running or paused")
        control.change(attrs.evolve(control.setpoint, paused=value == "paused"))

    modes = [mode.value for mode in SchedulerMode]
    return (
        Control("rate", "Rate, messages a second", "field", set_rate, lambda: f"{control.setpoint.rate:g}"),
        Control("mode", "Mode", "choice", set_mode, lambda: control.setpoint.mode.value, choices=modes),
        Control(
            "scheduler",
            "Scheduler",
            "choice",
            set_scheduling,
            lambda: "paused" if control.setpoint.paused else "running",
            choices=("running", "paused"),
        ),
    )


def _workers(worker: WorkerService) -> Control:
    allowed = f"a whole number from 1 to {MOST_WORKERS}, or auto"

    def resize(value: str) -> None:
        if value.lower() == "auto":
            start = min(worker.concurrency, _LIMITER_STARTS_AT_MOST)
            worker.resize(start, ConcurrencyLimiter(start))
            return
        number = _number(value, int, allowed)
        if not 1 <= number <= MOST_WORKERS:
            raise ValueError(allowed)
        worker.resize(number)

    def read() -> str:
        return "auto" if worker.adapts else str(worker.concurrency)

    return Control("workers", "Workers, a number or auto", "field", resize, read)


def _number(value: str, kind: Callable[[str], T], allowed: str) -> T:
    try:
        return kind(value)
    except ValueError:
        raise ValueError(allowed) from None


def _stop() -> None:
    signal.raise_signal(signal.SIGTERM)
