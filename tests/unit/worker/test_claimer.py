"""The claimer: claims no more than the workers need, keeps order, and returns what was not started."""

import attrs
import orjson
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from loadtest_trio.errors import MalformedMessageError
from loadtest_trio.jobs.delivery import Delivery
from loadtest_trio.jobs.message import Message
from loadtest_trio.metrics.health_state import HealthState
from loadtest_trio.worker.claimer import Claimer, GiveBack
from loadtest_trio.worker.key_order import KeyOrder
from loadtest_trio.worker.runner import Claimed
from tests.support.handlers import registry_of
from tests.support.memory_redis import MemoryQueue, MemoryRedis


async def _nothing(message: Message) -> None:
    """Do nothing."""


@attrs.define
class Bench:
    """A claimer with its queue and the worker's end of its channel."""

    concurrency: int
    redis: MemoryRedis = attrs.field(factory=MemoryRedis)
    key_order: KeyOrder[Claimed] = attrs.field(factory=lambda: KeyOrder(trio.current_time))
    refused: list[tuple[bytes, str]] = attrs.field(factory=list)
    deferred: list[Claimed] = attrs.field(factory=list)
    queue: MemoryQueue = attrs.field(init=False)
    claimer: Claimer = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.queue = MemoryQueue(self.redis)
        self.claimer = self.make_claimer()

    def make_claimer(self) -> Claimer:
        """Return a claimer on the queue as it is now."""
        return Claimer(
            self.queue,
            registry_of(_nothing),
            self.key_order,
            self.concurrency,
            GiveBack(self.refuse, self.deferred.extend),
            HealthState(trio.current_time, 60),
        )

    def refuse(self, delivery: Delivery, error: MalformedMessageError) -> None:
        """Note an element that is no message."""
        self.refused.append((delivery.element, str(error)))

    def push(self, *keys: str) -> None:
        """Enqueue a READ of each key; its id is its number."""
        for key in keys:
            number = len(self.redis.messages)
            self.redis.push(orjson.dumps({"id": str(number), "operation": "READ", "key": key}))


def ids(taken: list[Claimed]) -> list[str]:
    """Return the ids of the messages."""
    return [each.message.id for each in taken]


async def test_idle_claims_are_bounded_by_one_batch(autojump_clock: MockClock) -> None:
    """Without free workers at most one batch is claimed, no larger than the number of workers."""
    bench = Bench(concurrency=4)
    bench.push(*(f"k{i}" for i in range(20)))
    send, receive = trio.open_memory_channel[Claimed](0)
    with trio.move_on_after(10):
        await bench.claimer.run(send)
    assert len(bench.redis.in_flight["a"]) == 4
    assert len(bench.redis.queue) == 16
    await receive.aclose()


async def test_messages_go_out_in_order(autojump_clock: MockClock) -> None:
    """Free workers get the messages in queue order."""
    bench, taken = Bench(concurrency=3), list[Claimed]()
    bench.push(*(f"k{i}" for i in range(50)))
    send, receive = trio.open_memory_channel[Claimed](0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.claimer.run, send)
        for _ in range(50):
            taken.append(await receive.receive())
        nursery.cancel_scope.cancel()
    assert ids(taken) == [str(number) for number in range(50)]
    assert bench.claimer.unstarted() == []


async def test_all_waiting_workers_are_served_in_one_step(autojump_clock: MockClock) -> None:
    """When the first waiting worker runs, every waiting worker has its message."""
    bench, taken, left = Bench(concurrency=4), list[Claimed](), list[str]()
    bench.push("a", "b", "c", "d")
    send, receive = trio.open_memory_channel[Claimed](0)

    async def work() -> None:
        taken.append(await receive.receive())
        left.extend(bench.claimer.unstarted())

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(work)
        await wait_all_tasks_blocked()
        nursery.start_soon(bench.claimer.run, send)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert sorted(ids(taken)) == ["0", "1", "2", "3"]
    assert left == []


async def test_unstarted_messages_are_returned_in_order(autojump_clock: MockClock) -> None:
    """After cancellation the claimer names the messages not taken; released, they keep their order."""
    bench = Bench(concurrency=5)
    bench.push("a", "b", "a", "c", "a", "d")
    send, receive = trio.open_memory_channel[Claimed](0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.claimer.run, send)
        started = await receive.receive()
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    tokens = bench.claimer.unstarted()
    assert started.message.id == "0"
    assert len(tokens) == 4
    assert await bench.queue.release(tokens) == 4
    waiting = [orjson.loads(element)["id"] for element in reversed(bench.redis.queue)]
    assert waiting == ["1", "2", "3", "4", "5"]
    assert bench.claimer.unstarted() == []


async def test_batch_waiting_for_key_stops_claims(autojump_clock: MockClock) -> None:
    """While a batch waits for a busy key nothing is claimed, so at most two batches are not started."""
    bench = Bench(concurrency=4)
    bench.push(*["hot"] * 30)
    send, receive = trio.open_memory_channel[Claimed](0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.claimer.run, send)
        await receive.receive()
        await trio.sleep(0.9)
        assert bench.key_order.waiting == 7
        assert len(bench.redis.in_flight["a"]) == 8  # one at work
        assert bench.deferred == []
        nursery.cancel_scope.cancel()


async def test_slow_key_does_not_stop_claims_for_others(autojump_clock: MockClock) -> None:
    """Messages that wait long behind one key are handed back in order, and others are claimed."""
    bench, taken = Bench(concurrency=4), list[Claimed]()
    bench.push(*["hot"] * 30, "other")
    send, receive = trio.open_memory_channel[Claimed](0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.claimer.run, send)
        taken.append(await receive.receive())
        with trio.fail_after(3):
            taken.append(await receive.receive())
        nursery.cancel_scope.cancel()
    assert [each.message.key for each in taken] == ["hot", "other"]
    assert ids(bench.deferred) == [str(number) for number in range(1, len(bench.deferred) + 1)]
    assert bench.key_order.waiting + len(bench.deferred) == 29


async def test_malformed_element_is_refused_and_skipped(autojump_clock: MockClock) -> None:
    """A malformed element is passed to `refuse` with the reason, and blocks nothing."""
    bench = Bench(concurrency=10)
    bench.push("a")
    for garbage in (b"", b"\xff", b"{}", b'{"id": 1}'):
        bench.redis.push(garbage)
    bench.push("b")
    send, receive = trio.open_memory_channel[Claimed](0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.claimer.run, send)
        assert [(await receive.receive()).message.key for _ in range(2)] == ["a", "b"]
        nursery.cancel_scope.cancel()
    assert [element for element, _ in bench.refused] == [b"", b"\xff", b"{}", b'{"id": 1}']
    assert all(reason.startswith("not a message: ") for _, reason in bench.refused)


async def test_empty_queue_is_polled_twenty_times_a_second(autojump_clock: MockClock) -> None:
    """An empty queue is polled about 20 times per second, so a message is seen within 50 ms."""
    seen: list[str] = []
    bench = Bench(concurrency=10)
    bench.queue = MemoryQueue(bench.redis, observe=lambda kind, *_: seen.append(kind))
    bench.claimer = bench.make_claimer()
    send, receive = trio.open_memory_channel[Claimed](0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.claimer.run, send)
        await trio.sleep(10)
        assert 190 <= seen.count("claim") <= 220
        await trio.sleep(0.013)
        bench.push("a")
        before = trio.current_time()
        await receive.receive()
        assert trio.current_time() - before <= 0.0501
        nursery.cancel_scope.cancel()


async def test_unknown_operation_is_refused_with_the_reason(autojump_clock: MockClock) -> None:
    """A message that no handler accepts, or without a required key, is refused with the reason."""
    bench = Bench(concurrency=10)
    bench.redis.push(orjson.dumps({"id": "1", "operation": "FLY", "key": "k"}))
    bench.redis.push(orjson.dumps({"id": "2", "operation": "READ"}))
    bench.push("a")
    send, receive = trio.open_memory_channel[Claimed](0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.claimer.run, send)
        assert (await receive.receive()).message.key == "a"
        nursery.cancel_scope.cancel()
    assert [reason for _, reason in bench.refused] == [
        "unknown operation 'FLY': known are READ, UPDATE, CREATE, DELETE",
        "READ needs a key",
    ]


async def test_small_claims_are_followed_by_a_pause(autojump_clock: MockClock) -> None:
    """Messages that come in one by one are claimed several at a time."""
    bench, claims = Bench(concurrency=64), list[int]()
    claim = bench.queue.claim

    async def counted(limit: int) -> list[Delivery]:
        deliveries = await claim(limit)
        claims.append(len(deliveries))
        return deliveries

    bench.queue.claim = counted  # type: ignore[method-assign]  # to look at it
    send, receive = trio.open_memory_channel[Claimed](100)
    async with trio.open_nursery() as nursery, receive:
        nursery.start_soon(bench.claimer.run, send)
        for number in range(100):
            bench.push(f"k{number}")
            await trio.sleep(0.001)
        nursery.cancel_scope.cancel()
    assert 90 <= sum(claims) <= 100
    assert len(claims) <= 25


async def test_settlement_precedes_claim_from_starved_queue(autojump_clock: MockClock) -> None:
    """Where each settlement puts the next messages on the queue, hardly any claim comes back empty."""
    bench, calls, taken = Bench(concurrency=64), list[str](), list[Claimed]()
    claim = bench.queue.claim

    async def noted_claim(limit: int) -> list[Delivery]:
        deliveries = await claim(limit)
        calls.append("claim" if deliveries else "empty")
        return deliveries

    async def settle() -> int:
        if not (settled := len(taken)):
            return 0
        calls.append("settle")
        taken.clear()
        bench.push(*(f"{len(calls)} {number}" for number in range(settled)))  # the next of each lane
        return settled

    async def work() -> None:
        while True:
            taken.append(await receive.receive())

    bench.queue.claim = noted_claim  # type: ignore[method-assign]  # to look at it
    bench.claimer._settle_jobs = settle
    send, receive = trio.open_memory_channel[Claimed](0)
    bench.push(*(f"k{number}" for number in range(10)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        nursery.start_soon(bench.claimer.run, send)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert calls[:6] == ["claim", "empty", "settle", "claim", "settle", "claim"]
    assert calls.count("empty") == 1
    assert calls.count("claim") > 500
