"""The thin loop: asks the plan what to do, has it done, writes down what comes of it."""

from typing import Any, Protocol

import trio

from loadtest_trio import logs
from loadtest_trio.tuning.steps import Finding, Observation, Plan, Step


class Rig(Protocol):
    """What makes steps; `loadtest_trio.rig.ServiceRig` is one.

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
    """Carry out a plan to its end.

    Args:
        plan: What to do.
        rig: Makes the steps.
        progress: Told how it goes.
    """
    answer: Observation | None = None
    began = trio.current_time()
    while True:
        try:
            item = plan.send(answer)
        except StopIteration:
            return
        answer = None
        if isinstance(item, Finding):
            progress.finding(item)
            uptime = round(trio.current_time() - began, 3)
            logs.event(item.event, **{"stage": rig.stage, "at_seconds": uptime, **item.fields})
        else:
            progress.step(item)
            answer = await rig.measure(item)
