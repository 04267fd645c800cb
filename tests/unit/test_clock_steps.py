"""The clock is set while the service runs: the load keeps its pace, and the figures recover by themselves."""

from itertools import pairwise

import attrs
import pytest
import trio
from trio.testing import MockClock

from tests.support import in_memory
from tests.support.in_memory import UNIX_EPOCH, build_in_memory, settings
from tests.support.log_lines import LogLines


@attrs.define
class SettableClock:
    """A Unix clock that somebody sets."""

    step: float = 0.0

    def __call__(self) -> float:
        return UNIX_EPOCH + trio.current_time() + self.step


@pytest.mark.parametrize("step", [3600.0, -3600.0, 5.0, -5.0])
async def test_a_set_clock_changes_neither_pace_nor_order(
    autojump_clock: MockClock, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    """No burst, no standstill, nobody taken for dead; latencies are right again after one interval."""
    clock = SettableClock()
    monkeypatch.setattr(in_memory, "unix_clock", clock)
    service = await build_in_memory(
        settings(SCHEDULER_MESSAGES_PER_SECOND=50, MIN_FILE_UUIDS=1, MAX_FILE_UUIDS=2)
    )
    with trio.move_on_after(100.5):
        async with trio.open_nursery() as nursery:
            for task in (service.service.scheduler, service.service.worker, service.service.metrics_service):
                nursery.start_soon(task.run)
            await trio.sleep(45)
            clock.step = step
    lines = log_lines.of("metrics")
    steady = [line for line in lines if line["phase"] == "steady"]
    rates = [
        (after["messages_created"] - before["messages_created"]) / 10 for before, after in pairwise(steady)
    ]
    assert all(rate == pytest.approx(50, abs=15) for rate in rates), "refills of the bucket come on top"
    assert all(line["ledger"]["difference"] == 0 for line in lines)
    assert lines[-1]["settlements_stale"] == 0
    assert all(line["end_to_end_p99_ms"] < 2000 for line in lines[6:]), "the interval of the step is odd"
    spent = [each["service_ms"]["max"] or 0 for line in lines for each in line["by_operation"].values()]
    assert max(spent) < 2000, "the time of an operation follows a clock that nobody sets"
