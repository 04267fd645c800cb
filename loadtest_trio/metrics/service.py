"""Writes one metrics line every interval, on a schedule that does not drift."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import attrs
import trio

from loadtest_trio.jobs.ledger import QueueSnapshot
from loadtest_trio.jobs.message import Operation
from loadtest_trio.metrics import emf, logs
from loadtest_trio.metrics.collecting import collect
from loadtest_trio.metrics.counters import Metrics
from loadtest_trio.metrics.ecs import TaskLimits
from loadtest_trio.metrics.health_state import HealthState
from loadtest_trio.metrics.machine import ProcessMeter
from loadtest_trio.settings import MetricsFormat, Settings

_SNAPSHOT_SECONDS = 2.0  # a line waits no longer for Redis; it then has the last known snapshot
_PROBE_SECONDS = 0.5
_PLACES = (
    "processed", "missed", "dead", "purged", "cancelled", "lost", "queued", "waiting", "delayed", "in_flight"
)  # fmt: skip
_NOTHING = QueueSnapshot(
    queued=0, in_flight=0, delayed=0, dead=0, consumers=0, epoch="", created=0, processed=0, missed=0,
    purged=0, lost=0,
)  # fmt: skip


class _Queue(Protocol):
    async def snapshot(self) -> QueueSnapshot: ...


@attrs.frozen
class Sources:
    """What a metrics line tells besides what was counted.

    Attributes:
        queue: Takes the snapshot of queue and ledger.
        objects: Returns how many objects are known; None in a process that does not schedule.
        phase: Returns the scheduler's phase.
        schedule_lag: Returns how late the scheduler is, in seconds.
        steered: Returns how the parts are set, as fields of a line.
        measure_backends: Returns the fields about the CPU of the backends' servers.
        measure_jobs: Returns the fields about jobs; None where no job API is served.
    """

    queue: _Queue
    objects: Callable[[], int] | None
    phase: Callable[[], str]
    schedule_lag: Callable[[], float]
    steered: Callable[[], Mapping[str, Any]]
    measure_backends: Callable[[], Awaitable[dict[str, Any]]]
    measure_jobs: Callable[[], Awaitable[dict[str, Any]]] | None = None


class MetricsService:
    """Writes one metrics line every interval.

    The queue and the ledger come from one atomic snapshot in Redis, so they agree with each other; rates,
    latencies and `by_operation` are this process's own.

    Args:
        settings: Interval, mix and format.
        sources: What a line tells besides what was counted.
        metrics: What was counted.
        health_state: Shows that this task makes progress.
        limits: What the ECS task may use.
        unix_clock: Unix seconds.

    Attributes:
        latest: The fields of the latest line.
    """

    def __init__(
        self,
        settings: Settings,
        sources: Sources,
        metrics: Metrics,
        health_state: HealthState,
        *,
        limits: TaskLimits,
        unix_clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._sources = sources
        self._metrics = metrics
        self._health_state = health_state
        self._limits = attrs.asdict(limits)
        self._unix_clock = unix_clock
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
            await self._sources.measure_backends()  # so that the first line has an interval to tell of
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
                role=emf.role_of(self._settings.roles),
                unix_seconds=self._unix_clock(),
            )
        logs.event("metrics", **line)

    async def measure(self) -> dict[str, Any]:
        """Return the fields of a metrics line, and begin the next interval."""
        self._health_state.beat("metrics")
        with trio.move_on_after(_SNAPSHOT_SECONDS):
            self._snapshot = await self._sources.queue.snapshot()
            self._snapshot_at = trio.current_time()
        measure_jobs = self._sources.measure_jobs
        jobs = await measure_jobs() if measure_jobs else {}
        backends = await self._sources.measure_backends()
        logs.summarise_floods()
        line = self._line() | backends | jobs
        self.latest = {**line}
        return line

    def totals(self) -> dict[str, Any]:
        """Return the totals and the ledger as of the last line, for `service_stopped`."""
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
        now, snapshot, sources = trio.current_time(), self._snapshot, self._sources
        self._metrics.peak("schedule_lag", sources.schedule_lag())
        health = self._health_state.read()
        return {
            **self.totals(),
            "phase": sources.phase(),
            **sources.steered(),
            "degraded": health.degraded,
            "stuck": {task: round(seconds, 1) for task, seconds in health.stuck.items()},
            "queue_length": snapshot.queued,
            "in_flight": snapshot.in_flight,
            "delayed": snapshot.delayed,
            "dead": snapshot.dead,
            "oldest_seconds": self._oldest_seconds(),
            "snapshot_age_seconds": round(now - self._snapshot_at, 3),
            "rate_per_second": self._rate(now),
            "objects": sources.objects() if sources.objects else None,
            "objects_skipped": self._metrics.totals["objects_skipped"],
            **self._meter.read(),
            **self._limits,
            "loop_lag_ms": self._metrics.collect_peak_ms("loop_lag"),
            "schedule_lag_ms": self._metrics.collect_peak_ms("schedule_lag"),
            **collect(self._metrics, self._shares),
        }

    def _oldest_seconds(self) -> float | None:
        due = self._snapshot.oldest_at
        return None if due is None else round(max(0.0, self._unix_clock() - due), 3)

    def _rate(self, now: float) -> float:
        (before, count), processed = self._last, self._metrics.totals["processed"]
        self._last = (now, processed)
        return round((processed - count) / (now - before), 3) if now > before else 0.0

    async def probe(self) -> None:
        """Measure how late the event loop runs its tasks, until cancelled."""
        while True:
            due = trio.current_time() + _PROBE_SECONDS
            await trio.sleep_until(due)
            self._metrics.peak("loop_lag", trio.current_time() - due)


def ledger(snapshot: QueueSnapshot) -> dict[str, int]:
    """Return the ledger: where every created message is.

    Returns:
        The count of each place, and ``difference``: created minus all places. It is 0 unless messages were
        put on the list directly, by another program (negative).
    """
    accounted = {place: int(getattr(snapshot, place)) for place in _PLACES}
    return {"created": snapshot.created, **accounted, "difference": -snapshot.surplus}
