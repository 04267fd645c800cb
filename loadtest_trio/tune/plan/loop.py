"""The thin loop: asks the plan what to do, has it done, writes down what comes of it."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import trio

from loadtest_trio.metrics import logs
from loadtest_trio.tune.plan.steps import Finding, Observation, Plan, PlanInterruptedError, Step


class Rig(Protocol):
    """What makes steps; `loadtest_trio.tune.rig.rig.ServiceRig` is one.

    Attributes:
        stage: The number of the step under way.
    """

    stage: int

    async def measure(self, step: Step) -> Observation:
        """Make one step and return what it showed."""
        ...


class Progress(Protocol):
    """Told how it goes."""

    def step(self, step: Step) -> None:
        """A step begins."""

    def finding(self, finding: Finding) -> None:
        """Something was found."""


async def drive(plan: Plan[Any], rig: Rig, progress: Progress) -> None:
    """Carry out a plan to its end; when that is cut short, write down what it has found by then.

    Args:
        plan: What to do.
        rig: Makes the steps.
        progress: Told how it goes.
    """
    began = trio.current_time()

    def say(finding: Finding) -> None:
        progress.finding(finding)
        uptime = round(trio.current_time() - began, 3)
        logs.event(finding.event, **{"stage": rig.stage, "at_seconds": uptime, **finding.fields})

    try:
        await _follow(plan, rig, progress, say)
    except BaseException:
        for finding in last_words(plan):
            say(finding)
        raise


async def _follow(plan: Plan[Any], rig: Rig, progress: Progress, say: Callable[[Finding], None]) -> None:
    answer: Observation | None = None
    while True:
        try:
            item = plan.send(answer)
        except StopIteration:
            return
        answer = None
        if isinstance(item, Finding):
            say(item)
        else:
            progress.step(item)
            answer = await rig.measure(item)


def last_words(plan: Plan[Any]) -> Iterator[Finding]:
    """Interrupt a plan, and yield what it has found and not yet said."""
    try:
        item = plan.throw(PlanInterruptedError())
        while isinstance(item, Finding):
            yield item
            item = next(plan)
    except (PlanInterruptedError, StopIteration):
        return
    plan.close()
