"""Runs searches for a bottleneck on the real service, and returns what they log."""

import io
import json
import time
from collections.abc import Mapping
from typing import Any

import attrs
import trio

from loadtest_trio.metrics import logs
from loadtest_trio.settings import load
from loadtest_trio.tune.plan.loop import drive
from loadtest_trio.tune.plan.plan import Goal, find_bottleneck, tune
from loadtest_trio.tune.plan.steps import Step, TuneEvent
from loadtest_trio.tune.plan.switchback import Design
from loadtest_trio.tune.rig.rig import open_rig

LogLine = dict[str, Any]


class _SilentProgress:
    def step(self, step: Step) -> None: ...

    def event(self, event: TuneEvent) -> None: ...


@attrs.frozen
class Length:
    """How long a search takes.

    Attributes:
        whole: Whether it is the whole plan of `tune`; else only the experiments.
        seconds: Maximum duration.
        design: How the windows of experiments are arranged.
    """

    whole: bool
    seconds: float
    design: Design


async def search(environ: Mapping[str, str], length: Length) -> list[LogLine]:
    """Return the log lines of one search; one of them is the verdict.

    Args:
        environ: The environment of the service.
        length: How long the search takes.
    """
    loaded = load(environ).settings
    mix = {name.value: weight for name, weight in loaded.steady_state_distribution.weights.items()}
    goal = Goal(
        workers=loaded.worker_concurrency,
        mix=mix,
        seconds=length.seconds,
        step_seconds=2.0,
        design=length.design,
    )
    log, began = io.StringIO(), time.monotonic()
    logs.configure(log, json=True)
    plan = (
        tune(goal, time.monotonic)
        if length.whole
        else find_bottleneck(goal, lambda: time.monotonic() - began > length.seconds)
    )
    with trio.fail_after(300 + 2 * length.seconds):
        async with open_rig(loaded, environ, trio.current_time) as rig:
            await drive(plan, rig, _SilentProgress())
    return [json.loads(line) for line in log.getvalue().splitlines()]


def verdict_of(lines: list[LogLine]) -> LogLine:
    """Return the verdict of a search."""
    return next(line for line in lines if line["event"] == "tune_verdict")
