"""The loop, the burner, the core speed meter and the profiler."""

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
from loadtest_trio.tune.plan.burner import Burner, burst
from loadtest_trio.tune.plan.core_speed import CoreSpeedMeter
from loadtest_trio.tune.plan.loop import drive, final_events
from loadtest_trio.tune.plan.observations import Observation, Slice
from loadtest_trio.tune.plan.profiler import profiling
from loadtest_trio.tune.plan.progress import TerminalProgress, format_time_left
from loadtest_trio.tune.plan.steps import (
    Kind,
    Plan,
    PlanInterruptedError,
    Step,
    TuneEvent,
    measured,
    stage_event,
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
        yield stage_event(step, (yield from measured(step)))


async def test_loop_logs_and_shows_events(autojump_clock: trio.testing.MockClock) -> None:
    """Steps are made in turn; each event becomes a log line with its stage, and is shown."""
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


def _plan_with_final_event() -> Plan[None]:
    try:
        yield from measured(Step(Kind.SWEEP, 5.0, 1))
    except PlanInterruptedError:
        yield TuneEvent("tune_saturation", {"rate": 7.0})
        raise


async def test_interrupted_plan_logs_final_events(autojump_clock: trio.testing.MockClock) -> None:
    """When the search is cancelled during a step, its results so far are logged."""
    log = io.StringIO()
    logs.configure(log, json=True)
    with TerminalProgress(Console(file=io.StringIO()), time.monotonic, 60) as progress:
        with trio.move_on_after(2) as scope:
            await drive(_plan_with_final_event(), _Rig(), progress)
    assert scope.cancelled_caught
    (line,) = [json.loads(line) for line in log.getvalue().splitlines()]
    assert (line["event"], line["rate"], line["at_seconds"]) == ("tune_saturation", 7.0, 2.0)


def test_interrupted_plan_gets_no_further_step() -> None:
    """A plan that swallows the interruption and yields another step does not get it."""

    def stubborn() -> Plan[None]:
        try:
            yield Step(Kind.SWEEP, 5.0, 1)
        except PlanInterruptedError:
            yield TuneEvent("tune_saturation", {})
            yield Step(Kind.SWEEP, 5.0, 1)

    plan = stubborn()
    next(plan)
    assert [event.name for event in final_events(plan)] == ["tune_saturation"]


@pytest.mark.parametrize(
    ("seconds", "shown"), [(119.7, "2:00"), (59.4, "0:59"), (-3.0, "0:00"), (210, "3:30")]
)
def test_time_left_format(seconds: float, shown: str) -> None:
    """Seconds stay below 60, and the time left is never negative."""
    assert format_time_left(seconds) == shown


def test_time_left_counts_down_during_a_step() -> None:
    """Every refresh of the terminal shows the current time left."""
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
def test_bursts_take_their_share(share: float) -> None:
    """Whatever the pauses, bursts take the given share of the total time, and stay short."""
    rng = Random(1)
    pauses = [rng.uniform(0, 0.002 * (1 - share) / share) for _ in range(1000)]
    bursts = [burst(share, pause) for pause in pauses]
    assert sum(bursts) / (sum(bursts) + sum(pauses)) == pytest.approx(share)
    assert max(bursts) <= 0.002
    assert burst(share, 60.0) == 0.002


async def test_burner_burns_until_cancelled() -> None:
    """The burner uses CPU on this thread until cancelled; benchmarks measure how much."""
    cpu = time.thread_time()
    with trio.move_on_after(0.5) as scope:
        burner = Burner()
        burner.set(0.5)
        await burner.run()
    assert scope.cancelled_caught
    assert time.thread_time() - cpu > 0.02


async def test_burner_with_share_zero_sleeps(autojump_clock: trio.testing.MockClock) -> None:
    """Until a share is set, and after it is set to 0 again, the burner only sleeps."""
    with trio.move_on_after(3600) as scope:
        async with trio.open_nursery() as nursery:
            burner = Burner()
            nursery.start_soon(burner.run)
            for share in (0.5, 0.0):
                burner.set(share)
                await trio.sleep(0.01)
    assert scope.cancelled_caught


async def test_core_speed_is_the_mean_of_many_units(autojump_clock: trio.testing.MockClock) -> None:
    """A running meter averages many units; one that never ran still times one."""
    meter = CoreSpeedMeter()
    assert meter.collect_us() > 0
    with trio.move_on_after(1.01):
        await meter.run()
    assert meter._units == 20
    assert 0 < meter.collect_us() < 1e5
    assert meter._units == 0


def test_profiler_distinguishes_components() -> None:
    """CPU used by the payload is found under "generate", other CPU under "rest"."""
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
