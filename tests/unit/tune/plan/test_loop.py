"""The thin loop, the burner and the profiler do what they say."""

import io
import json
import time
from random import Random

import attrs
import pytest
import trio
from rich.console import Console

from loadtest_trio.handlers.objects.payload import uuid_lines
from loadtest_trio.metrics import logs
from loadtest_trio.tune.plan.burner import bite, burn
from loadtest_trio.tune.plan.loop import drive, last_words
from loadtest_trio.tune.plan.pace import PaceMeter
from loadtest_trio.tune.plan.profiler import profiling
from loadtest_trio.tune.plan.progress import TerminalProgress, left
from loadtest_trio.tune.plan.stage import stage
from loadtest_trio.tune.plan.steps import (
    Finding,
    Kind,
    Observation,
    Plan,
    PlanInterruptedError,
    Slice,
    Step,
    measured,
)


@attrs.define
class _Rig:
    stage: int = 0

    async def measure(self, step: Step) -> Observation:
        self.stage += 1
        await trio.sleep(step.seconds)
        return Observation(slices=(Slice(step.seconds, 10, 10, 0),))


def _plan() -> Plan[None]:
    for workers in (1, 2):
        step = Step(Kind.SWEEP, 5.0, workers)
        yield stage(step, (yield from measured(step)))


async def test_loop_writes_findings(autojump_clock: trio.testing.MockClock) -> None:
    """Each step is made in turn; each finding becomes a log line with its stage, and is shown."""
    log, screen = io.StringIO(), io.StringIO()
    logs.configure(log, json=True)
    console = Console(file=screen, force_terminal=True, width=200)
    with TerminalProgress(console, time.monotonic, 60) as progress:
        await drive(_plan(), _Rig(), progress)
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [(line["event"], line["stage"], line["workers"]) for line in lines] == [
        ("tune_stage", 1, 1),
        ("tune_stage", 2, 2),
    ]
    assert [line["at_seconds"] for line in lines] == [5.0, 10.0]
    assert "2 workers" in screen.getvalue()
    assert "2.0/s done" in screen.getvalue()


def _talkative() -> Plan[None]:
    try:
        yield from measured(Step(Kind.SWEEP, 5.0, 1))
    except PlanInterruptedError:
        yield Finding("tune_saturation", {"rate": 7.0})
        raise


async def test_an_interrupted_plan_has_last_words(autojump_clock: trio.testing.MockClock) -> None:
    """When the search is cancelled in a step, what it knows by then is written down."""
    log = io.StringIO()
    logs.configure(log, json=True)
    with TerminalProgress(Console(file=io.StringIO()), time.monotonic, 60) as progress:
        with trio.move_on_after(2) as scope:
            await drive(_talkative(), _Rig(), progress)
    assert scope.cancelled_caught
    (line,) = [json.loads(line) for line in log.getvalue().splitlines()]
    assert (line["event"], line["rate"], line["at_seconds"]) == ("tune_saturation", 7.0, 2.0)


def test_last_words_of_a_plan_that_goes_on() -> None:
    """A plan that swallows the interruption and asks for another step is not given one."""

    def stubborn() -> Plan[None]:
        try:
            yield Step(Kind.SWEEP, 5.0, 1)
        except PlanInterruptedError:
            yield Finding("tune_saturation", {})
            yield Step(Kind.SWEEP, 5.0, 1)

    plan = stubborn()
    next(plan)
    assert [finding.event for finding in last_words(plan)] == ["tune_saturation"]


@pytest.mark.parametrize(
    ("seconds", "shown"), [(119.7, "2:00"), (59.4, "0:59"), (-3.0, "0:00"), (210, "3:30")]
)
def test_time_left(seconds: float, shown: str) -> None:
    """Seconds never reach 60, and time left is never less than none."""
    assert left(seconds) == shown


def test_the_time_left_goes_on_within_a_step() -> None:
    """Whenever the terminal is drawn, the time left is that of the moment."""
    screen, now = io.StringIO(), [100.0]
    console = Console(file=screen, force_terminal=True, width=200)
    with TerminalProgress(console, lambda: now[0], 60) as progress:
        progress.step(Step(Kind.SWEEP, 30.0, 4))
        now[0] += 10
        assert progress._live is not None
        progress._live.refresh()
    assert "sweep: closed loop, 4 workers" in screen.getvalue()
    assert "at most 0:50 left" in screen.getvalue()


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5])
def test_bites_are_the_share(share: float) -> None:
    """Whatever the pauses are, bites are that share of pauses and bites together, and never long."""
    rng = Random(1)
    pauses = [rng.uniform(0, 0.002 * (1 - share) / share) for _ in range(1000)]
    bites = [bite(share, pause) for pause in pauses]
    assert sum(bites) / (sum(bites) + sum(pauses)) == pytest.approx(share)
    assert max(bites) <= 0.002
    assert bite(share, 60.0) == 0.002


async def test_burner_burns_until_cancelled() -> None:
    """It takes CPU from this thread, and ends when it is told to; how much is for benchmarks to say."""
    cpu = time.thread_time()
    with trio.move_on_after(0.5) as scope:
        await burn(0.5)
    assert scope.cancelled_caught
    assert time.thread_time() - cpu > 0.02


async def test_burner_of_nothing_waits(autojump_clock: trio.testing.MockClock) -> None:
    """A share of 0 costs nothing: nothing runs until it is cancelled."""
    with trio.move_on_after(3600) as scope:
        await burn(0)
    assert scope.cancelled_caught


async def test_pace_is_taken_again_and_again(autojump_clock: trio.testing.MockClock) -> None:
    """A meter that runs has a mean of many units, one that was never run still has one."""
    meter = PaceMeter()
    assert meter.collect_us() > 0
    with trio.move_on_after(1.01):
        await meter.run()
    assert meter._units == 20
    assert 0 < meter.collect_us() < 1e5
    assert meter._units == 0


def test_profiler_tells_components_apart() -> None:
    """CPU spent in the payload is found under "generate", other CPU under "rest"."""
    with profiling() as profile:
        until, rng = time.process_time() + 0.3, Random(0)
        while time.process_time() < until:
            uuid_lines(2000, rng)
        until = time.process_time() + 0.3
        while time.process_time() < until:
            sum(range(1000))
        seconds = profile.seconds()
    assert 0.2 < seconds["", "generate"] < 0.4
    assert 0.2 < seconds["", "rest"] < 0.4
    assert abs(sum(seconds.values()) - 0.6) < 0.1
