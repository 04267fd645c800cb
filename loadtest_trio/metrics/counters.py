"""Counters and latencies of one process.

Counters run from the start of the process; latencies cover one log interval (see `collecting.collect`).
"""

from collections import Counter, defaultdict
from typing import Protocol

import attrs

from loadtest_trio.errors import LoadtestError
from loadtest_trio.jobs.message import Message, Phase
from loadtest_trio.metrics.latencies import Latencies


class Observer(Protocol):
    """Called at the end of every call to a backend, successful or not."""

    def __call__(self, kind: str, seconds: float, size: int, error: LoadtestError | None) -> None:
        """Record one call.

        Args:
            kind: The kind of call: an S3 request (``GET``, ``PUT``, ``DELETE``, ``LIST``, ``HEAD``) or a
                Redis call (``enqueue``, ``claim``, ``settle`` and so on).
            seconds: Its duration, from the call to the last byte received, the signature and connection of an
                S3 request included.
            size: Body bytes moved (S3) or elements moved (Redis).
            error: The error, or None.
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
        """Count one call; its latency counts in any case."""
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
    """Everything that this process counts. Recording costs a few dictionary and integer operations."""

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
        """Record the time until the answer to a GET began."""
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
        """Record a lag in seconds; the largest of an interval is kept."""
        self._peaks[name] = max(self._peaks.get(name, 0.0), seconds)

    def collect_peak_ms(self, name: str) -> float:
        """Return the largest value of a lag since the last call, in milliseconds; 0 when there was none."""
        return round(1000 * self._peaks.pop(name, 0.0), 3)

    def handled(self, message: Message, *, started: float, ended: float) -> None:
        """Record the latencies of one handled message.

        Args:
            message: Waiting begins at its `created_at`, the time it was due.
            started: When a worker took it, in Unix seconds.
            ended: When its work was done, in Unix seconds.
        """
        stats = self.operations[message.operation]
        stats.service_ms.record(ended - started)
        if message.created_at:
            stats.queue_wait_ms.record(started - message.created_at)
            stats.end_to_end_ms.record(ended - message.created_at)
            self.end_to_end.record(ended - message.created_at)
