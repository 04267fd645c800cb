"""Scenes of backends: Redis fails over, is cut off from the API, and S3 is away."""

import time

import trio

from tests.rehearsal.load import loaded
from tests.rehearsal.outcome import Outcome
from tests.rehearsal.scene import Scene, Size, aws_speed, refused_well, repeated, scaled_to, untouched
from tests.rehearsal.stage import Stage
from tests.support.fault_proxy import Fault

_AT_ONCE_SECONDS = 1.5
_TIMEOUT_SECONDS = 7.0  # of the service's calls of Redis, and a little


async def failed_over(stage: Stage, size: Size) -> Outcome:
    """Redis' primary dies with all that it had; its replica is promoted, and a new replica follows."""
    outcome, queue = Outcome("failed-over", "Redis primary killed, replica promoted"), stage.queue
    await scaled_to(queue.api, 2)
    async with loaded(stage, size.customers, size.users) as load, aws_speed(stage, size.cut_speed):
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
        "JOB_WAIT_REPLICAS": queue.api.definition.task.environment["JOB_WAIT_REPLICAS"],
    }
    refused_well(outcome, load)
    repeated(outcome, load)
    outcome.claim("no task was replaced", untouched(queue.api, at), "")
    load.tell(outcome)
    return outcome


async def cut_off(stage: Stage, size: Size) -> Outcome:
    """The API cannot reach Redis: packets vanish, connections stay."""
    outcome, queue = Outcome("cut-off", f"API cut off from Redis for {size.cut:g} s"), stage.queue
    await scaled_to(queue.api, 2)
    async with loaded(stage, size.customers, size.users) as load, aws_speed(stage, size.cut_speed):
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
    refused_well(outcome, load)
    repeated(outcome, load)
    outcome.claim("no task was replaced", untouched(queue.api, at), "")
    outcome.figures["accepted again after the end of the cut"] = f"{recovered - size.cut:.1f} s"
    load.tell(outcome)
    return outcome


async def without_s3(stage: Stage, size: Size) -> Outcome:
    """S3 is away: results that are too long for Redis wait for it, other jobs go on."""
    outcome, queue = Outcome("without-s3", f"S3 away for {size.cut:g} s"), stage.queue
    await scaled_to(queue.api, 2)
    large: list[dict[str, object]] = [{"type": "factorial", "payload": {"n": 8000}}]  # 27,753 digits
    names = [f"large-{number}" for number in range(3)]
    async with (
        loaded(stage, 0, 0, large, names) as waiting,
        loaded(stage, size.customers, size.users) as load,
        aws_speed(stage, size.cut_speed),
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
    waiting.tell(outcome, "those that need S3")
    load.tell(outcome, "the others")
    return outcome


async def _accepted_again(stage: Stage, at: float, failover: float) -> float:
    """Wait for an accepted submission that began after the promotion; return the seconds since the kill."""
    with trio.fail_after(60):
        while True:
            for each in stage.balancer.requests(at + failover):
                if each.method == "POST" and each.status == 202 and each.at - each.seconds >= at + failover:
                    return each.at - at
            await trio.sleep(0.1)


OUTAGE_SCENES: dict[str, Scene] = {
    "failed-over": failed_over,
    "cut-off": cut_off,
    "without-s3": without_s3,
}
"""In their order."""
