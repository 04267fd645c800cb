"""MemoryQueue and RedisService behave alike, so tests with the one are valid for the other."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import orjson
import pytest
import trio

from loadtest_trio.backends.embedded import RedisServer
from loadtest_trio.backends.redis import ReapResult, ServerInfo, dead_record
from loadtest_trio.errors import LoadtestError, RedisUnavailableError
from loadtest_trio.jobs.delivery import Delivery, Settlement
from loadtest_trio.jobs.ledger import QueueSnapshot
from loadtest_trio.jobs.message import Message
from tests.support.memory_redis import MemoryQueue, MemoryRedis
from tests.support.redis_service import make_redis

TTL = 1.0
"""Time to live where a test waits for its end: the silent must outlast it, and nobody else may."""

PATIENCE = 30.0


class Queue(Protocol):
    """What both are."""

    async def connect(self) -> ServerInfo: ...
    async def enqueue(self, elements: list[bytes]) -> int: ...
    async def claim(self, limit: int) -> list[Delivery]: ...
    async def settle(self, settlements: list[Settlement]) -> list[bool]: ...
    async def release(self, tokens: list[str]) -> int: ...
    async def retire(self) -> None: ...
    async def heartbeat(self) -> None: ...
    async def reap(self) -> ReapResult: ...
    async def length(self) -> int: ...
    async def snapshot(self) -> QueueSnapshot: ...
    def close(self) -> None: ...


Make = Callable[..., Queue]


@pytest.fixture(params=["memory", "redis"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Makes consumers of one empty queue, in memory and on a real server."""
    made: list[Queue] = []
    memory = MemoryRedis() if request.param == "memory" else None
    url = "" if memory else request.getfixturevalue("redis_url")

    def make(consumer: str = "a", **options: Any) -> Queue:
        if memory:
            queue: Any = MemoryQueue(memory, consumer, **options)
        else:
            queue = make_redis(
                url=url, queue_name="q", consumer=consumer, **({"backoff": lambda _: 0.02} | options)
            )
        made.append(queue)
        return made[-1]

    yield make
    for queue in made:
        queue.close()


async def places(queue: Queue) -> dict[str, int]:
    """Return the places and counters that are not 0."""
    snapshot = await queue.snapshot()
    names = ("queued", "in_flight", "delayed", "dead", "created", "processed", "missed", "consumers")
    return {name: value for name in names if (value := getattr(snapshot, name))}


async def claimed(queue: Queue, limit: int) -> list[bytes]:
    """Claim and return the elements."""
    return [delivery.element for delivery in await queue.claim(limit)]


async def test_queue_is_first_in_first_out(make: Make) -> None:
    """Messages go out in the order in which they came in; enqueue and length return the number queued."""
    queue = make()
    await queue.connect()
    assert await queue.enqueue([b"1", b"2"]) == 2
    assert await queue.enqueue([b"3"]) == 3
    assert await queue.enqueue([]) == await queue.length() == 3
    assert await claimed(queue, 2) == [b"1", b"2"]
    assert await claimed(queue, 2) == [b"3"]
    assert await claimed(queue, 2) == []
    assert await places(queue) == {"in_flight": 3, "created": 3, "consumers": 1}


async def test_snapshot_has_due_time_of_next_message(make: Make) -> None:
    """The snapshot returns when the next message was due, if the message contains it."""
    queue = make()
    deceit = '"x","created_at":1,'  # text in a key is no field
    first, second = (
        Message("m", "READ", deceit, created_at=due, params={"created_at": 3}).encode()
        for due in (1_790_000_000.125, 1_790_000_001.5)
    )
    found = [(await queue.snapshot()).oldest_at]
    await queue.enqueue([first, second, b"no message", b'{"id": "a", "operation": "b"}'])
    for _ in range(4):
        found.append((await queue.snapshot()).oldest_at)
        await queue.claim(1)
    assert found == [None, 1_790_000_000.125, 1_790_000_001.5, None, None]
    assert (await queue.snapshot()).oldest_at is None


async def test_empty_requests_change_nothing(make: Make) -> None:
    """Empty requests are no errors and change nothing, not even the registered consumers."""
    queue = make()
    assert await queue.claim(0) == []
    assert await queue.settle([]) == []
    assert await queue.release([]) == 0
    assert await places(queue) == {}


async def test_claim_is_bounded(make: Make) -> None:
    """One claim returns at most 1,000 messages."""
    queue = make()
    await queue.enqueue([b"%d" % i for i in range(1500)])
    assert len(await queue.claim(5000)) == 1000
    assert len(await queue.claim(5000)) == 500


async def test_each_outcome_is_counted_in_its_place(make: Make) -> None:
    """Processed and missed are counted, a retry waits, a dead one is on the dead list."""
    queue = make()
    await queue.enqueue([b"p", b"m", b"r", b"d", b"left"])
    p, m, r, d, _ = (delivery.token for delivery in await queue.claim(5))
    record = dead_record(b"d", error="no", attempts=1, time=1.0)
    ends = [
        Settlement.processed(p),
        Settlement.missed(m),
        Settlement.retry(r, b"r", 60),
        Settlement.dead(d, record),
    ]
    assert await queue.settle(ends) == [True, True, True, True]
    assert await queue.settle(ends[:2]) == [False, False]
    assert await places(queue) == {
        "created": 5,
        "processed": 1,
        "missed": 1,
        "delayed": 1,
        "dead": 1,
        "in_flight": 1,
        "consumers": 1,
    }
    assert (await queue.snapshot()).surplus == 0


async def test_due_retries_go_before_the_queue(make: Make) -> None:
    """A retry returns no sooner than its delay, then before the queue, earliest due first."""
    queue = make()
    await queue.enqueue([b"a", b"b", b"new"])
    a, b = (delivery.token for delivery in await queue.claim(2))
    await queue.settle([Settlement.retry(a, b"a2", 0.2), Settlement.retry(b, b"b2", 0.1)])
    await trio.sleep(0.3)
    assert await claimed(queue, 3) == [b"b2", b"a2", b"new"]


async def test_retry_waits_until_due(make: Make) -> None:
    """A retry that is not due is not delivered; queued messages are."""
    queue = make()
    await queue.enqueue([b"a", b"b"])
    a, b = await queue.claim(2)
    await queue.settle([Settlement.retry(a.token, b"a", 3600), Settlement.processed(b.token)])
    assert await claimed(queue, 1) == []
    await queue.enqueue([b"c"])
    assert await claimed(queue, 2) == [b"c"]
    assert await places(queue) == {
        "delayed": 1, "in_flight": 1, "created": 3, "processed": 1, "consumers": 1
    }  # fmt: skip


async def test_short_retry_becomes_due_by_itself(make: Make) -> None:
    """A retry is delivered once its delay is over, and not before."""
    queue = make()
    await queue.enqueue([b"a"])
    (delivery,) = await queue.claim(1)
    start = trio.current_time()
    await queue.settle([Settlement.retry(delivery.token, b"a2", 0.2)])
    with trio.fail_after(PATIENCE):
        while not (elements := await claimed(queue, 1)):  # noqa: ASYNC110  # nobody says when it is due
            await trio.sleep(0.01)
    assert trio.current_time() - start >= 0.19  # servers count whole milliseconds
    assert elements == [b"a2"]


async def test_retired_consumer_is_not_registered_again(make: Make) -> None:
    """A heartbeat or a reaping after retirement registers nobody; a new claim does."""
    queue, other = make("a"), make("b")
    await queue.enqueue([b"1"])
    await queue.retire()
    await queue.heartbeat()
    assert await queue.reap() == ReapResult(0, 0, 0)
    assert await places(other) == {"queued": 1, "created": 1}
    assert await claimed(queue, 1) == [b"1"]
    await queue.heartbeat()
    assert await places(other) == {"in_flight": 1, "created": 1, "consumers": 1}


async def test_release_keeps_the_order(make: Make) -> None:
    """Released messages go out first in their old order; their tokens are stale."""
    queue = make()
    await queue.enqueue([b"1", b"2", b"3", b"4"])
    tokens = [delivery.token for delivery in await queue.claim(3)]
    assert await queue.release([tokens[2], tokens[0], tokens[1], "unknown"]) == 3
    assert await queue.settle([Settlement.processed(tokens[0])]) == [False]
    assert await claimed(queue, 4) == [b"1", b"2", b"3", b"4"]


async def test_tokens_sort_in_claim_order(make: Make) -> None:
    """Tokens of later claims sort after earlier ones, as text."""
    queue = make()
    await queue.enqueue([b"%d" % i for i in range(30)])
    tokens = [delivery.token for _ in range(3) for delivery in await queue.claim(10)]
    assert tokens == sorted(tokens)
    assert len(set(tokens)) == 30


async def test_retire_returns_everything(make: Make) -> None:
    """A retiring consumer returns its messages and is no longer registered."""
    queue, other = make("a"), make("b")
    await queue.enqueue([b"1", b"2", b"3"])
    deliveries = await queue.claim(2)
    await queue.retire()
    assert await places(other) == {"queued": 3, "created": 3}
    assert await queue.settle([Settlement.processed(deliveries[0].token)]) == [False]
    assert await claimed(other, 3) == [b"1", b"2", b"3"]


async def test_consumers_do_not_share_messages(make: Make) -> None:
    """No message goes to two consumers, and no consumer can settle another's."""
    one, other = make("a"), make("b")
    await one.enqueue([b"1", b"2"])
    (mine,), (theirs,) = await one.claim(1), await other.claim(1)
    assert {mine.element, theirs.element} == {b"1", b"2"}
    assert await one.release([mine.token]) == 1
    assert await other.settle([Settlement.processed(theirs.token)]) == [True]
    assert await places(one) == {"queued": 1, "created": 2, "processed": 1, "consumers": 2}


async def reaped(alive: Queue) -> ReapResult:
    """Return what the reaper finds at last; who reaps is heard all the time."""
    with trio.fail_after(PATIENCE):
        while (result := await alive.reap()) == ReapResult(0, 0, 0):  # noqa: ASYNC110  # so does a service
            await trio.sleep(TTL / 20)
    return result


async def test_silent_consumer_is_reaped(make: Make) -> None:
    """A consumer silent for longer than its time to live loses its messages and settles none of them."""
    dead, alive = make("dead", heartbeat_ttl=TTL), make("alive", heartbeat_ttl=TTL)
    await alive.enqueue([b"1", b"2"])
    deliveries = await dead.claim(2)
    assert await reaped(alive) == ReapResult(1, 2, 0)
    assert await dead.settle([Settlement.processed(deliveries[0].token)]) == [False]
    again = await alive.claim(2)
    assert [delivery.element for delivery in again] == [b"1", b"2"]
    await alive.settle([Settlement.processed(delivery.token) for delivery in again])
    assert await places(alive) == {"created": 2, "processed": 2, "consumers": 1}


async def test_poison_message_ends_dead(make: Make) -> None:
    """A message delivered `max_deliveries` times to consumers that died goes to the dead list."""
    alive = make("alive", heartbeat_ttl=TTL, max_deliveries=2)
    await alive.enqueue([b"1"])
    for name, result in (("one", ReapResult(1, 1, 0)), ("two", ReapResult(1, 0, 1))):
        await make(name, heartbeat_ttl=TTL).claim(1)
        assert await reaped(alive) == result
    assert await places(alive) == {"created": 1, "dead": 1, "consumers": 1}


async def test_a_message_on_its_last_delivery_is_claimed_alone(make: Make) -> None:
    """It waits for the consumer's other work, nothing follows it, and then all goes on as before."""
    alive = make("alive", heartbeat_ttl=TTL, max_deliveries=2)
    await alive.enqueue([b"1", b"2", b"3"])
    await make("dead", heartbeat_ttl=TTL, max_deliveries=2).claim(2)
    assert await reaped(alive) == ReapResult(1, 2, 0)
    await alive.enqueue([b"4"])
    for expected in ([b"1"], [b"2"], [b"3", b"4"]):
        deliveries = await alive.claim(9)
        assert [delivery.element for delivery in deliveries] == expected
        assert await alive.claim(9) == []
        await alive.settle([Settlement.processed(delivery.token) for delivery in deliveries])


async def test_work_in_hand_is_finished_before_a_message_on_its_last_delivery(make: Make) -> None:
    """What comes before it is still claimed; it comes when everything is settled."""
    alive = make("alive", heartbeat_ttl=TTL, max_deliveries=2)
    await alive.enqueue([b"suspect"])
    await make("dead", heartbeat_ttl=TTL, max_deliveries=2).claim(1)
    await alive.enqueue([b"later"])
    assert await reaped(alive) == ReapResult(1, 1, 0)
    (suspect,) = await alive.claim(9)
    await alive.release([suspect.token])
    other = make("other", heartbeat_ttl=TTL, max_deliveries=2)
    (suspect,) = await other.claim(9)
    assert [each.element for each in await alive.claim(9)] == [b"later"]
    await other.release([suspect.token])
    assert await alive.claim(9) == []
    assert [each.element for each in await other.claim(9)] == [b"suspect"]


async def test_neighbours_of_a_message_that_kills_its_consumers_live(make: Make) -> None:
    """However often it kills the consumer that holds them all, it alone ends dead."""
    alive = make("alive", heartbeat_ttl=TTL, max_deliveries=3)
    await alive.enqueue([b"1", b"poison", b"2"])
    for life in range(4):
        victim = make(f"victim{life}", heartbeat_ttl=TTL, max_deliveries=3)
        while True:
            deliveries = await victim.claim(9)
            if not deliveries or b"poison" in [each.element for each in deliveries]:
                break
            await victim.settle([Settlement.processed(each.token) for each in deliveries])
        if not deliveries:
            await victim.retire()
            break
        await reaped(alive)
    assert await places(alive) == {"created": 3, "processed": 2, "dead": 1, "consumers": 1}


async def test_consumers_get_time_after_a_common_silence(make: Make) -> None:
    """If all consumers were silent, each gets a time to live to come back."""
    ttl = 0.2
    one, other = make("a", heartbeat_ttl=ttl), make("b", heartbeat_ttl=ttl)
    await one.enqueue([b"1"])
    await one.claim(1)
    await other.heartbeat()
    await trio.sleep(1.5 * ttl)  # or longer: the silence is what counts
    assert await other.reap() == ReapResult(0, 0, 0)
    assert (await places(one))["in_flight"] == 1


async def test_calls_are_observed(make: Make) -> None:
    """The observer receives every call with its kind and number of elements."""
    seen: list[tuple[str, int]] = []

    def observe(kind: str, seconds: float, size: int, error: LoadtestError | None) -> None:
        assert seconds >= 0
        assert error is None
        seen.append((kind, size))

    queue = make(observe=observe)
    await queue.enqueue([b"1", b"2"])
    deliveries = await queue.claim(5)
    await queue.settle([Settlement.processed(delivery.token) for delivery in deliveries])
    await queue.length()
    await queue.snapshot()
    await queue.heartbeat()
    assert seen == [
        ("enqueue", 2),
        ("claim", 2),
        ("settle", 2),
        ("length", 0),
        ("snapshot", 0),
        ("heartbeat", 0),
    ]


async def test_elements_are_arbitrary_bytes(make: Make) -> None:
    """Elements are arbitrary bytes, and equal ones are kept apart."""
    queue = make()
    elements = [b"", b"\x00", b"\xff\n", b"same", b"same", orjson.dumps({"ü": 1})]
    await queue.enqueue(elements)
    deliveries = await queue.claim(10)
    assert [delivery.element for delivery in deliveries] == elements
    await queue.settle([Settlement.retry(each.token, each.element, 0) for each in deliveries])
    assert (await places(queue))["delayed"] == len(elements)
    await trio.sleep(0.01)
    assert sorted(await claimed(queue, 10)) == sorted(elements)


class Switch:
    """Stops and continues what a queue talks to."""

    def __init__(self, off: Callable[[], object], on: Callable[[], object], queue: Queue) -> None:
        self.off, self.on, self.queue = off, on, queue


@pytest.fixture(params=["memory", "redis"])
def switch(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Callable[..., Switch]]:
    """Makes a queue whose server can go away and come back with its data."""
    made: list[Any] = []

    def make(**options: Any) -> Switch:
        if request.param == "memory":
            memory = MemoryRedis()
            return Switch(memory.go_away, memory.come_back, MemoryQueue(memory, **options))
        server = RedisServer.start(tmp_path)
        queue = make_redis(url=server.url, queue_name="q", consumer="a", **options)
        made.extend([queue, server])
        return Switch(server.kill, server.restart, queue)

    yield make
    for each in made:
        each.close()


async def test_calls_wait_for_the_end_of_an_outage(switch: Callable[..., Switch]) -> None:
    """During an outage a call waits and reports failed attempts; then it succeeds, once."""
    told: list[object] = []
    both = switch(on_outage=told.append, backoff=lambda _: 0.05)
    await both.queue.enqueue([b"1"])
    assert told == []
    both.off()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(both.queue.enqueue, [b"2"])
        await trio.sleep(0.3)
        assert len(told) >= 2
        assert all(isinstance(error, RedisUnavailableError) for error in told)
        with pytest.raises(RedisUnavailableError):
            await both.queue.connect()
        await trio.to_thread.run_sync(both.on)
    assert told[-1] is None
    assert told.count(None) == 1
    assert await claimed(both.queue, 5) == [b"1", b"2"]


async def test_waiting_call_can_be_cancelled(switch: Callable[..., Switch]) -> None:
    """A cancel scope bounds the wait for the end of an outage, and the queue stays usable."""
    both = switch(backoff=lambda _: 0.05)
    await both.queue.enqueue([b"1"])
    both.off()
    with trio.move_on_after(0.2) as scope:
        await both.queue.claim(1)
    assert scope.cancelled_caught
    await trio.to_thread.run_sync(both.on)
    assert await claimed(both.queue, 5) == [b"1"]
