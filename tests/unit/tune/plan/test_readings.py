"""Metrics lines become observations: the planner uses only what the log says."""

from typing import Any

import attrs
import pytest
from hdrh.histogram import HdrHistogram

from loadtest_trio.tune.plan.littles_law import check
from loadtest_trio.tune.plan.observations import Observation, Slice, Usage, join
from loadtest_trio.tune.plan.readings import observe


def _histogram(*milliseconds: float) -> str:
    recorded = HdrHistogram(1, 3_600_000_000, 2)
    for value in milliseconds:
        recorded.record_value(int(value * 1000))
    return str(recorded.encode().decode())


def _line(uptime: float, done: int, **fields: Any) -> dict[str, Any]:
    operation = {"processed": done, "missed": 0}
    line: dict[str, Any] = {
        "uptime_seconds": uptime,
        "messages_created": done + 5,
        "messages_processed": done - 1,
        "messages_missed": 1,
        "queue_length": 3,
        "in_flight": 2,
        "delayed": 0,
        "errors": 0,
        "requests_throttled": 0,
        "schedule_lag_ms": 1.0,
        "loop_lag_ms": 2.0,
        "cpu_percent": 50.0,
        "cpu_wait_percent": None,
        "memory_mb": 60.0,
        "redis_server_seconds": uptime / 10,
        "pace_us": 100.0,
        "by_operation": {
            "READ": operation,
            **{name: {"processed": 0, "missed": 0} for name in ("UPDATE", "CREATE", "DELETE")},
        },
        "s3": {"GET": {"bytes": 1000 * done}},
        "histograms": {
            "end_to_end_ms": _histogram(*[100] * 99, 900),
            "READ.service_ms": _histogram(*[50] * 10),
            "s3.GET.latency_ms": _histogram(*[40] * 10),
            "s3.GET.first_byte_ms": _histogram(*[10] * 10),
            "redis.claim.latency_ms": _histogram(*[20] * 10),
            "enqueue_wait_ms": _histogram(*[5] * 10),
            "settle_wait_ms": _histogram(*[10] * 9, 30),
        },
    }
    return line | fields


def test_observation_from_lines() -> None:
    """Rates, latencies, shares and work of a period; the first line only marks its beginning."""
    last = _line(13, 140, cpu_percent=80.0, errors=2, requests_throttled=4, pace_us=130.0)
    lines = [_line(10, 100), _line(11, 110), last]
    seen = observe(lines, workers=2)
    assert seen.slices == (Slice(1.0, 10, 10, 5), Slice(2.0, 30, 30, 5))
    assert seen.p99_ms == pytest.approx(100, rel=0.01)
    assert seen.mean_ms == pytest.approx(108, rel=0.01)
    assert seen.counted_ms == pytest.approx(108 - 5 + 12, rel=0.01)
    assert (seen.errors, seen.schedule_lag_ms) == (2, 1.0)
    usage = seen.usage
    assert usage.cpu == pytest.approx(0.7)
    assert usage.cpu_wait == 0
    assert usage.slots == pytest.approx(20 * 0.050 / (3 * 2), rel=0.01)
    assert usage.s3_share == pytest.approx(0.8, rel=0.01)
    assert usage.first_byte_ms == pytest.approx(10, rel=0.01)
    assert usage.get_ms == pytest.approx(40, rel=0.01)
    assert usage.throttled == pytest.approx(4 / 20)
    assert usage.redis_busy == pytest.approx(20 * 0.020 / 3, rel=0.01)
    assert usage.redis_server == pytest.approx(0.1)
    assert seen.work.done["READ"] == 40
    assert seen.work.cpu_seconds == pytest.approx(2.1)
    assert seen.work.bytes_read == 40_000
    assert seen.work.unit_us == pytest.approx(120)


def test_p99_comes_from_merged_histograms() -> None:
    """One bad interval in three does not determine the p99."""
    quiet = {"end_to_end_ms": _histogram(*[10] * 1000)}
    bad = {"end_to_end_ms": _histogram(*[500] * 10)}
    lines = [_line(t, 10 * t, histograms=h) for t, h in ((1, quiet), (2, quiet), (3, bad), (4, quiet))]
    assert observe(lines, workers=1).p99_ms == pytest.approx(10, rel=0.01)


def _stage(backlog: int, rate: int, mean_ms: float) -> Observation:
    return Observation(slices=(Slice(1.0, rate, rate, backlog),) * 4, mean_ms=mean_ms)


def test_littles_law_detects_wrong_measurement() -> None:
    """100 in the system at 1,000/s and 100 ms each agree; at 200 ms one of the measurements is wrong."""
    alone = {"ratio": 1.0, "least": 1.0, "most": 1.0, "stages": 1, "within": 1, "passed": True}
    assert check([_stage(100, 1000, 100.0)]) == alone
    two = check([_stage(130, 1000, 100.0), _stage(70, 1000, 100.0)])
    assert (two["least"], two["most"], two["within"], two["passed"]) == (0.7, 1.3, 0, False)
    assert check([_stage(100, 1000, 200.0)])["passed"] is False
    assert check([attrs.evolve(_stage(100, 1000, 90.0), enqueue_ms=20.0, settle_ms=30.0)]) == alone
    assert check([_stage(12, 1000, 10.0)]) == {}  # too few in the system
    assert check([_stage(2100, 1000, 100.0)]) == {}  # half of them are not yet through after four seconds


def test_parts_of_a_step_are_joined_by_time() -> None:
    """Usage is weighted by time, the larger loop lag counts, and work adds up."""
    long, short = observe([_line(10, 0), _line(13, 30)], 2), observe([_line(13, 30), _line(14, 40)], 2)
    parts = [
        attrs.evolve(part, usage=Usage(cpu=cpu, loop_lag_ms=lag, first_byte_ms=first))
        for part, cpu, lag, first in ((long, 0.4, 1.0, None), (short, 0.8, 9.0, 5.0))
    ]
    whole = join(*parts)
    assert whole.usage.cpu == pytest.approx(0.5)
    assert (whole.usage.loop_lag_ms, whole.usage.first_byte_ms, whole.usage.redis_server) == (9.0, 5.0, None)
    assert whole.work.seconds == pytest.approx(4)
    assert whole.work.done["READ"] == 40
    assert whole.work.unit_us == pytest.approx(100)
    assert whole.p99_ms == pytest.approx(100, rel=0.01)
