"""Every call of RedisService is cancelled at every step: nothing is lost, doubled or left in progress."""

import itertools
import threading
from collections.abc import Awaitable, Callable

import pytest

from loadtest_trio.backends.redis import RedisService
from loadtest_trio.jobs.delivery import Delivery, Settlement
from tests.support.cancellation import Scene, cancel_everywhere
from tests.support.redis_service import make_redis

ELEMENTS = [b"%d" % number for number in range(6)]
QUEUES = itertools.count()

Call = Callable[[RedisService, list[Delivery]], Awaitable[object]]


async def claim(redis: RedisService, held: list[Delivery]) -> None:
    """Claim, and know of it as soon as the call returns."""
    held += await redis.claim(2)


CALLS: dict[str, Call] = {
    "enqueue": lambda redis, _: redis.enqueue([b"new 1", b"new 2"]),
    "claim": claim,
    "settle": lambda redis, held: redis.settle([Settlement.processed(each.token) for each in held]),
    "retry": lambda redis, held: redis.settle(
        [Settlement.retry(each.token, each.element, 0.0) for each in held]
    ),
    "release": lambda redis, held: redis.release([each.token for each in held]),
    "heartbeat": lambda redis, _: redis.heartbeat(),
    "reap": lambda redis, _: redis.reap(),
    "retire": lambda redis, _: redis.retire(),
    "snapshot": lambda redis, _: redis.snapshot(),
}


@pytest.mark.parametrize("name", CALLS)
def test_cancelled_call_is_done_or_not_done(redis_url: str, name: str) -> None:
    """The call is done or not done, the counters agree, and the service continues normally."""

    async def build() -> Scene:
        redis = make_redis(url=redis_url, queue_name=f"q{next(QUEUES)}", consumer="a", backoff=lambda _: 0.01)
        await redis.enqueue(ELEMENTS)
        held = await redis.claim(3)

        async def check(cancelled: bool) -> None:
            snapshot = await redis.snapshot()
            assert snapshot.surplus == 0
            assert snapshot.created in (len(ELEMENTS), len(ELEMENTS) + 2)
            await redis.heartbeat()  # what was claimed and nobody heard of comes back
            await redis.release([each.token for each in held])
            snapshot = await redis.snapshot()
            assert (snapshot.in_flight, snapshot.surplus, snapshot.dead) == (0, 0, 0)
            left = [each.element for each in await redis.claim(100)]
            assert len(set(left)) == len(left) == snapshot.created - snapshot.processed
            redis.close()

        return Scene(lambda: CALLS[name](redis, held), check)

    threads = threading.active_count()
    assert cancel_everywhere(build, real_time=True) >= 2
    assert threading.active_count() <= threads + 4  # Trio keeps idle threads for ten seconds
