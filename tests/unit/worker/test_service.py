"""The worker service: every claimed message ends somewhere, in order per key, however the service stops."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from random import Random
from typing import Any, NoReturn

import attrs
import orjson
import pytest
import trio
from trio.testing import MockClock

from loadtest_trio.backends.redis import DeadLetter
from loadtest_trio.errors import (
    LoadtestError,
    ObjectMissingError,
    RedisRejectedError,
    S3RejectedError,
    S3ServerError,
)
from loadtest_trio.jobs.message import Message, Operation
from loadtest_trio.metrics.counters import Metrics
from loadtest_trio.metrics.health_state import HealthState
from loadtest_trio.scheduler.inventory import Inventory
from loadtest_trio.worker import Listeners, Runner, WorkerOptions, WorkerService
from tests.support.handlers import Work, registry_of
from tests.support.in_memory import UNIX_EPOCH, unix_clock
from tests.support.log_lines import LogLines
from tests.support.memory_redis import MemoryQueue, MemoryRedis

pytestmark = pytest.mark.usefixtures("log_lines")


@attrs.define
class Bench:
    """A worker service on an in-memory queue, with handlers for the test."""

    work: Work
    concurrency: int = 10
    ttl: float = 15.0
    consumer: str = "a"
    redis: MemoryRedis = attrs.field(factory=MemoryRedis)
    metrics: Metrics = attrs.field(factory=Metrics)
    inventory: Inventory = attrs.field(factory=lambda: Inventory(Random(1), trio.current_time))
    health_state: HealthState = attrs.field(factory=lambda: HealthState(trio.current_time, 60))
    failures: list[LoadtestError] = attrs.field(factory=list)
    queue: MemoryQueue = attrs.field(init=False)
    service: WorkerService = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.queue = MemoryQueue(self.redis, self.consumer, heartbeat_ttl=self.ttl)
        runner = Runner(
            rng=Random(1),
            out_since=lambda backend: None,
            on_failure=lambda message, attempt, error: self.failures.append(error),
            unix_clock=unix_clock,
        )
        self.service = WorkerService(
            queue=self.queue,
            registry=registry_of(self.work),
            runner=runner,
            listeners=Listeners(self.inventory.completed),
            metrics=self.metrics,
            health_state=self.health_state,
            options=WorkerOptions(self.concurrency, self.ttl),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the service for the length of the block, then stop it with a grace period."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.service.run)
            yield
            self.service.stop(30)

    async def enqueue(self, messages: Iterable[Message]) -> None:
        """Put messages on the queue."""
        await self.queue.enqueue([message.encode() for message in messages])

    def places(self) -> dict[str, int]:
        """Return where the messages are, as far as anywhere."""
        snapshot = self.redis.snapshot()
        assert snapshot.surplus == 0
        names = ("queued", "in_flight", "delayed", "dead", "processed", "missed", "consumers")
        return {name: value for name in names if (value := getattr(snapshot, name))}


def read(number: int, key: str = "", **changes: Any) -> Message:
    """Return a READ."""
    return attrs.evolve(
        Message(str(number), Operation.READ, key or f"k{number}", created_at=UNIX_EPOCH), **changes
    )


async def instantly(message: Message) -> None:
    """Do nothing."""
    await trio.lowlevel.checkpoint()


async def slowly(message: Message) -> None:
    """Take a second."""
    await trio.sleep(1)


async def test_all_messages_are_processed(autojump_clock: MockClock) -> None:
    """A thousand messages are processed, settled, counted and measured; then the consumer retires."""
    bench = Bench(slowly)
    await bench.enqueue(read(number) for number in range(1000))
    async with bench.running():
        await trio.sleep(120)
        assert bench.places() == {"processed": 1000, "consumers": 1}
        stats = bench.metrics.operations[Operation.READ]
        assert (stats.processed, stats.missed, stats.failed) == (1000, 0, 0)
        assert sum(stats.service_ms.collect().values()) == 1000
    assert bench.places() == {"processed": 1000}


async def test_concurrency_is_used_and_not_exceeded(autojump_clock: MockClock) -> None:
    """With enough messages all workers work at the same time, and never more."""
    at_work, most = 0, 0

    async def handle(message: Message) -> None:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await trio.sleep(1)
        at_work -= 1

    bench = Bench(handle, concurrency=7)
    await bench.enqueue(read(number) for number in range(70))
    async with bench.running():
        await trio.sleep(10.5)
    assert most == 7
    assert bench.places() == {"processed": 70}


@pytest.mark.parametrize("seed", range(5))
async def test_one_key_at_a_time_and_in_order(autojump_clock: MockClock, seed: int) -> None:
    """With 20 workers of random speed, operations on one key never overlap and keep the queue's order."""
    rng, busy, order = Random(seed), set[str](), defaultdict[str, list[int]](list)

    async def handle(message: Message) -> None:
        assert message.key not in busy
        busy.add(message.key)
        order[message.key].append(int(message.id))
        await trio.sleep(rng.expovariate(10))
        busy.remove(message.key)

    bench = Bench(handle, concurrency=20)
    await bench.enqueue(read(number, f"k{rng.randrange(8)}") for number in range(400))
    async with bench.running():
        await trio.sleep(120)
    assert bench.places() == {"processed": 400}
    assert all(numbers == sorted(numbers) for numbers in order.values())


async def test_busy_key_does_not_occupy_workers(autojump_clock: MockClock) -> None:
    """Messages that wait for a key occupy no worker: others are processed meanwhile."""
    bench = Bench(slowly, concurrency=4)
    hot = [read(number, "hot") for number in range(3)]
    await bench.enqueue([*hot, *(read(number) for number in range(10, 13))])
    async with bench.running():
        await trio.sleep(1.2)
        assert bench.redis.counters["processed"] == 4
        await trio.sleep(5)
    assert bench.places() == {"processed": 6}


class PoisonError(Exception):
    """An unexpected error of the worker itself, not an error that a handler may raise."""


async def test_message_that_crashes_workers_ends_dead(autojump_clock: MockClock) -> None:
    """Each crash counts as a delivery: after five, the message is dead; the others are processed."""
    redis = MemoryRedis()
    await Bench(instantly, redis=redis).enqueue([read(1), read(2, "poison"), read(3)])
    crashes = 0
    for incarnation in range(8):
        bench = Bench(instantly, redis=redis, consumer=f"life-{incarnation}", ttl=3.0)
        handled = bench.metrics.handled

        def crash(message: Message, handled: Any = handled, **times: float) -> None:
            if message.key == "poison":
                raise PoisonError
            handled(message, **times)

        bench.metrics.handled = crash  # type: ignore[method-assign] # where no handler's error is caught
        try:
            async with bench.running():
                await trio.sleep(20)
        except* PoisonError:
            crashes += 1
    assert crashes == 5
    assert bench.places() == {"processed": 2, "dead": 1}
    letter = DeadLetter.parse(redis.dead[0])
    assert (letter.key, letter.error) == ("poison", "delivered 5 times and never settled")


@pytest.mark.parametrize("error", [RedisRejectedError("no permission"), KeyboardInterrupt()])
async def test_end_without_crash_does_not_count_as_delivery(
    autojump_clock: MockClock, error: BaseException
) -> None:
    """If Redis refuses or the user interrupts, messages return to the queue uncounted."""
    bench = Bench(slowly, ttl=0.5)
    await bench.enqueue([read(1)])

    async def fail() -> NoReturn:
        raise error

    bench.queue.reap = fail  # type: ignore[method-assign] # a call that the service makes twice a time to live
    with pytest.raises(BaseExceptionGroup):
        await bench.service.run()
    assert bench.places() == {"queued": 1}
    assert bench.redis.deliveries == {}


async def test_stuck_key_does_not_block_others(autojump_clock: MockClock) -> None:
    """The backlog of a key whose work takes a minute returns to the queue for free; others continue."""

    async def handle(message: Message) -> None:
        await trio.sleep(60 if message.key == "stuck" else 0.01)

    bench = Bench(handle, concurrency=4)
    await bench.enqueue([read(number, "stuck") for number in range(20)])
    async with bench.running():
        await trio.sleep(5)
        for number in range(100, 200):
            await bench.enqueue([read(number)])
            await trio.sleep(0.1)
        assert bench.redis.counters["processed"] >= 98
        assert not bench.redis.dead
        await trio.sleep(30 * 60)
    assert bench.places() == {"processed": 120}


async def test_every_outcome_is_counted(autojump_clock: MockClock) -> None:
    """Processed, missed, retried and dead messages end in their places, with their counters."""

    async def handle(message: Message) -> None:
        await trio.lowlevel.checkpoint()
        errors = {
            "missing": ObjectMissingError("x"),
            "denied": S3RejectedError("no"),
            "shaky": S3ServerError("x"),
        }
        if message.key in errors:
            raise errors[message.key]

    bench = Bench(handle)
    await bench.enqueue([read(1, "fine"), read(2, "missing"), read(3, "denied"), read(4, "shaky")])
    async with bench.running():
        await trio.sleep(60)
    assert bench.places() == {"processed": 1, "missed": 1, "dead": 2}
    totals = bench.metrics.totals
    assert [totals[name] for name in ("processed", "missed", "retry", "dead")] == [1, 1, 2, 2]
    stats = bench.metrics.operations[Operation.READ]
    assert (stats.processed, stats.missed, stats.failed) == (1, 1, 2)
    assert len(bench.failures) == 1 + 3 * 4  # one denied; three deliveries of four attempts


async def test_failing_message_is_retried_then_dead(autojump_clock: MockClock) -> None:
    """A message that always fails is put back twice, then dead with its attempts and last error."""

    async def handle(message: Message) -> None:
        await trio.lowlevel.checkpoint()
        raise S3ServerError("it failed", code="InternalError", status=500)

    bench = Bench(handle)
    await bench.enqueue([read(1, "k")])
    async with bench.running():
        await trio.sleep(60)
    assert bench.places() == {"dead": 1}
    letter = DeadLetter.parse(bench.redis.dead[0])
    assert (letter.id, letter.operation, letter.key, letter.attempts) == ("1", "READ", "k", 12)
    assert letter.error == "it failed [code=InternalError status=500]"
    assert letter.time > UNIX_EPOCH
    assert orjson.loads(letter.element)["retries"] == 2
    assert len(bench.failures) == 12  # three deliveries of four attempts


GARBAGE = [b"", b"\xff\xfe", b"[]", b'{"id":"1"}', b"null", b'{"id":"x","operation":"ERASE","key":"k"}']


async def test_malformed_elements_end_on_dead_list(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """Malformed elements go to the dead list with the reason, and later messages are processed."""
    bench = Bench(instantly)
    await bench.queue.enqueue(GARBAGE)
    await bench.enqueue([read(1)])
    async with bench.running():
        await trio.sleep(1)
    assert bench.places() == {"processed": 1, "dead": len(GARBAGE)}
    letters = [DeadLetter.parse(record) for record in bench.redis.dead]
    assert {letter.element for letter in letters} == set(GARBAGE)
    assert all(letter.error.startswith(("not a message", "unknown operation")) for letter in letters)
    assert bench.metrics.totals["errors"] == len(GARBAGE)
    assert log_lines.of("message_malformed")


async def test_unexpected_exception_ends_one_message(autojump_clock: MockClock) -> None:
    """An unexpected exception in a handler ends only its own message."""

    async def handle(message: Message) -> None:
        await trio.lowlevel.checkpoint()
        if message.id == "3":
            raise ZeroDivisionError("oops")

    bench = Bench(handle)
    await bench.enqueue(read(number) for number in range(6))
    async with bench.running():
        await trio.sleep(1)
    assert bench.places() == {"processed": 5, "dead": 1}
    assert DeadLetter.parse(bench.redis.dead[0]).error == "ZeroDivisionError: oops"


async def test_inventory_follows_settled_operations(autojump_clock: MockClock) -> None:
    """Settled CREATEs and DELETEs change the inventory; failures undo the plan."""

    async def handle(message: Message) -> None:
        await trio.lowlevel.checkpoint()
        if "bad" in message.key:
            raise S3RejectedError("no")

    bench = Bench(handle, concurrency=2)
    for key in ("old", "bad-old"):
        bench.inventory.created(key)
        assert bench.inventory.take() == key
    for key in ("new", "bad-new"):
        bench.inventory.expect(key)
    operations = {"old": "DELETE", "bad-old": "DELETE", "new": "CREATE", "bad-new": "CREATE"}
    await bench.enqueue(Message(key, Operation(name), key) for key, name in operations.items())
    async with bench.running():
        await trio.sleep(1)
    assert {bench.inventory.choose() for _ in range(50)} == {"new"}
    assert (bench.inventory.objects, bench.inventory.planned, bench.inventory.set_aside) == (1, 1, 1)


async def test_stop_releases_unstarted_messages(autojump_clock: MockClock) -> None:
    """On stop, work in progress finishes and the rest returns to the queue in its old order."""
    bench = Bench(slowly, concurrency=3)
    await bench.enqueue(read(number) for number in range(20))
    async with trio.open_nursery() as nursery:
        await nursery.start(bench.service.run)
        await trio.sleep(0.5)
        assert len(bench.redis.in_flight["a"]) == 6  # three at work, one batch not started
        before = trio.current_time()
        bench.service.stop(30)
    assert trio.current_time() - before < 0.7
    assert bench.places() == {"processed": 3, "queued": 17}
    assert [orjson.loads(element)["id"] for element in reversed(bench.redis.queue)] == [
        str(number) for number in range(3, 20)
    ]


async def test_unfinished_work_returns_after_grace_period(autojump_clock: MockClock) -> None:
    """Work that is not done in time returns to the queue, and no task is left."""

    async def handle(message: Message) -> None:
        await trio.sleep(1 if message.id == "0" else 3600)

    bench = Bench(handle, concurrency=3)
    await bench.enqueue(read(number) for number in range(10))
    async with trio.open_nursery() as nursery:
        await nursery.start(bench.service.run)
        await trio.sleep(0.5)
        before = trio.current_time()
        bench.service.stop(10)
    assert 10 <= trio.current_time() - before < 10.1
    assert bench.places() == {"processed": 1, "queued": 9}


async def test_second_stop_can_shorten_grace_period(autojump_clock: MockClock) -> None:
    """A second stop with less grace shortens the period; one with more does not extend it."""

    async def handle(message: Message) -> None:
        await trio.sleep_forever()

    bench = Bench(handle)
    await bench.enqueue([read(1)])
    async with trio.open_nursery() as nursery:
        await nursery.start(bench.service.run)
        await trio.sleep(0.5)
        bench.service.stop(30)
        await trio.sleep(1)
        bench.service.stop(0)
        bench.service.stop(60)
        before = trio.current_time()
    assert trio.current_time() - before < 0.1
    assert bench.places() == {"queued": 1}


async def test_stop_without_redis_is_bounded(autojump_clock: MockClock) -> None:
    """Without Redis a stop ends within the grace period and a few seconds; the record keeps the messages."""
    bench = Bench(slowly, concurrency=2)
    await bench.enqueue(read(number) for number in range(4))
    async with trio.open_nursery() as nursery:
        await nursery.start(bench.service.run)
        await trio.sleep(0.5)
        bench.redis.go_away()
        before = trio.current_time()
        bench.service.stop(10)
    assert trio.current_time() - before < 16
    assert bench.queue.under_way == 0
    bench.redis.come_back()
    assert bench.places() == {"in_flight": 4, "consumers": 1}


async def test_redis_outage_loses_nothing(autojump_clock: MockClock) -> None:
    """Work finished during a Redis outage is settled afterwards, and work continues."""
    bench = Bench(slowly)
    await bench.enqueue(read(number) for number in range(100))
    async with bench.running():
        await trio.sleep(2.5)
        bench.redis.go_away()
        await trio.sleep(60)
        before = bench.redis.counters["processed"]
        bench.redis.come_back()
        await trio.sleep(1)
        assert bench.redis.counters["processed"] >= before + 10
        await trio.sleep(30)
        assert bench.places() == {"processed": 100, "consumers": 1}
        assert bench.metrics.totals["stale"] == 0


async def test_result_of_reaped_consumer_is_stale(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """Results of a reaped consumer are stale: logged, and never counted as success."""
    bench = Bench(slowly)
    await bench.enqueue([read(1)])
    async with bench.running():
        await trio.sleep(0.5)
        (token,) = bench.redis.in_flight["a"]
        bench.redis.give_back("a", [token])
        bench.redis.queue.clear()
        bench.redis.counters["lost"] += 1
        await trio.sleep(5)
        assert bench.metrics.totals["stale"] == 1
        assert bench.metrics.totals["processed"] == 0
        assert log_lines.of("settlement_stale")[0]["id"] == "1"


async def test_silent_consumer_is_reaped(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """A live service takes over the messages of a silent consumer and logs it."""
    bench = Bench(instantly, ttl=5)
    dead = MemoryQueue(bench.redis, "dead", heartbeat_ttl=5)
    await bench.enqueue(read(number) for number in range(3))
    await dead.claim(3)
    async with bench.running():
        await trio.sleep(30)
        assert bench.places() == {"processed": 3, "consumers": 1}
    (line,) = log_lines.of("consumers_reaped")
    assert (line["consumers"], line["requeued"], line["dead"]) == (1, 3, 0)


async def test_slow_handlers_do_not_stop_heartbeats(autojump_clock: MockClock) -> None:
    """While every worker is busy for minutes, the consumer still counts as alive."""

    async def handle(message: Message) -> None:
        await trio.sleep(300)

    bench = Bench(handle, concurrency=2, ttl=5)
    other = MemoryQueue(bench.redis, "other", heartbeat_ttl=5)
    await bench.enqueue(read(number) for number in range(2))
    async with bench.running():
        for _ in range(250):
            await trio.sleep(1)
            assert (await other.reap()).consumers == 0


async def test_two_services_share_one_queue(autojump_clock: MockClock) -> None:
    """Two services on one queue process every message once between them."""
    done: list[str] = []

    async def handle(message: Message) -> None:
        await trio.sleep(0.1)
        done.append(message.id)

    one = Bench(handle, concurrency=3)
    other = Bench(handle, concurrency=3, consumer="b", redis=one.redis)
    await one.enqueue(read(number) for number in range(300))
    async with one.running(), other.running():
        await trio.sleep(30)
    assert sorted(map(int, done)) == list(range(300))
    assert one.places() == {"processed": 300}
    assert min(each.metrics.totals["processed"] for each in (one, other)) > 100


class RefusingQueue(MemoryQueue):
    """Permanently refuses one kind of call, once a reason is set."""

    refused = ""

    async def _attempt(self, kind: str, step: Any, size: int = 0) -> Any:
        if kind == self.refused:
            await trio.lowlevel.checkpoint()
            raise RedisRejectedError("NOPERM")
        return await super()._attempt(kind, step, size)


async def run_until_refused(bench: Bench, queue: RefusingQueue, kind: str) -> None:
    """Run the service for a while, then let Redis refuse one kind of call."""
    async with trio.open_nursery() as nursery:
        await nursery.start(bench.service.run)
        await trio.sleep(1.5)
        queue.refused = kind
        await trio.sleep(60)


@pytest.mark.parametrize("kind", ["claim", "settle", "heartbeat", "reap"])
async def test_permanent_refusal_ends_service(autojump_clock: MockClock, kind: str) -> None:
    """If Redis refuses permanently, the service ends with that error and returns what it can."""
    redis = MemoryRedis()
    bench = Bench(slowly, redis=redis, ttl=3)
    queue = RefusingQueue(redis, "a", heartbeat_ttl=3)
    bench.queue = queue
    bench.service = WorkerService(
        queue=queue,
        registry=registry_of(slowly),
        runner=Runner(Random(1), lambda _: None, lambda *_: None, unix_clock),
        listeners=Listeners(bench.inventory.completed),
        metrics=bench.metrics,
        health_state=bench.health_state,
        options=WorkerOptions(concurrency=2, ttl=3),
    )
    await bench.enqueue(read(number) for number in range(50))
    with pytest.raises(BaseExceptionGroup) as caught:
        await run_until_refused(bench, queue, kind)
    assert caught.group_contains(RedisRejectedError)
    assert not caught.group_contains((trio.Cancelled, AssertionError))
    snapshot = redis.snapshot()
    assert snapshot.surplus == 0
    assert kind == "settle" or snapshot.in_flight == 0


async def test_worker_progress_is_reported(autojump_clock: MockClock) -> None:
    """The worker reports progress on an empty queue too, and is not missed after it has ended."""
    bench = Bench(instantly)
    async with bench.running():
        for _ in range(20):
            await trio.sleep(30)
            assert bench.health_state.read().alive
    await trio.sleep(1000)
    assert bench.health_state.read().alive


async def test_debug_logs_every_operation(autojump_clock: MockClock, debug_lines: LogLines) -> None:
    """At DEBUG the start and the end of each operation are logged with operation, key and id."""
    bench = Bench(instantly)
    await bench.enqueue([read(1, "k")])
    async with bench.running():
        await trio.sleep(1)
    (started,), (ended,) = debug_lines.of("operation_started"), debug_lines.of("operation_ended")
    for line in (started, ended):
        assert (line["operation"], line["key"], line["id"], line["level"]) == ("READ", "k", "1", "DEBUG")
    assert ended["outcome"] == "processed"
