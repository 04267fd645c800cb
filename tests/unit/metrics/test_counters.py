"""Metrics: what a line says of counters, calls and waits."""

from typing import Any

import orjson
import pytest
from hdrh.histogram import HdrHistogram

from loadtest_trio.errors import S3ServerError
from loadtest_trio.jobs.message import Message, Operation, Phase
from loadtest_trio.metrics.collecting import collect
from loadtest_trio.metrics.counters import Metrics
from tests.support.histograms import as_said

SHARES = {operation.value: 25.0 for operation in Operation}
READ = Message("1", Operation.READ, "k", Phase.STEADY, 100.0)


def test_calls_are_counted_and_measured() -> None:
    """Count, bytes and errors of a kind of request are running totals, its latencies are of the interval."""
    metrics = Metrics()
    metrics.observe_s3("GET", 0.010, 1000, None)
    metrics.observe_s3("GET", 0.030, 0, S3ServerError("no"))
    metrics.observe_redis("claim", 0.002, 32, None)
    line = collect(metrics, SHARES)
    assert line["s3"]["GET"] | {"latency_ms": 0} == {"count": 2, "bytes": 1000, "errors": 1, "latency_ms": 0}
    assert line["s3"]["GET"]["latency_ms"]["max"] == pytest.approx(30, rel=0.01)
    assert line["redis"]["claim"]["elements"] == 32
    assert line["redis_latency_ms"] == pytest.approx(2, rel=0.01)
    again = collect(metrics, SHARES)
    assert again["s3"]["GET"]["count"] == 2
    assert again["s3"]["GET"]["latency_ms"]["max"] is None
    assert again["redis_latency_ms"] is None


def test_waiting_counts_from_the_due_time() -> None:
    """Queue wait and end to end count from `created_at`; service time from when a worker took it."""
    metrics = Metrics()
    metrics.handled(READ, started=100.5, ended=100.7)
    read = collect(metrics, SHARES)["by_operation"]["READ"]
    for name, milliseconds in (("queue_wait_ms", 500), ("service_ms", 200), ("end_to_end_ms", 700)):
        assert read[name]["max"] == pytest.approx(milliseconds, rel=0.01)


def test_a_message_without_due_time_has_no_wait() -> None:
    """A message without `created_at` has a service time and nothing else."""
    metrics = Metrics()
    metrics.handled(Message("1", Operation.READ, "k"), started=100.5, ended=100.7)
    line = collect(metrics, SHARES)
    assert line["by_operation"]["READ"]["service_ms"]["max"] is not None
    assert line["by_operation"]["READ"]["queue_wait_ms"]["max"] is None
    assert line["end_to_end_p99_ms"] is None


def test_waits_for_redis_cover_one_interval() -> None:
    """How long a batch was due and not queued, and work done and not settled: percentiles and histograms."""
    metrics = Metrics()
    metrics.enqueue_wait.record(0.010, 30)
    metrics.settle_wait.record(0.025)
    line = collect(metrics, SHARES)
    assert line["settle_wait_ms"]["p50"] == pytest.approx(25, rel=0.01)
    assert "settle_wait_ms" in line["histograms"]
    assert HdrHistogram.decode(line["histograms"]["enqueue_wait_ms"]).get_total_count() == 30
    assert collect(metrics, SHARES)["settle_wait_ms"]["max"] is None


def test_shares_count_steady_messages_only() -> None:
    """Refills count as created and not in the actual shares; before any steady message there are none."""
    metrics = Metrics()
    metrics.scheduled(Message("1", Operation.CREATE, "k", Phase.PRECONDITION))
    before = collect(metrics, SHARES)["by_operation"]
    assert (before["CREATE"]["created"], before["CREATE"]["share_actual"]) == (1, None)
    for operation in (Operation.READ, Operation.READ, Operation.READ, Operation.DELETE):
        metrics.scheduled(Message("1", operation, "k"))
    after = collect(metrics, SHARES)["by_operation"]
    assert {name: stats["share_actual"] for name, stats in after.items()} == {
        "READ": 75.0,
        "UPDATE": 0.0,
        "CREATE": 0.0,
        "DELETE": 25.0,
    }
    assert after["READ"]["share_nominal"] == 25.0


def test_peaks_cover_one_interval() -> None:
    """The largest lag is told in milliseconds, then forgotten."""
    metrics = Metrics()
    for seconds in (0.002, 0.005, 0.001):
        metrics.peak("loop_lag", seconds)
    assert metrics.collect_peak_ms("loop_lag") == 5.0
    assert metrics.collect_peak_ms("loop_lag") == 0.0


def test_histograms_agree_with_the_percentiles_in_the_line() -> None:
    """Each path under `histograms` decodes to the percentiles that stand at that path."""
    metrics = Metrics()
    metrics.observe_s3("PUT", 0.25, 1, None)
    metrics.handled(READ, started=101, ended=102)
    line: Any = orjson.loads(orjson.dumps(collect(metrics, SHARES)))
    waits = {f"READ.{name}" for name in ("queue_wait_ms", "service_ms", "end_to_end_ms")}
    assert line["histograms"].keys() == {"s3.PUT.latency_ms", "end_to_end_ms", *waits}
    put, service = (line["histograms"][path] for path in ("s3.PUT.latency_ms", "READ.service_ms"))
    assert as_said(HdrHistogram.decode(put)) == line["s3"]["PUT"]["latency_ms"]
    assert as_said(HdrHistogram.decode(service)) == line["by_operation"]["READ"]["service_ms"]
