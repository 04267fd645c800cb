"""Counters and latencies of one process, recorded in passing.

Two spans of time: counters run from the start of the process, latencies cover one log interval and start anew
after each `collect`.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, Protocol

import attrs

from loadtest_trio.errors import LoadtestError
from loadtest_trio.jobs.message import Message, Phase
from loadtest_trio.metrics.latencies import Latencies, histogram, summary


class Observer(Protocol):
    """Told about every call to a backend when it ends, well or badly."""

    def __call__(self, kind: str, seconds: float, size: int, error: LoadtestError | None) -> None:
        """Record one call.

        Args:
            kind: The kind of call: an S3 request (``GET``, ``PUT``, ``DELETE``, ``LIST``, ``HEAD``) or
                a Redis call (``enqueue``, ``claim``, ``settle`` and so on).
            seconds: How long it took, from the call to the last byte received; an S3 request's signature
                and connection are included.
            size: Body bytes moved (S3) or elements moved (Redis).
            error: What went wrong, or None.
        """


@attrs.define
class CallStats:
    """One kind of call to a backend: running counts, and this interval's latencies."""

    count: int = 0
    size: int = 0
    errors: int = 0
    latency_ms: Latencies = attrs.field(factory=Latencies)
    first_byte_ms: Latencies | None = None

    def record(self, seconds: float, size: int, error: LoadtestError | None) -> None:
        """Count one call; its latency counts whether it went well or not."""
        self.count += 1
        self.size += size
        self.errors += error is not None
        self.latency_ms.record(seconds)


@attrs.define
class OperationStats:
    """One operation: running counts of messages, and this interval's latencies."""

    created: int = 0
    steady: int = 0
    processed: int = 0
    missed: int = 0
    failed: int = 0
    queue_wait_ms: Latencies = attrs.field(factory=Latencies)
    service_ms: Latencies = attrs.field(factory=Latencies)
    end_to_end_ms: Latencies = attrs.field(factory=Latencies)


@attrs.define
class RequestStats:
    """One route of the job API: running counts of answers by status, and this interval's latencies."""

    statuses: Counter[int] = attrs.field(factory=Counter)
    latency_ms: Latencies = attrs.field(factory=Latencies)


class Metrics:
    """Everything this process counts. Each recorder is a few dictionary and integer operations."""

    def __init__(self) -> None:
        self.operations: defaultdict[str, OperationStats] = defaultdict(OperationStats)
        self.s3: dict[str, CallStats] = {}
        self.redis: dict[str, CallStats] = {}
        self.requests: dict[str, RequestStats] = {}
        self.end_to_end = Latencies()
        self.enqueue_wait = Latencies()
        self.settle_wait = Latencies()
        self.totals: Counter[str] = Counter()
        self._peaks: dict[str, float] = {}

    def observe_s3(self, kind: str, seconds: float, size: int, error: LoadtestError | None) -> None:
        """Record one S3 request (an `Observer`)."""
        stats = self.s3.get(kind)
        if stats is None:
            stats = self.s3[kind] = CallStats()
        stats.record(seconds, size, error)

    def observe_first_byte(self, seconds: float) -> None:
        """Record after how long the answer to a GET began."""
        stats = self.s3.setdefault("GET", CallStats())
        stats.first_byte_ms = stats.first_byte_ms or Latencies()
        stats.first_byte_ms.record(seconds)

    def observe_redis(self, kind: str, seconds: float, size: int, error: LoadtestError | None) -> None:
        """Record one Redis call (an `Observer`)."""
        self.redis.setdefault(kind, CallStats()).record(seconds, size, error)

    def observe_request(self, route: str, status: int, seconds: float) -> None:
        """Record one answer of the job API."""
        stats = self.requests.get(route)
        if stats is None:
            stats = self.requests[route] = RequestStats()
        stats.statuses[status] += 1
        stats.latency_ms.record(seconds)

    def scheduled(self, message: Message) -> None:
        """Count a message that reached the queue."""
        stats = self.operations[message.operation]
        stats.created += 1
        stats.steady += message.phase is Phase.STEADY

    def peak(self, name: str, seconds: float) -> None:
        """Keep the largest value of a lag within this interval, in seconds."""
        self._peaks[name] = max(self._peaks.get(name, 0.0), seconds)

    def collect_peak_ms(self, name: str) -> float:
        """Return the largest value of a lag since the last call, in milliseconds; 0 when there was none."""
        return round(1000 * self._peaks.pop(name, 0.0), 3)

    def handled(self, message: Message, *, started: float, ended: float) -> None:
        """Record the latencies of one handled message.

        Args:
            message: Its `created_at`, the time it was due, is where waiting begins.
            started: When a worker took it, in Unix seconds.
            ended: When its S3 work was done, in Unix seconds.
        """
        stats = self.operations[message.operation]
        stats.service_ms.record(ended - started)
        if message.created_at:
            stats.queue_wait_ms.record(started - message.created_at)
            stats.end_to_end_ms.record(ended - message.created_at)
            self.end_to_end.record(ended - message.created_at)

    def collect(self, shares: Mapping[str, float]) -> dict[str, Any]:
        """Return the metrics line's share of what is counted here, and start new histograms.

        Args:
            shares: The nominal share of each operation of the mix, in percent; others have none.

        Returns:
            `by_operation`, `s3`, `redis`, `requests` (where a job API is served), `end_to_end_p99_ms`,
            `enqueue_wait_ms`, `settle_wait_ms`, `redis_latency_ms` and `histograms`, the interval's
            distributions in HdrHistogram's compressed V2 form, keyed by path.
        """
        self._histograms: dict[str, str] = {}
        line = {
            "by_operation": self._by_operation(shares),
            "s3": {kind: self._calls(f"s3.{kind}", stats, "bytes") for kind, stats in self.s3.items()},
            "end_to_end_p99_ms": self._latencies("end_to_end_ms", self.end_to_end)["p99"],
            "enqueue_wait_ms": self._latencies("enqueue_wait_ms", self.enqueue_wait),
            "settle_wait_ms": self._latencies("settle_wait_ms", self.settle_wait),
        }
        redis = {kind: self._calls(f"redis.{kind}", stats, "elements") for kind, stats in self.redis.items()}
        p99 = [
            calls["latency_ms"]["p99"] for calls in redis.values() if calls["latency_ms"]["p99"] is not None
        ]
        if self.requests:
            line["requests"] = {route: self._requests(route, stats) for route, stats in self.requests.items()}
        return line | {
            "redis": redis,
            "redis_latency_ms": max(p99, default=None),
            "histograms": self._histograms,
        }

    def _by_operation(self, shares: Mapping[str, float]) -> dict[str, Any]:
        steady = sum(stats.steady for stats in self.operations.values())
        names = [*shares, *(name for name in self.operations if name not in shares)]
        return {
            operation: {
                "created": stats.created,
                "processed": stats.processed,
                "missed": stats.missed,
                "failed": stats.failed,
                "share_nominal": round(shares[operation], 3) if operation in shares else None,
                "share_actual": round(100 * stats.steady / steady, 3)
                if steady and operation in shares
                else None,
                **{
                    name: self._latencies(f"{operation}.{name}", getattr(stats, name))
                    for name in ("queue_wait_ms", "service_ms", "end_to_end_ms")
                },
            }
            for operation, stats in ((name, self.operations[name]) for name in names)
        }

    def _calls(self, path: str, stats: CallStats, unit: str) -> dict[str, Any]:
        latency = self._latencies(f"{path}.latency_ms", stats.latency_ms)
        calls = {"count": stats.count, unit: stats.size, "errors": stats.errors, "latency_ms": latency}
        if stats.first_byte_ms is not None:
            calls["first_byte_ms"] = self._latencies(f"{path}.first_byte_ms", stats.first_byte_ms)
        return calls

    def _requests(self, route: str, stats: RequestStats) -> dict[str, Any]:
        statuses = {str(status): count for status, count in sorted(stats.statuses.items())}
        return {"statuses": statuses, "latency_ms": self._latencies(f"requests.{route}", stats.latency_ms)}

    def _latencies(self, path: str, latencies: Latencies) -> dict[str, float | None]:
        counts = latencies.collect()
        if counts:
            self._histograms[path] = histogram(counts).encode().decode("ascii")
        return summary(counts)
