"""Turns what was counted in an interval into fields of the metrics line."""

from collections.abc import Mapping
from typing import Any

from loadtest_trio.metrics.counters import CallStats, Metrics, OperationStats, RequestStats
from loadtest_trio.metrics.latencies import Latencies, encoded, summary

_OPERATION_LATENCIES = ("queue_wait_ms", "service_ms", "end_to_end_ms")


def collect(metrics: Metrics, shares: Mapping[str, float]) -> dict[str, Any]:
    """Return the fields of one interval, and begin the next one.

    Args:
        metrics: The counters; their latencies start again.
        shares: The nominal share of each operation of the mix, in percent; other operations have none.

    Returns:
        `by_operation`, `s3`, `redis`, `requests` (where a job API is served), `end_to_end_p99_ms`,
        `enqueue_wait_ms`, `settle_wait_ms`, `redis_latency_ms`, and `histograms`: the distributions by path,
        in HdrHistogram's compressed V2 form.
    """
    interval = _Interval()
    line = {
        "by_operation": interval.operations(metrics.operations, shares),
        "s3": {kind: interval.calls(f"s3.{kind}", each, "bytes") for kind, each in metrics.s3.items()},
        "end_to_end_p99_ms": interval.latencies("end_to_end_ms", metrics.end_to_end)["p99"],
        "enqueue_wait_ms": interval.latencies("enqueue_wait_ms", metrics.enqueue_wait),
        "settle_wait_ms": interval.latencies("settle_wait_ms", metrics.settle_wait),
    }
    redis = {kind: interval.calls(f"redis.{kind}", each, "elements") for kind, each in metrics.redis.items()}
    p99 = [calls["latency_ms"]["p99"] for calls in redis.values() if calls["latency_ms"]["p99"] is not None]
    if metrics.requests:
        line["requests"] = {route: interval.requests(route, each) for route, each in metrics.requests.items()}
    return line | {
        "redis": redis,
        "redis_latency_ms": max(p99, default=None),
        "histograms": interval.histograms,
    }


class _Interval:
    """Collects latencies and keeps their histograms by path."""

    def __init__(self) -> None:
        self.histograms: dict[str, str] = {}

    def latencies(self, path: str, latencies: Latencies) -> dict[str, float | None]:
        counts = latencies.collect()
        if counts:
            self.histograms[path] = encoded(counts)
        return summary(counts)

    def operations(
        self, operations: Mapping[str, OperationStats], shares: Mapping[str, float]
    ) -> dict[str, Any]:
        steady = sum(stats.steady for stats in operations.values())
        names = [*shares, *(name for name in operations if name not in shares)]
        return {name: self._operation(name, operations[name], shares.get(name), steady) for name in names}

    def _operation(
        self, name: str, stats: OperationStats, share: float | None, steady: int
    ) -> dict[str, Any]:
        in_mix = share is not None
        return {
            "created": stats.created,
            "processed": stats.processed,
            "missed": stats.missed,
            "failed": stats.failed,
            "share_nominal": round(share, 3) if share is not None else None,
            "share_actual": round(100 * stats.steady / steady, 3) if steady and in_mix else None,
            **{each: self.latencies(f"{name}.{each}", getattr(stats, each)) for each in _OPERATION_LATENCIES},
        }

    def calls(self, path: str, stats: CallStats, unit: str) -> dict[str, Any]:
        latency = self.latencies(f"{path}.latency_ms", stats.latency_ms)
        calls = {"count": stats.count, unit: stats.size, "errors": stats.errors, "latency_ms": latency}
        if stats.first_byte_ms is not None:
            calls["first_byte_ms"] = self.latencies(f"{path}.first_byte_ms", stats.first_byte_ms)
        return calls

    def requests(self, route: str, stats: RequestStats) -> dict[str, Any]:
        statuses = {str(status): count for status, count in sorted(stats.statuses.items())}
        return {"statuses": statuses, "latency_ms": self.latencies(f"requests.{route}", stats.latency_ms)}
