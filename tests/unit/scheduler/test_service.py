"""The scheduler service with in-memory backends, in virtual time."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from loadtest_trio.jobs.message import Message, Operation, Phase, decode
from tests.support.in_memory import UNIX_EPOCH, InMemory, build_in_memory, settings
from tests.support.log_lines import LogLines
from tests.support.memory_bucket import Fault, MemoryBucket

pytestmark = pytest.mark.usefixtures("log_lines")


def stocked(objects: int) -> MemoryBucket:
    """Return a bucket with so many objects under the prefix, and one beside it."""
    bucket = MemoryBucket()
    bucket.objects = {f"loadtest/{i}": b"00" for i in range(objects)} | {"elsewhere": b""}
    return bucket


@asynccontextmanager
async def scheduling(
    bucket: MemoryBucket, *, workers: bool = False, **variables: object
) -> AsyncIterator[InMemory]:
    """Run a scheduler, and workers if wanted, for the length of the block."""
    service = await build_in_memory(settings(MIN_FILE_UUIDS=1, MAX_FILE_UUIDS=3, **variables), bucket=bucket)
    async with trio.open_nursery() as nursery:
        if workers:
            nursery.start_soon(service.service.worker.run)
        nursery.start_soon(service.service.scheduler.run)
        yield service
        nursery.cancel_scope.cancel()


def queued(service: InMemory) -> list[Message]:
    """Return what waits on the queue, next to go out first."""
    return [decode(element) for element in reversed(service.redis.queue)]


@pytest.mark.parametrize("present", [0, 60, 99])
async def test_bucket_is_filled_exactly_to_minimum(autojump_clock: MockClock, present: int) -> None:
    """Missing objects are enqueued once, even if no worker runs, and the steady mix does not begin."""
    async with scheduling(stocked(present)) as service:
        await trio.sleep(60)
        messages = queued(service)
        assert len(messages) == 100 - present
        assert {(each.operation, each.phase) for each in messages} == {(Operation.CREATE, Phase.PRECONDITION)}
        assert service.service.scheduler.phase == "precondition"


async def test_surplus_is_deleted_before_mix(autojump_clock: MockClock) -> None:
    """Above the maximum, objects under the prefix are deleted before the mix begins."""
    # At so many a tick the mix, which strays by a few messages, surely deletes more than it creates.
    async with scheduling(stocked(1010), SCHEDULER_MESSAGES_PER_SECOND=1000) as service:
        await trio.sleep(6)
        first, later = queued(service)[:10], queued(service)[10:]
        assert {(each.operation, each.phase) for each in first} == {(Operation.DELETE, Phase.PRECONDITION)}
        assert len({each.key for each in first}) == 10
        assert all(each.key.startswith("loadtest/") for each in first + later)
        assert {each.operation for each in later if each.phase is Phase.PRECONDITION} <= {Operation.CREATE}


async def test_mix_begins_once_preconditions_are_met(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """Once the minimum is reached, one line says so and the steady mix begins."""
    async with scheduling(stocked(0), workers=True) as service:
        await trio.sleep(5.05)
        assert service.service.scheduler.phase == "steady"
        (line,) = log_lines.of("precondition_met")
        assert line["objects"] == 100
        steady = sum(stats.steady for stats in service.service.metrics.operations.values())
        assert steady in (400, 500)


async def test_refills_keep_bucket_within_bounds(autojump_clock: MockClock) -> None:
    """Under a mix that shrinks the bucket, refills keep it at its minimum and hardly above."""
    async with scheduling(stocked(0), workers=True) as service:
        await trio.sleep(5)
        sizes = []
        for _ in range(60):
            await trio.sleep(1)
            sizes.append(len(service.bucket.objects) - 1)
        assert min(sizes) >= 80  # what one second's messages may have taken away
        assert max(sizes) <= 130
        created = service.service.metrics.operations[Operation.CREATE]
        assert created.created - created.steady > 300  # 100 at first, then 5 a second


async def test_every_tick_has_its_messages(autojump_clock: MockClock) -> None:
    """In rate mode every tick has its messages, stamped with the tick's own time."""
    async with scheduling(stocked(1000), SCHEDULER_MESSAGES_PER_SECOND=7.5) as service:
        await trio.sleep(40.5)
        due = Counter(each.created_at - UNIX_EPOCH for each in queued(service) if each.phase is Phase.STEADY)
        assert due == {float(tick): 7 + (tick % 2 == 1) for tick in range(41)}


async def test_scheduler_catches_up_after_outage(autojump_clock: MockClock) -> None:
    """After an outage all due messages are enqueued with their due times, and the lag is reported."""
    async with scheduling(
        stocked(1000), SCHEDULER_MESSAGES_PER_SECOND=10, STEADY_STATE_DISTRIBUTION="READ:1"
    ) as service:
        await trio.sleep(10.5)
        service.redis.go_away()
        await trio.sleep(30)
        assert len(service.redis.queue) == 110
        assert service.service.scheduler.lag() == pytest.approx(29.5)  # already while it lasts
        service.redis.come_back()
        await trio.sleep(5)
        due = Counter(each.created_at - UNIX_EPOCH for each in queued(service) if each.phase is Phase.STEADY)
        assert due == {float(tick): 10 for tick in range(46)}
        assert 29_000 < service.service.metrics.collect_peak_ms("schedule_lag") < 31_000


async def test_full_queue_withholds_messages(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """At MAX_QUEUE_LENGTH messages are withheld, counted and logged; the queue never grows longer."""
    async with scheduling(stocked(500), MAX_QUEUE_LENGTH=150, SCHEDULER_MESSAGES_PER_SECOND=100) as service:
        await trio.sleep(10.5)
        assert len(service.redis.queue) == 150
        assert service.service.metrics.totals["withheld"] == 950
        first = log_lines.of("messages_withheld")[0]
        assert (first["withheld"], first["max_queue_length"]) == (50, 150)
        for _ in range(30):
            service.redis.queue.pop()
        await trio.sleep(1)
        assert len(service.redis.queue) == 150


async def test_full_queue_stops_refills(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """Refills too stop at MAX_QUEUE_LENGTH, with a log line."""
    async with scheduling(stocked(0), MAX_QUEUE_LENGTH=40) as service:
        await trio.sleep(10)
        assert len(service.redis.queue) == 40
    assert log_lines.of("messages_withheld")[0]["max_queue_length"] == 40


async def test_delayed_and_dead_messages_count_towards_limit(autojump_clock: MockClock) -> None:
    """Delayed and dead messages count, so that hours of S3 failures do not fill Redis."""
    async with scheduling(stocked(500), MAX_QUEUE_LENGTH=150) as service:
        for _ in range(60):
            service.redis.dead.append(b"dead")
            service.redis.delay(b"delayed", 3600)
        await trio.sleep(10)
        assert len(service.redis.queue) == 30


async def test_saturate_mode_keeps_queue_at_target(autojump_clock: MockClock) -> None:
    """The queue is filled to its target and never above; no message counts as withheld."""
    async with scheduling(
        stocked(500), SCHEDULER_MODE="saturate", SCHEDULER_TARGET_QUEUE_LENGTH=50
    ) as service:
        await trio.sleep(1)
        assert len(service.redis.queue) == 50
        for taken in (1, 20, 50):
            for _ in range(taken):
                service.redis.queue.pop()
            await trio.sleep(0.2)
            assert len(service.redis.queue) == 50


async def test_saturate_mode_respects_max_queue_length(
    autojump_clock: MockClock, log_lines: LogLines
) -> None:
    """A target above MAX_QUEUE_LENGTH is not reached, and a log line says so."""
    async with scheduling(
        stocked(500), SCHEDULER_MODE="saturate", SCHEDULER_TARGET_QUEUE_LENGTH=500, MAX_QUEUE_LENGTH=70
    ) as service:
        await trio.sleep(5)
        assert len(service.redis.queue) == 70
    assert log_lines.of("messages_withheld")[0]["max_queue_length"] == 70


async def test_scheduler_waits_for_first_list(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """Nothing is scheduled before the first successful LIST; each failure is logged and retried."""
    bucket = stocked(150)
    bucket.break_down(Fault.UNREACHABLE, affects=lambda kind, _: kind == "LIST")
    async with scheduling(bucket) as service:
        await trio.sleep(10)
        assert service.redis.counters["created"] == 0
        assert len(log_lines.of("list_failed")) == 5  # the rest of the flood is counted
        assert service.service.metrics.totals["errors"] >= 9
        bucket.recover()
        await trio.sleep(3)
        assert service.service.inventory.objects == 150
        assert service.service.scheduler.phase == "steady"


async def test_failing_list_does_not_stop_schedule(autojump_clock: MockClock) -> None:
    """While later LISTs fail, scheduling continues; the inventory is reconciled once they work again."""
    bucket = stocked(500)
    async with scheduling(
        bucket, SCHEDULER_MESSAGES_PER_SECOND=10, STEADY_STATE_DISTRIBUTION="READ:1"
    ) as service:
        await trio.sleep(50)
        bucket.break_down(Fault.SLOW_DOWN)
        bucket.objects["loadtest/found"] = b"00"
        await trio.sleep(30.5)
        assert len(service.redis.queue) == 810
        assert service.service.inventory.objects == 500
        bucket.recover()
        await trio.sleep(2)
        assert service.service.inventory.objects == 501


async def test_slow_list_takes_at_most_a_twentieth_of_the_time(autojump_clock: MockClock) -> None:
    """If a LIST takes 20 s, the next one begins 400 s later, not INVENTORY_RECONCILE_SECONDS."""
    async with scheduling(
        stocked(100), INVENTORY_RECONCILE_SECONDS=60, STEADY_STATE_DISTRIBUTION="READ:1"
    ) as service:
        await trio.sleep(1)
        service.bucket.latency_of["LIST"] = 10.0  # each of a request's two legs
        before = service.bucket.requests["LIST"]
        await trio.sleep(60 + 20 + 400)
        assert service.bucket.requests["LIST"] == before + 1
        await trio.sleep(30)
        assert service.bucket.requests["LIST"] == before + 2


async def test_inventory_is_reconciled_periodically(autojump_clock: MockClock) -> None:
    """Objects that others added or removed are known after the next LIST."""
    bucket = stocked(200)
    async with scheduling(bucket, STEADY_STATE_DISTRIBUTION="READ:1") as service:
        await trio.sleep(30)
        for i in range(50):
            del bucket.objects[f"loadtest/{i}"]
        bucket.objects["loadtest/ü +%"] = b"00"
        await trio.sleep(31)
        assert service.service.inventory.objects == 151


async def test_empty_inventory_triggers_early_list(autojump_clock: MockClock) -> None:
    """Without an available object a LIST comes early, but not again and again."""
    bucket = stocked(100)
    async with scheduling(
        bucket, STEADY_STATE_DISTRIBUTION="DELETE:1", PRECONDITION_MIN_OBJECTS=1
    ) as service:
        await trio.sleep(1.5)
        assert (service.service.inventory.choose(), bucket.requests["LIST"]) == (None, 1)
        bucket.objects["loadtest/found"] = b"00"
        await trio.sleep(4)
        assert bucket.requests["LIST"] == 2
        await trio.sleep(1)
        assert b"loadtest/found" in b"".join(service.redis.queue)
        await trio.sleep(50)
        assert bucket.requests["LIST"] <= 13


async def test_drained_queue_completes_pending_operations(autojump_clock: MockClock) -> None:
    """A few seconds after the queue has drained, messages of another process count as completed."""
    async with scheduling(
        stocked(0), PRECONDITION_MIN_OBJECTS=20, SCHEDULER_MESSAGES_PER_SECOND=1
    ) as service:
        await trio.sleep(1)
        assert (len(service.redis.queue), service.service.inventory.objects) == (20, 0)
        service.redis.queue.clear()
        await trio.sleep(3)
        assert service.service.inventory.objects == 0
        await trio.sleep(3)
        assert service.service.inventory.objects >= 20 - 3
        assert service.service.scheduler.phase == "steady"


async def test_large_batch_is_split(autojump_clock: MockClock) -> None:
    """A tick of 2,500 messages takes three calls of at most 1,000 elements."""
    async with scheduling(stocked(1000), SCHEDULER_MESSAGES_PER_SECOND=2500) as service:
        await trio.sleep(0.5)
        enqueued = service.service.metrics.redis["enqueue"]
        assert len(service.redis.queue) - 2500 in range(300)  # refills
        assert enqueued.size == len(service.redis.queue)
        assert 3 <= enqueued.count <= 5


async def test_start_returns_after_first_list(autojump_clock: MockClock) -> None:
    """`nursery.start` returns once the objects are known."""
    service = await build_in_memory(settings(), bucket=stocked(120))
    async with trio.open_nursery() as nursery:
        await nursery.start(service.service.scheduler.run)
        assert service.service.inventory.objects == 120
        nursery.cancel_scope.cancel()


async def test_job_results_are_not_load_objects(autojump_clock: MockClock) -> None:
    """The load neither reads, changes nor deletes the job service's objects under the prefix."""
    bucket = stocked(120)
    bucket.objects |= {f"loadtest/jobs/{name}": b"00" for name in ("results/1", "archive/2")}
    service = await build_in_memory(settings(), bucket=bucket)
    async with trio.open_nursery() as nursery:
        await nursery.start(service.service.scheduler.run)
        assert service.service.inventory.objects == 120
        nursery.cancel_scope.cancel()
