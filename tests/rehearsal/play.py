"""Plays scenes in one of two forms: the short one of CI, and the long one in real time."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager

import attrs
import trio

from tests.rehearsal.applied import Deployment
from tests.rehearsal.clock import AwsClock
from tests.rehearsal.outage_scenes import OUTAGE_SCENES
from tests.rehearsal.outcome import Outcome
from tests.rehearsal.queues_scene import two_queues
from tests.rehearsal.scaling_scene import scaled
from tests.rehearsal.scene import Size
from tests.rehearsal.stage import Stage, open_stage
from tests.rehearsal.task_scenes import TASK_SCENES

SHARED_STAGE = {**TASK_SCENES, **OUTAGE_SCENES}
"""Scenes that share one stage, in their order."""
SCENES = (*SHARED_STAGE, "scaled", "two-queues")
"""All of them."""
_OVERRIDES = {"JOB_RATE_LIMIT_PER_MINUTE": "0"}
_LIMIT_SECONDS = 3600.0


@attrs.frozen(kw_only=True)
class Form:
    """How a rehearsal is played.

    Attributes:
        flag: Of scripts/rehearse, that chooses it.
        speed: Compression of AWS's time.
        scaling_speed: Compression of CloudWatch's time in the scaling scene.
        scaling_balancer_speed: Of the load balancer's time there; no faster than processes start.
        scaling_users: Who stand for brief 004's 200.
        size: Of the other scenes.
    """

    flag: str
    speed: float
    scaling_speed: float
    scaling_balancer_speed: float
    scaling_users: int
    size: Size


SHORT = Form(
    flag=" --short",
    speed=20,
    scaling_speed=60,
    scaling_balancer_speed=15,
    scaling_users=60,
    size=Size(customers=8, users=20, calm=2, cut=10, cut_speed=5, failover=4),
)
LONG = Form(
    flag="",
    speed=1,
    scaling_speed=10,
    scaling_balancer_speed=10,
    scaling_users=60,
    size=Size(customers=30, users=100, calm=20, cut=60, cut_speed=1, failover=20),
)


async def play(
    deployment: Deployment, form: Form, scenes: Sequence[str], tell: Callable[[Outcome], None]
) -> list[Outcome]:
    """Play scenes one after another, each as soon as the last has ended.

    Args:
        deployment: What was applied.
        form: How.
        scenes: Their names.
        tell: Called with every outcome.

    Returns:
        The outcomes.

    Raises:
        Unavailable: nginx is missing, or its Lua module.
    """
    outcomes: list[Outcome] = []

    async def end(scene: Awaitable[Outcome]) -> None:
        began = trio.current_time()
        outcome = await scene
        outcome.seconds = trio.current_time() - began
        outcomes.append(outcome)
        tell(outcome)

    def stage(
        deployment: Deployment, speed: float = form.speed, queues: int = 1
    ) -> AbstractAsyncContextManager[Stage]:
        return open_stage(deployment, AwsClock(speed), queues=queues, overrides=_OVERRIDES)

    with trio.fail_after(_LIMIT_SECONDS):
        if chosen := [name for name in scenes if name in SHARED_STAGE]:
            async with stage(deployment) as shared:
                for name in chosen:
                    await end(SHARED_STAGE[name](shared, form.size))
        if "scaled" in scenes:
            async with stage(deployment, form.scaling_balancer_speed) as alone:
                await end(scaled(alone, form.scaling_users, form.size.calm, form.scaling_speed))
        if "two-queues" in scenes:
            one_task = attrs.evolve(deployment.api, desired=1)
            async with stage(attrs.evolve(deployment, api=one_task, workers=None), queues=2) as double:
                await end(two_queues(double, form.size.customers, form.size.calm))
    return outcomes
