"""The controls change the running service without a restart or a lost message."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from loadtest_trio.controls import service_controls
from loadtest_trio.web.dashboard import Control
from tests.support.in_memory import InMemory, build_in_memory, settings
from tests.support.log_lines import LogLines
from tests.support.memory_bucket import MemoryBucket

SMALL = {"MIN_FILE_UUIDS": 1, "MAX_FILE_UUIDS": 2, "LOG_INTERVAL_SECONDS": 1, "PRECONDITION_MIN_OBJECTS": 300}


@asynccontextmanager
async def running(**variables: Any) -> AsyncIterator[tuple[InMemory, dict[str, Control]]]:
    """Run a service in memory; yields it with its controls."""
    made = await build_in_memory(settings(**{**SMALL, **variables}), bucket=MemoryBucket(latency=0.02))
    service = made.service
    async with trio.open_nursery() as nursery:
        for task in (service.scheduler, service.worker, service.metrics_service):
            nursery.start_soon(task.run)
        controls = service_controls(service.scheduler, service.worker)
        yield made, {control.name: control for control in controls}
        nursery.cancel_scope.cancel()


def rates(log_lines: LogLines) -> list[float]:
    """Return the rates of the lines so far."""
    return [line["rate_per_second"] for line in log_lines.of("metrics")]


async def test_rate_changes_within_two_seconds(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """The rate goes up and down without a burst, and each line shows the new target."""
    async with running(SCHEDULER_MESSAGES_PER_SECOND=20) as (made, controls):
        await trio.sleep(10.5)
        controls["rate"].use("200")
        await trio.sleep(10)
        controls["rate"].use("40")
        await trio.sleep(10)
        assert made.balance() == 0
    found = rates(log_lines)
    assert all(15 <= rate <= 40 for rate in found[3:10])
    assert all(180 <= rate <= 260 for rate in found[12:20])
    assert all(35 <= rate <= 60 for rate in found[23:30])
    assert [line["rate_target"] for line in log_lines.of("metrics")][8::10] == [20, 200, 40]


async def test_paused_scheduler_stays_healthy_and_resumes(
    autojump_clock: MockClock, log_lines: LogLines
) -> None:
    """During a pause nothing is enqueued or made up for later, and health stays good."""
    async with running(SCHEDULER_MESSAGES_PER_SECOND=50) as (made, controls):
        await trio.sleep(5.5)
        controls["scheduler"].use("paused")
        await trio.sleep(300)
        assert made.service.health_state.read().alive
        assert made.service.scheduler.phase == "paused"
        created = made.redis.snapshot().created
        await trio.sleep(10)
        assert made.redis.snapshot().created == created
        controls["scheduler"].use("running")
        await trio.sleep(5)
        assert made.redis.snapshot().created - created < 6 * 60
        assert made.service.scheduler.phase == "steady"


async def test_mode_changes_without_loss(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """From rate to saturate and back, no message is lost."""
    async with running(SCHEDULER_TARGET_QUEUE_LENGTH=50) as (made, controls):
        await trio.sleep(5.5)
        controls["mode"].use("saturate")
        await trio.sleep(10)
        controls["mode"].use("rate")
        await trio.sleep(10)
        assert made.balance() == 0
    lines = log_lines.of("metrics")
    assert [line["scheduler_mode"] for line in lines][4::10] == ["rate", "saturate", "rate"]
    assert lines[14]["rate_target"] is None
    assert min(rates(log_lines)[8:14]) > 1.5 * max(rates(log_lines)[20:24])


async def test_number_of_workers_changes(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """In a closed loop twice the workers do about twice as much; `auto` finds its own number."""
    async with running(SCHEDULER_MODE="saturate", WORKER_CONCURRENCY=4) as (made, controls):
        await trio.sleep(10.5)
        controls["workers"].use("8")
        await trio.sleep(10)
        controls["workers"].use("auto")
        assert controls["workers"].read() == "auto"
        await trio.sleep(10)
        assert made.service.worker.concurrency > 8
        assert made.balance() == 0
    found = rates(log_lines)
    assert 1.6 <= found[18] / found[8] <= 2.4
    assert [line["workers"] for line in log_lines.of("metrics")][8:19:10] == [4, 8]


async def test_auto_adapts_from_the_start(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """With WORKER_CONCURRENCY=auto the number of workers grows while it is the limit."""
    async with running(SCHEDULER_MODE="saturate", WORKER_CONCURRENCY="auto"):
        await trio.sleep(20.5)
    chosen = [line["workers"] for line in log_lines.of("metrics")]
    assert chosen[-1] > 15
    assert chosen == sorted(chosen)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rate", "0"),
        ("rate", "-1"),
        ("rate", "nan"),
        ("rate", "inf"),
        ("rate", "fast"),
        ("rate", "1e12"),
        ("mode", "idle"),
        ("scheduler", "off"),
        ("workers", "0"),
        ("workers", "5000"),
        ("workers", "1.5"),
        ("workers", ""),
    ],
)
async def test_invalid_values_are_refused(name: str, value: str, log_lines: LogLines) -> None:
    """The refusal names the allowed values, and nothing changes."""
    service = (await build_in_memory(settings())).service
    (control,) = [each for each in service_controls(service.scheduler, service.worker) if each.name == name]
    before = control.read()
    with pytest.raises(ValueError, match=r"number|one of|running"):
        control.use(value)
    assert control.read() == before


@pytest.mark.parametrize("setting", ["7", "auto"])
async def test_number_of_workers_is_a_plain_int(setting: str, log_lines: LogLines) -> None:
    """It is the limit of a Redis claim, whose encoder refuses subclasses of int."""
    service = (await build_in_memory(settings(WORKER_CONCURRENCY=setting))).service
    assert type(service.worker.concurrency) is int


async def test_worker_only_process_has_no_scheduler_controls(log_lines: LogLines) -> None:
    """It offers only the workers and the stop."""
    service = (await build_in_memory(settings(ROLES="worker"))).service
    assert [each.name for each in service_controls(None, service.worker)] == ["workers", "stop"]
