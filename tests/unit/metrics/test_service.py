"""The metrics service: one line every interval, without drift, with books that balance."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from loadtest_trio.metrics import logs
from loadtest_trio.metrics.service import ledger
from tests.support.in_memory import UNIX_EPOCH, InMemory, build_in_memory, settings
from tests.support.log_lines import LogLines
from tests.support.memory_bucket import MemoryBucket

ENDED = ("processed", "missed", "dead", "purged", "cancelled", "lost")
INSIDE = dict.fromkeys((*ENDED, "queued", "waiting", "delayed", "in_flight"), 0)


async def run_for(service: InMemory, seconds: float) -> None:
    """Run the metrics service alone."""
    with trio.move_on_after(seconds):
        await service.service.metrics_service.run()


async def test_a_line_every_interval(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """An hour has 360 lines, at multiples of the interval exactly, however long each took to write."""
    service = await build_in_memory(settings(), redis_latency=0.3)
    await run_for(service, 3600.5)
    uptimes = [line["uptime_seconds"] for line in log_lines.of("metrics")]
    assert uptimes == [pytest.approx(10 * k + 0.3) for k in range(1, 361)]


async def test_a_fractional_interval_does_not_drift(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """An interval that floats cannot hold exactly gives as many lines as it should."""
    service = await build_in_memory(settings(LOG_INTERVAL_SECONDS=0.7))
    await run_for(service, 700.35)
    assert len(log_lines.of("metrics")) == 1000


async def work_through(service: InMemory, seconds: float) -> None:
    """Run scheduler, worker and metrics service together."""
    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            for task in (service.service.scheduler, service.service.worker, service.service.metrics_service):
                nursery.start_soon(task.run)


async def test_a_worker_only_process_keeps_no_inventory(
    autojump_clock: MockClock, log_lines: LogLines
) -> None:
    """What it creates is nobody's to reconcile here, so it would be remembered for ever: nothing is."""
    service = await build_in_memory(settings(ROLES="worker"))
    await service.queue.enqueue(
        [b'{"id":"%d","operation":"CREATE","key":"loadtest/%d"}' % (i, i) for i in range(9)]
    )
    with trio.move_on_after(10.5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(service.service.worker.run)
            nursery.start_soon(service.service.metrics_service.run)
    (line,) = log_lines.of("metrics")
    assert (line["messages_processed"], line["objects"], line["phase"]) == (9, None, "steady")
    assert (service.service.inventory.objects, len(service.bucket.objects)) == (0, 9)


async def test_the_ledger_balances_in_every_line(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """Under load every line accounts for every message, and the totals agree with the ledger."""
    service = await build_in_memory(
        settings(MIN_FILE_UUIDS=1, MAX_FILE_UUIDS=2, LOG_INTERVAL_SECONDS=1, SCHEDULER_INTERVAL_SECONDS=0.37),
        bucket=MemoryBucket(latency=0.02),
    )
    await work_through(service, 30.5)
    lines = log_lines.of("metrics")
    assert len(lines) == 30
    assert any(line["in_flight"] for line in lines)
    for line in lines:
        books = line["ledger"]
        assert books.pop("difference") == 0
        assert books.pop("created") == sum(books.values()) == line["messages_created"]
        assert books["processed"] == line["messages_processed"]
        assert (books["queued"], books["in_flight"]) == (line["queue_length"], line["in_flight"])
    assert lines[-1]["messages_created"] > 2800
    assert lines[0]["phase"] == "precondition" or lines[0]["objects"] >= 80


async def test_the_rate_covers_the_last_interval(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """`rate_per_second` is what was processed since the line before, over the time since then."""
    service = await build_in_memory(settings(LOG_INTERVAL_SECONDS=2))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(service.service.metrics_service.run)
        for processed in (100, 0, 5):
            await trio.sleep(1)
            service.service.metrics.totals["processed"] += processed
            await trio.sleep(1)
        await trio.sleep(0.5)
        nursery.cancel_scope.cancel()
    assert [line["rate_per_second"] for line in log_lines.of("metrics")] == [50, 0, 2.5]


async def test_lines_are_written_during_an_outage(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """Without Redis a line waits two seconds, then carries the last known queue; its messages age."""
    service = await build_in_memory(settings())
    service.redis.push(b'{"id": "x", "operation": "READ", "created_at": %d}' % (UNIX_EPOCH - 1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(service.service.metrics_service.run)
        await trio.sleep(15)
        service.redis.go_away()
        await trio.sleep(30)
        service.redis.come_back()
        await trio.sleep(10)
        nursery.cancel_scope.cancel()
    lines = log_lines.of("metrics")
    assert [line["uptime_seconds"] for line in lines] == [10, 22, 32, 42, 50]
    assert [line["snapshot_age_seconds"] for line in lines] == [0, 12, 22, 32, 0]
    assert [line["queue_length"] for line in lines] == [1] * 5
    assert [line["oldest_seconds"] for line in lines] == [11, 23, 33, 43, 51]


async def test_floods_are_summarised_with_each_line(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """What was held back in an interval is told beside its metrics line."""
    service = await build_in_memory(settings())
    for _ in range(8):
        logs.failure("operation_failed", "READ 503")
    await run_for(service, 10.5)
    assert log_lines.of("failures_summarised")[0]["held_back"] == 3


async def test_emf_lines_carry_the_cloudwatch_header(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """With METRICS_FORMAT=emf a line is also CloudWatch metrics; without, it has nothing of it."""
    for form in ("emf", "plain"):
        service = await build_in_memory(settings(METRICS_FORMAT=form, METRICS_NAMESPACE="ns", QUEUE_NAME="q"))
        await run_for(service, 10.5)
    emf, plain = log_lines.of("metrics")
    assert emf["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "ns"
    assert emf["service"] == "q"
    assert {"_aws", "service"} & plain.keys() == set()
    for metric in emf["_aws"]["CloudWatchMetrics"][0]["Metrics"]:
        assert isinstance(emf[metric["Name"]], int | float)


async def test_writing_a_line_counts_as_progress(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """Each line is a beat; the totals at the end are those of the last line."""
    service = await build_in_memory(settings(LOG_INTERVAL_SECONDS=30))
    with trio.move_on_after(300.5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(service.service.metrics_service.run)
            await trio.sleep(200)
            assert service.service.health_state.read().alive
            await trio.sleep_forever()
    totals = service.service.metrics_service.totals()
    last = log_lines.of("metrics")[-1]
    assert {name: value for name, value in totals.items() if name != "uptime_seconds"}.items() <= last.items()


async def test_foreign_messages_make_the_difference_negative(autojump_clock: MockClock) -> None:
    """Messages pushed past the books make `difference` negative by as many; nothing else does."""
    service = await build_in_memory(settings())
    books: dict[str, Any] = ledger(service.redis.snapshot())
    assert books == {"created": 0, **INSIDE, "difference": 0}
    service.redis.push(b"x")
    assert ledger(service.redis.snapshot())["difference"] == -1
