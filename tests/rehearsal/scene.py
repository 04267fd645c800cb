"""What scenes share: their size, their beginning, and claims that several make."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import attrs
import trio

from tests.rehearsal.cluster import Service
from tests.rehearsal.load import Load
from tests.rehearsal.outcome import Outcome
from tests.rehearsal.stage import Stage

_SETTLE_SECONDS = 150.0


@attrs.frozen(kw_only=True)
class Size:
    """How long and how hard.

    Attributes:
        customers: Who keep a record.
        users: Simulated users.
        calm: Seconds before and after what happens.
        cut: Seconds of the partition, and of S3's absence.
        cut_speed: Compression of AWS's time meanwhile: health checks may not pass faster than the cut.
        failover: Seconds until a replica is promoted; a guess, ElastiCache promises less than a minute.
    """

    customers: int
    users: int
    calm: float
    cut: float
    cut_speed: float
    failover: float


Scene = Callable[[Stage, Size], Awaitable[Outcome]]


async def scaled_to(api: Service, tasks: int) -> None:
    """Begin with so many tasks.

    Raises:
        AssertionError: There are not so many after a while.
    """
    api.scale(tasks)
    await api.settled(_SETTLE_SECONDS)


@asynccontextmanager
async def aws_speed(stage: Stage, speed: float) -> AsyncIterator[None]:
    """Let the time of AWS pass at another speed for the length of a block."""
    before, stage.clock.speed = stage.clock.speed, speed
    try:
        yield
    finally:
        stage.clock.speed = before


def repeated(outcome: Outcome, load: Load) -> None:
    """Claim that every failure of a customer is in the balancer's log, and went well when repeated."""
    known = {each.id for each in load.failed}
    strange = [each for each in load.record.failures if each.id not in known]
    posts = [each for each in load.record.failures if each.method == "POST"]
    outcome.claim(
        "a failed submission succeeds when repeated with its idempotency key, and makes one job",
        not strange and not load.record.twice and not load.record.unfinished,
        f"{len(posts)} repeated",
    )


def refused_well(outcome: Outcome, load: Load) -> None:
    """Claim that whatever failed was refused with 503 and Retry-After."""
    failures = load.record.failures
    good = [each for each in failures if each.status == 503 and each.retry_after]
    others = sorted({each.status for each in failures if each not in good})
    outcome.claim(
        "what fails is refused: 503 with Retry-After",
        len(good) == len(failures) and all(each.status == 503 for each in load.failed),
        f"{len(good)} of {len(failures)}{f', others {others}' if others else ''}",
    )


def untouched(service: Service, at: float) -> bool:
    """Tell whether no task has been started or stopped since a Unix time."""
    began = trio.current_time() - (time.time() - at)
    return not [each for each in service.events if each.at >= began and each.what in ("started", "stopping")]
