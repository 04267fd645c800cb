"""Plays scenes in one of two forms: the short one of CI, and the long one in real time."""

from collections.abc import Callable, Sequence

import attrs
import trio

from tests.rehearsal.applied import Deployment
from tests.rehearsal.clock import AwsClock
from tests.rehearsal.outcome import Outcome
from tests.rehearsal.queues_scene import two_queues
from tests.rehearsal.scaling_scene import scaled
from tests.rehearsal.scenes import SCENES, Size
from tests.rehearsal.stage import open_stage

# Users of one address submit more than a client may in a minute.
_SETTINGS = {"JOB_RATE_LIMIT_PER_MINUTE": "0"}
_REPLICATED = {**_SETTINGS, "JOB_WAIT_REPLICAS": "1"}
_LIMIT_SECONDS = 3600.0


@attrs.frozen(kw_only=True)
class Form:
    """How a rehearsal is played.

    Attributes:
        flag: Of scripts/rehearse, that chooses it.
        speed: Compression of AWS's time.
        scaling_speed: Compression of CloudWatch's time in the scaling scene.
        scaling_users: Who stand for brief 004's 200.
        size: Of the other scenes.
    """

    flag: str
    speed: float
    scaling_speed: float
    scaling_users: int
    size: Size


SHORT = Form(
    flag=" --short",
    speed=15,
    scaling_speed=60,
    scaling_users=60,
    size=Size(customers=8, users=20, calm=2, cut=10, cut_speed=5, failover=4),
)
LONG = Form(
    flag="",
    speed=1,
    scaling_speed=10,
    scaling_users=200,
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

    def ended(outcome: Outcome, began: float) -> None:
        outcome.seconds = trio.current_time() - began
        outcomes.append(outcome)
        tell(outcome)

    with trio.fail_after(_LIMIT_SECONDS):
        if chosen := [name for name in scenes if name in SCENES]:
            async with open_stage(deployment, AwsClock(form.speed), settings=_REPLICATED) as stage:
                for name in chosen:
                    began = trio.current_time()
                    ended(await SCENES[name](stage, form.size), began)
        if "scaled" in scenes:
            async with open_stage(deployment, AwsClock(form.speed), settings=_SETTINGS) as stage:
                began = trio.current_time()
                ended(await scaled(stage, form.scaling_users, form.scaling_speed), began)
        if "two-queues" in scenes:
            alone = attrs.evolve(
                deployment,
                api=attrs.evolve(deployment.api, desired=1),
                workers=None,
            )
            async with open_stage(alone, AwsClock(form.speed), queues=2, settings=_SETTINGS) as stage:
                began = trio.current_time()
                ended(await two_queues(stage, form.size.customers, form.size.calm), began)
    return outcomes
