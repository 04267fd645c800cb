"""Runs a whole saturation search: log, calibration, rig and plan; results survive an interruption."""

import time
from collections.abc import Mapping
from typing import Any

import attrs
import trio
from rich.console import Console

from loadtest_trio.errors import cause_of, describe
from loadtest_trio.metrics import logs, machine, signals
from loadtest_trio.report.extras import need
from loadtest_trio.settings import SETTINGS, Loaded
from loadtest_trio.tune.plan.criteria import Limits
from loadtest_trio.tune.plan.loop import drive
from loadtest_trio.tune.plan.plan import Goal, tune
from loadtest_trio.tune.plan.progress import TerminalProgress
from loadtest_trio.tune.rig.idle import calibrate, delete_leftovers
from loadtest_trio.tune.rig.rig import open_rig

_SLOW_IMPORTS = ("scipy.stats", "scipy.optimize", "matplotlib.figure")


async def search_saturation(
    loaded: Loaded, environ: Mapping[str, str], objective_p99_ms: float, seconds: float, console: Console
) -> None:
    """Run a saturation search and log it; a signal ends it early.

    Args:
        loaded: The configuration and where each value came from.
        environ: The environment that AWS credentials come from.
        objective_p99_ms: Maximum end-to-end p99 of a step.
        seconds: Maximum duration of the measurements.
        console: Shows progress.

    Raises:
        LoadtestError: The search could not start, or a backend became permanently unavailable.
        MissingExtraError: The extra ``report`` is not installed.
    """
    for module in _SLOW_IMPORTS:  # import now, so that it does not disturb a measurement later
        need(module)
    goal = Goal(
        workers=loaded.settings.worker_concurrency,
        mix={name.value: weight for name, weight in _weights(loaded).items()},
        limits=Limits(objective_p99_ms=objective_p99_ms),
        seconds=seconds,
    )
    _log_started(loaded, goal)
    reason = "interrupted before it was complete"
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(watch_signals, nursery.cancel_scope)
            with TerminalProgress(console, time.monotonic, seconds) as progress:
                await _measure(loaded, environ, goal, progress)
            reason = "complete"
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        reason = describe(group)
        raise cause_of(group) from group
    finally:
        logs.event("tune_stopped", reason=reason)


def _weights(loaded: Loaded) -> Mapping[Any, float]:
    return loaded.settings.steady_state_distribution.weights


async def _measure(
    loaded: Loaded, environ: Mapping[str, str], goal: Goal, progress: TerminalProgress
) -> None:
    settings, began = loaded.settings, trio.current_time()  # the uptime of all lines counts from here
    logs.event("tune_calibrated", **await calibrate(settings, environ))
    try:
        async with open_rig(settings, environ, lambda: began) as rig:
            await drive(tune(goal, trio.current_time), rig, progress)
    finally:
        await delete_leftovers(settings, environ)


async def watch_signals(
    scope: trio.CancelScope, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Cancel a scope at a signal that ends, until cancelled."""
    with trio.open_signal_receiver(*signals.that_ask_to_end()) as received:
        task_status.started()
        async for _ in received:
            scope.cancel()


def _log_started(loaded: Loaded, goal: Goal) -> None:
    logs.event(
        "tune_started",
        versions=machine.versions(),
        machine=machine.describe(),
        settings={info.name: info.shown(getattr(loaded.settings, info.name.lower())) for info in SETTINGS},
        objective_p99_ms=goal.limits.objective_p99_ms,
        seconds=goal.seconds,
        limits=attrs.asdict(goal.limits),
    )
