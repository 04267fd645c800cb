"""Carries out a plan: makes its steps on a rig and logs its events."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import trio

from loadtest_trio.metrics import logs
from loadtest_trio.tune.plan.observations import Observation
from loadtest_trio.tune.plan.steps import Plan, PlanInterruptedError, Step, TuneEvent


class Rig(Protocol):
    """Makes the steps of a plan, as `loadtest_trio.tune.rig.rig.ServiceRig` does.

    Attributes:
        stage: Number of the current step.
    """

    stage: int

    async def measure(self, step: Step) -> Observation:
        """Make one step and return its observation."""
        ...


class Progress(Protocol):
    """Shows the progress of a plan."""

    def step(self, step: Step) -> None:
        """Show that a step begins."""

    def event(self, event: TuneEvent) -> None:
        """Show an event of the plan."""


async def drive(plan: Plan[Any], rig: Rig, progress: Progress) -> None:
    """Carry out a plan to its end; if interrupted, log its results so far.

    Args:
        plan: The plan.
        rig: Makes the steps.
        progress: Is shown each step and event.
    """
    began = trio.current_time()

    def log(event: TuneEvent) -> None:
        progress.event(event)
        uptime = round(trio.current_time() - began, 3)
        logs.event(event.name, **{"stage": rig.stage, "at_seconds": uptime, **event.fields})

    try:
        await _follow(plan, rig, progress, log)
    except BaseException:
        for event in final_events(plan):
            log(event)
        raise


async def _follow(plan: Plan[Any], rig: Rig, progress: Progress, log: Callable[[TuneEvent], None]) -> None:
    answer: Observation | None = None
    while True:
        try:
            item = plan.send(answer)
        except StopIteration:
            return
        answer = None
        if isinstance(item, TuneEvent):
            log(item)
        else:
            progress.step(item)
            answer = await rig.measure(item)


def final_events(plan: Plan[Any]) -> Iterator[TuneEvent]:
    """Interrupt a plan and yield the events for its results so far."""
    try:
        item = plan.throw(PlanInterruptedError())
        while isinstance(item, TuneEvent):
            yield item
            item = next(plan)
    except (PlanInterruptedError, StopIteration):
        return
    plan.close()
