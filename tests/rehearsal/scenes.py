"""The scenes: what happens to a deployment, and what is claimed of it."""

import time
from collections.abc import Awaitable, Callable

import attrs
import trio

from tests.rehearsal.applied import TaskDefinition
from tests.rehearsal.balancer import PROPAGATION_SECONDS
from tests.rehearsal.cluster import NOTICE_SECONDS, Service
from tests.rehearsal.load import Load, loaded
from tests.rehearsal.outcome import Outcome
from tests.rehearsal.stage import Stage
from tests.support.fault_proxy import Fault

_AT_ONCE_SECONDS = 1.5
_TIMEOUT_SECONDS = 7.0  # of the service's calls of Redis, and a little


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


async def killed(stage: Stage, size: Size) -> Outcome:
    """Two of three tasks are killed under load."""
    outcome, api = Outcome("killed", "Two of three tasks killed (SIGKILL)"), stage.queue.api
    await _scaled(api, 3)
    async with loaded(stage, size.customers, size.users) as load:
        await trio.sleep(size.calm)
        victims, at, began = api.ready[:2], time.time(), trio.current_time()
        for task in victims:
            task.kill()
        while len([each for each in api.ready if each.running]) < 3:  # noqa: ASYNC110 - no event
            await trio.sleep(0.05)
        back = trio.current_time() - began
        await trio.sleep(size.calm)
    await stage.queue.drained()
    started = [each.at - began for each in api.events if each.what == "started" and each.at >= began]
    ports = {task.port for task in victims}
    inflight = [each for each in load.failed if each.at - each.seconds <= at]
    late = [each for each in load.failed if each.at > at + NOTICE_SECONDS + PROPAGATION_SECONDS + 1.0]
    outcome.claim(
        "only requests that had been routed to a killed task failed",
        all(each.port in ports for each in load.failed) and not late,
        f"{len(inflight)} in flight, {len(load.failed) - len(inflight)} sent before the balancer knew",
    )
    _repeated(outcome, load)
    outcome.claim("replaced within 30 s", max(started) < 30, f"started after {max(started):.1f} s")
    outcome.figures["three tasks serve again after"] = f"{back:.1f} s"
    load.tell(outcome)
    return outcome


def _repeated(outcome: Outcome, load: Load) -> None:
    """Claim that every failure of a customer is in the balancer's log, and went well when repeated."""
    known = {each.id for each in load.failed}
    strange = [each for each in load.record.failures if each.id not in known]
    posts = [each for each in load.record.failures if each.method == "POST"]
    outcome.claim(
        "a failed submission succeeds when repeated with its idempotency key, and makes one job",
        not strange and not load.record.twice and not load.record.unfinished,
        f"{len(posts)} repeated",
    )


async def terminated(stage: Stage, size: Size) -> Outcome:
    """Two of three tasks get SIGTERM under load, while the balancer still sends them requests."""
    outcome, api = Outcome("terminated", "Two of three tasks stopped (SIGTERM)"), stage.queue.api
    await _scaled(api, 3)
    async with loaded(stage, size.customers, size.users) as load:
        await trio.sleep(size.calm)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for task in api.ready[:2]:
                nursery.start_soon(api.interrupt, task)
        await api.settled()
        back = trio.current_time() - began
        await trio.sleep(size.calm)
    await stage.queue.drained()
    load.no_failure(outcome)
    outcome.claim("both ended by themselves, in order", api.codes[-2:] == [0, 0], api.codes[-2:])
    outcome.figures["ended after SIGTERM"] = ", ".join(f"{each:.1f} s" for each in api.stop_seconds[-2:])
    outcome.figures["three tasks serve again after"] = f"{back:.1f} s"
    load.tell(outcome)
    return outcome


async def rolled_out(stage: Stage, size: Size) -> Outcome:
    """A new image is rolled out under load."""
    outcome, api = Outcome("rolled-out", "Rolling deployment of another image"), stage.queue.api
    await _scaled(api, 2)
    old = api.definition.task
    new = attrs.evolve(
        old,
        revision=old.revision + 1,
        image=f"{old.image}-next",
        environment={**old.environment, "WORKER_CONCURRENCY": "16"},
    )
    seconds, fewest, load = await _deployed(stage, size, new)
    load.no_failure(outcome)
    current = {task.definition.revision for task in api.active}
    outcome.claim("all tasks run the new image", current == {new.revision}, f"revisions {current}")
    outcome.claim("two tasks served all the time", fewest >= 2, f"{fewest} at least")
    outcome.claim("the old ones ended in order", set(api.codes[-2:]) == {0}, api.codes[-2:])
    outcome.figures["took"] = f"{seconds:.1f} s"
    load.tell(outcome)
    return outcome


async def rolled_back(stage: Stage, size: Size) -> Outcome:
    """An image that does not start is rolled out under load."""
    outcome, api = Outcome("rolled-back", "Deployment of an image that does not start"), stage.queue.api
    await _scaled(api, 2)
    good = api.active[0].definition
    bad = attrs.evolve(good, revision=good.revision + 1, command=("jobs", "--no-such-flag"))
    seconds, fewest, load = await _deployed(stage, size, bad)
    load.no_failure(outcome)
    current = {task.definition.revision for task in api.active}
    outcome.claim("the circuit breaker rolled back", current == {good.revision}, f"revisions {current}")
    outcome.claim("two tasks served all the time", fewest >= 2, f"{fewest} at least")
    outcome.figures["took"] = f"{seconds:.1f} s"
    load.tell(outcome)
    return outcome


async def _deployed(stage: Stage, size: Size, task: TaskDefinition) -> tuple[float, int, Load]:
    """Roll out under load; return how long it took, the fewest tasks that served meanwhile, and the load."""
    api, fewest = stage.queue.api, 99
    async with loaded(stage, size.customers, size.users) as load:
        await trio.sleep(size.calm)
        api.roll_out(task)
        began = trio.current_time()
        await trio.sleep(0.3)
        with trio.fail_after(600):
            while not api.steady:
                fewest = min(fewest, len(api.ready))
                await trio.sleep(0.1)
        seconds = trio.current_time() - began
        await trio.sleep(size.calm)
    await stage.queue.drained()
    return seconds, fewest, load


async def failed_over(stage: Stage, size: Size) -> Outcome:
    """Redis' primary dies with all that it had; its replica is promoted, and a new replica follows."""
    outcome, queue = Outcome("failed-over", "Redis primary killed, replica promoted"), stage.queue
    await _scaled(queue.api, 2)
    async with loaded(stage, size.customers, size.users) as load, _speed(stage, size.cut_speed):
        await trio.sleep(size.calm)
        at = time.time()
        queue.redis.kill_primary()
        await trio.sleep(size.failover)
        queue.redis.promote()
        queue.redis.replace()
        for ways in (queue.to_api, queue.to_workers):
            ways.redis.upstream = queue.redis.primary.port
            ways.redis.begin(Fault.RESET)
            ways.redis.end()
        recovered = await _accepted_again(stage, at, size.failover)
        await trio.sleep(size.calm)
    drained = await queue.drained()
    outcome.figures |= {
        "until the replica was promoted": f"{size.failover:g} s",
        "until a submission was accepted again": f"{recovered:.1f} s",
        "until all was done at the end": f"{drained:.1f} s",
        "JOB_WAIT_REPLICAS": "1: an accepted job is on the replica",
    }
    _refused_well(outcome, load)
    _repeated(outcome, load)
    outcome.claim("no task was replaced", _untouched(queue.api, at), "")
    load.tell(outcome)
    return outcome


async def _accepted_again(stage: Stage, at: float, failover: float) -> float:
    """Wait for an accepted submission that began after the promotion; return the seconds since the kill."""
    with trio.fail_after(60):
        while True:
            for each in stage.balancer.requests(at + failover):
                if each.method == "POST" and each.status == 202 and each.at - each.seconds >= at + failover:
                    return each.at - at
            await trio.sleep(0.1)


def _untouched(service: Service, at: float) -> bool:
    began = trio.current_time() - (time.time() - at)
    return not [each for each in service.events if each.at >= began and each.what in ("started", "stopping")]


async def cut_off(stage: Stage, size: Size) -> Outcome:
    """The API cannot reach Redis: packets vanish, connections stay."""
    outcome, queue = Outcome("cut-off", f"API cut off from Redis for {size.cut:g} s"), stage.queue
    await _scaled(queue.api, 2)
    async with loaded(stage, size.customers, size.users) as load, _speed(stage, size.cut_speed):
        await trio.sleep(size.calm)
        at = time.time()
        queue.to_api.redis.begin(Fault.BLACKHOLE)
        await trio.sleep(size.cut)
        queue.to_api.redis.end()
        recovered = await _accepted_again(stage, at, size.cut)
        await trio.sleep(size.calm)
    await queue.drained()
    refused = [each for each in load.failed if each.at >= at]
    later = [each.seconds for each in refused if each.at - each.seconds > at + _AT_ONCE_SECONDS]
    first = [each.seconds for each in refused if each.at - each.seconds <= at + _AT_ONCE_SECONDS]
    outcome.claim(
        "requests in the first moment are answered when the call of Redis has timed out",
        max(first, default=0.0) < _TIMEOUT_SECONDS,
        f"{len(first)} within {max(first, default=0.0):.1f} s",
    )
    prompt = [each for each in later if each < _AT_ONCE_SECONDS]
    outcome.claim(
        "from then on at once, but for a probe now and then",
        len(prompt) >= 0.95 * len(later) and max(later, default=0.0) < _TIMEOUT_SECONDS,
        f"{len(prompt)} of {len(later)} within {_AT_ONCE_SECONDS:g} s",
    )
    _refused_well(outcome, load)
    _repeated(outcome, load)
    outcome.claim("no task was replaced", _untouched(queue.api, at), "")
    outcome.figures["accepted again after the end of the cut"] = f"{recovered - size.cut:.1f} s"
    load.tell(outcome)
    return outcome


def _refused_well(outcome: Outcome, load: Load) -> None:
    """Claim that whatever failed was refused with 503 and Retry-After."""
    failures = load.record.failures
    good = [each for each in failures if each.status == 503 and each.retry_after]
    others = sorted({each.status for each in failures if each not in good})
    outcome.claim(
        "what fails is refused: 503 with Retry-After",
        len(good) == len(failures) and all(each.status == 503 for each in load.failed),
        f"{len(good)} of {len(failures)}{f', others {others}' if others else ''}",
    )


async def without_s3(stage: Stage, size: Size) -> Outcome:
    """S3 is away: results that are too long for Redis wait for it, other jobs go on."""
    outcome, queue = Outcome("without-s3", f"S3 away for {size.cut:g} s"), stage.queue
    await _scaled(queue.api, 2)
    large: list[dict[str, object]] = [{"type": "factorial", "payload": {"n": 8000}}]  # 27,753 digits
    names = [f"large-{number}" for number in range(3)]
    async with (
        loaded(stage, 0, 0, large, names) as waiting,
        loaded(stage, size.customers, size.users) as load,
        _speed(stage, size.cut_speed),
    ):
        await trio.sleep(size.calm)
        for ways in (queue.to_api, queue.to_workers):
            ways.s3.begin(Fault.RESET)
        await trio.sleep(1.0)
        before, large_before = load.record.ends()["COMPLETED"], waiting.record.ends()["COMPLETED"]
        await trio.sleep(size.cut)
        meanwhile = load.record.ends()["COMPLETED"] - before
        large_meanwhile = waiting.record.ends()["COMPLETED"] - large_before
        for ways in (queue.to_api, queue.to_workers):
            ways.s3.end()
        await trio.sleep(size.calm)
    await queue.drained()
    outcome.claim("jobs that need S3 wait", large_meanwhile == 0, f"{large_meanwhile} ended meanwhile")
    outcome.claim("the others go on", meanwhile > size.cut, f"{meanwhile} ended meanwhile")
    load.no_failure(outcome)
    waiting.tell(outcome)
    load.tell(outcome)
    return outcome


class _speed:  # noqa: N801 - used like a function
    """Runs AWS at another speed for the length of a block."""

    def __init__(self, stage: Stage, speed: float) -> None:
        self._clock, self._speed, self._before = stage.clock, speed, stage.clock.speed

    async def __aenter__(self) -> None:
        self._clock.speed = self._speed

    async def __aexit__(self, *_: object) -> None:
        self._clock.speed = self._before


async def _scaled(api: Service, tasks: int) -> None:
    api.scale(tasks)
    await api.settled(120)


SCENES: dict[str, Scene] = {
    "killed": killed,
    "terminated": terminated,
    "rolled-out": rolled_out,
    "rolled-back": rolled_back,
    "failed-over": failed_over,
    "cut-off": cut_off,
    "without-s3": without_s3,
}
"""The scenes that share one stage, in their order."""
