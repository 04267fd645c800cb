"""MetricsService: one metrics line every interval, by a schedule that does not drift."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import attrs
import trio

from loadtest_trio.jobs.ledger import QueueSnapshot
from loadtest_trio.jobs.message import Operation
from loadtest_trio.metrics import emf, logs
from loadtest_trio.metrics.counters import Metrics
from loadtest_trio.metrics.ecs import TaskLimits
from loadtest_trio.metrics.health_state import HealthState
from loadtest_trio.metrics.machine import ProcessMeter
from loadtest_trio.settings import MetricsFormat, Role, Settings

_SNAPSHOT_SECONDS = 2.0  # a line does not wait longer for Redis; it then carries the last known queue
_PROBE_SECONDS = 0.5
_PLACES = (
    "processed", "missed", "dead", "purged", "cancelled", "lost", "queued", "waiting", "delayed", "in_flight"
)  # fmt: skip
_NOTHING = QueueSnapshot(
    queued=0,
    in_flight=0,
    delayed=0,
    dead=0,
    consumers=0,
    epoch="",
    created=0,
    processed=0,
    missed=0,
    purged=0,
    lost=0,
)


class _Queue(Protocol):
    async def snapshot(self) -> QueueSnapshot: ...


class MetricsService:
    """Writes what happened.

    The queue and the ledger come from one atomic snapshot in Redis, so they agree with each other at
    any instant; rates, latencies and `by_operation` are this process's own.

    Args:
        settings: Interval, mix and format.
        queue: Where the snapshot comes from.
        objects: Returns how many objects are known; None in a process that does not schedule.
        metrics: What was counted.
        health_state: Where it shows that it makes progress.
        limits: What the ECS task may use.
        phase: The scheduler's phase now.
        schedule_lag: How late the scheduler is now, in seconds.
        steered: How the parts are set now, as fields of a line.
        unix_clock: Unix seconds.
        measure_jobs: Returns what the line says of jobs; None where no job API is served.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        queue: _Queue,
        objects: Callable[[], int] | None,
        metrics: Metrics,
        health_state: HealthState,
        limits: TaskLimits,
        phase: Callable[[], str],
        schedule_lag: Callable[[], float],
        steered: Callable[[], Mapping[str, Any]],
        unix_clock: Callable[[], float],
        measure_jobs: Callable[[], Awaitable[dict[str, Any]]] | None = None,
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._objects = objects
        self._metrics = metrics
        self._health_state = health_state
        self._limits = attrs.asdict(limits)
        self._phase = phase
        self._schedule_lag = schedule_lag
        self._steered = steered
        self._unix_clock = unix_clock
        self._measure_jobs = measure_jobs
        self._meter = ProcessMeter()
        self.latest: Mapping[str, Any] = {}
        self._started = trio.current_time()
        self._snapshot = _NOTHING
        self._snapshot_at = self._started
        self._last = (self._started, 0)
        self._shares = {
            operation.value: settings.steady_state_distribution.share(operation) for operation in Operation
        }

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write a line every `LOG_INTERVAL_SECONDS` until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.probe)
            task_status.started()
            began, ticks = trio.current_time(), 0
            while True:
                ticks += 1
                await trio.sleep_until(began + ticks * self._settings.log_interval_seconds)
                await self.write()

    async def write(self) -> None:
        """Write one metrics line now."""
        line = await self.measure()
        if self._settings.metrics_format is MetricsFormat.EMF:
            line |= emf.header(
                line,
                namespace=self._settings.metrics_namespace,
                service=self._settings.queue_name,
                role="main" if Role.SCHEDULER in self._settings.roles else "workers",
                unix_seconds=self._unix_clock(),
            )
        logs.event("metrics", **line)

    async def measure(self) -> dict[str, Any]:
        """Return the fields of a metrics line, and begin the next interval."""
        self._health_state.beat("metrics")
        with trio.move_on_after(_SNAPSHOT_SECONDS):
            self._snapshot = await self._queue.snapshot()
            self._snapshot_at = trio.current_time()
        jobs = await self._measure_jobs() if self._measure_jobs else {}
        logs.summarise_floods()
        line = self._line() | jobs
        self.latest = {**line}
        return line

    def totals(self) -> dict[str, Any]:
        """Return the totals and the ledger as of the last line, for the end."""
        snapshot, totals = self._snapshot, self._metrics.totals
        return {
            "uptime_seconds": round(trio.current_time() - self._started, 3),
            "messages_created": snapshot.created,
            "messages_processed": snapshot.processed,
            "messages_missed": snapshot.missed,
            "messages_failed": totals["dead"],
            "messages_withheld": totals["withheld"],
            "messages_retried": totals["retry"],
            "settlements_stale": totals["stale"],
            "errors": totals["errors"],
            "requests_throttled": totals["throttled"],
            "ledger": ledger(snapshot),
        }

    def _line(self) -> dict[str, Any]:
        now, snapshot = trio.current_time(), self._snapshot
        self._metrics.peak("schedule_lag", self._schedule_lag())
        health = self._health_state.read()
        return {
            **self.totals(),
            "phase": self._phase(),
            **self._steered(),
            "degraded": health.degraded,
            "stuck": {task: round(seconds, 1) for task, seconds in health.stuck.items()},
            "queue_length": snapshot.queued,
            "in_flight": snapshot.in_flight,
            "delayed": snapshot.delayed,
            "dead": snapshot.dead,
            "snapshot_age_seconds": round(now - self._snapshot_at, 3),
            "rate_per_second": self._rate(now),
            "objects": self._objects() if self._objects else None,
            "objects_skipped": self._metrics.totals["objects_skipped"],
            **self._meter.read(),
            **self._limits,
            "loop_lag_ms": self._metrics.collect_peak_ms("loop_lag"),
            "schedule_lag_ms": self._metrics.collect_peak_ms("schedule_lag"),
            **self._metrics.collect(self._shares),
        }

    def _rate(self, now: float) -> float:
        (before, count), processed = self._last, self._metrics.totals["processed"]
        self._last = (now, processed)
        return round((processed - count) / (now - before), 3) if now > before else 0.0

    async def probe(self) -> None:
        """Notice how late the event loop runs its tasks, until cancelled."""
        while True:
            due = trio.current_time() + _PROBE_SECONDS
            await trio.sleep_until(due)
            self._metrics.peak("loop_lag", trio.current_time() - due)


def ledger(snapshot: QueueSnapshot) -> dict[str, int]:
    """Return the books: where every created message is.

    Returns:
        Each place with its count, and ``difference``: created minus all places. It is 0 unless somebody
        else put messages on the list directly (negative).
    """
    accounted = {place: int(getattr(snapshot, place)) for place in _PLACES}
    return {"created": snapshot.created, **accounted, "difference": -snapshot.surplus}
