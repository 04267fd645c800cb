"""SchedulerService: enqueues the messages that are due."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol

import trio

from loadtest_trio.backends.archive import FOLDER as JOBS_FOLDER
from loadtest_trio.backends.s3 import Page
from loadtest_trio.errors import LoadtestError
from loadtest_trio.jobs.ledger import QueueSnapshot
from loadtest_trio.jobs.message import Message
from loadtest_trio.metrics import logs
from loadtest_trio.metrics.counters import Metrics
from loadtest_trio.metrics.health_state import HealthState
from loadtest_trio.scheduler.eligibility import usable_keys
from loadtest_trio.scheduler.mix import Mix
from loadtest_trio.scheduler.pacer import Pacer
from loadtest_trio.scheduler.planner import Planner
from loadtest_trio.scheduler.setpoint import Setpoint, SetpointControl
from loadtest_trio.settings import SchedulerMode, Settings

_BATCH = 1000  # elements per call: bounds the time that one script blocks the Redis server
_POLL_SECONDS = 0.1  # between two checks of the queue in saturate mode and during preconditions
_IDLE_SECONDS = 1.0  # between two signs of life of a paused scheduler
_LIST_RETRY_SECONDS = 1.0
_SETTLING_SECONDS = 5.0  # time within which the inventory receives the outcome of a settled message
_MIN_LIST_PAUSE_SECONDS = 5.0  # between an early LIST and the one before it
_MIN_LIST_PAUSE_FACTOR = 20  # the pause is at least this many times the duration of the LIST


class _Queue(Protocol):
    async def enqueue(self, elements: Sequence[bytes]) -> int: ...
    async def snapshot(self) -> QueueSnapshot: ...


class _Bucket(Protocol):
    def list(self) -> AsyncIterator[Page]: ...


class SchedulerService:
    """Fills the bucket to its minimum, then enqueues the steady mix.

    Args:
        settings: Rate, interval, mode and limits.
        queue: Receives the messages.
        bucket: Is listed to reconcile the inventory.
        planner: Plans the messages; its inventory is kept up to date.
        metrics: Counts messages and errors.
        health_state: Is told about progress.
        unix_clock: Unix seconds.

    Attributes:
        control: Changes mode, rate or pause while the scheduler runs.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        queue: _Queue,
        bucket: _Bucket,
        planner: Planner,
        metrics: Metrics,
        health_state: HealthState,
        unix_clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._bucket = bucket
        self._inventory = planner.inventory
        self._planner = planner
        self._metrics = metrics
        self._health_state = health_state
        self._unix_clock = unix_clock
        self._pacer: Pacer | None = None
        self._queued = 0
        self._skip_reasons: set[str] = set()
        self._starving = trio.Event()
        self._met = False
        self.control = SetpointControl(
            Setpoint(settings.scheduler_mode, settings.scheduler_messages_per_second)
        )

    @property
    def phase(self) -> str:
        """``paused``, or ``precondition`` until the bucket holds enough objects, then ``steady``."""
        if self.control.setpoint.paused:
            return "paused"
        return "steady" if self._met else "precondition"

    def lag(self) -> float:
        """Return by how many seconds the next batch of rate mode is late, as during an outage of Redis."""
        pacer = self._pacer
        return max(0.0, trio.current_time() - pacer.next_tick) if pacer else 0.0

    def change_mix(self, mix: Mix) -> None:
        """Plan with another mix from now on; what is on the queue stays there."""
        self._planner.change_mix(mix)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Schedule until cancelled; reports started once the objects have been listed.

        Raises:
            RedisRejectedError: Redis permanently refuses the queue.
        """
        async with trio.open_nursery() as nursery:
            await self._reconcile()
            nursery.start_soon(self._keep_reconciled)
            task_status.started()
            await self._meet_preconditions()
            while True:
                await self._follow(self.control.setpoint)

    async def _follow(self, setpoint: Setpoint) -> None:
        """Schedule as set until the setpoint changes."""
        if setpoint.paused:
            await self._pause(setpoint)
        elif setpoint.mode is SchedulerMode.RATE:
            await self._keep_rate(setpoint)
        else:
            await self._keep_queue_filled(setpoint)

    async def _pause(self, setpoint: Setpoint) -> None:
        self._pacer = None
        while await self.control.hold(setpoint, until=trio.current_time() + _IDLE_SECONDS):
            self._health_state.beat("scheduler")

    async def _meet_preconditions(self) -> None:
        while not self._planner.met:
            if self.control.setpoint.paused:
                await self._pause(self.control.setpoint)
                continue
            room = await self._room()
            if room <= 0:
                self._log_queue_full()
            await self._enqueue(self._planner.refills(self._unix_clock(), room))
            await trio.sleep(_POLL_SECONDS)
        self._met = True
        logs.event("precondition_met", objects=self._inventory.objects)

    async def _keep_rate(self, setpoint: Setpoint) -> None:
        # After a change of rate, start at the old schedule's next tick: messages up to there are enqueued.
        now, interval = trio.current_time(), self._settings.scheduler_interval_seconds
        start = max(now, self._pacer.next_tick) if self._pacer else now
        pacer = self._pacer = Pacer(setpoint.rate, interval, start)
        while await self.control.hold(setpoint, until=pacer.next_tick):
            room = await self._room()
            offset = self._unix_clock() - trio.current_time()
            for tick, number in pacer.due(trio.current_time()):
                admitted = self._admit(number, room)
                room -= await self._enqueue(self._plan(admitted, tick + offset, room))
                self._metrics.peak("schedule_lag", trio.current_time() - tick)
                await trio.lowlevel.checkpoint()

    async def _keep_queue_filled(self, setpoint: Setpoint) -> None:
        pause = min(_POLL_SECONDS, self._settings.scheduler_interval_seconds)
        self._pacer = None
        while True:
            room = await self._room()
            wanted = self._settings.scheduler_target_queue_length - self._queued
            if wanted > room:
                self._log_queue_full()
            await self._enqueue(self._plan(max(0, min(wanted, room)), self._unix_clock(), room))
            if not await self.control.hold(setpoint, until=trio.current_time() + pause):
                return

    def _plan(self, number: int, due: float, room: int) -> list[Message]:
        batch = self._planner.steady(number, due)
        if len(batch) < number:
            self._metrics.totals["withheld"] += number - len(batch)
            self._starving.set()
        return batch + self._planner.refills(due, room - len(batch))

    def _admit(self, number: int, room: int) -> int:
        admitted = max(0, min(number, room))
        if admitted < number:
            self._metrics.totals["withheld"] += number - admitted
            self._log_queue_full(withheld=number - admitted)
        return admitted

    def _log_queue_full(self, **fields: Any) -> None:
        logs.failure(
            "messages_withheld", "withheld", max_queue_length=self._settings.max_queue_length, **fields
        )

    async def _room(self) -> int:
        # Dead and delayed messages count too; otherwise hours of S3 failures would fill Redis with them.
        snapshot = await self._queue.snapshot()
        self._health_state.beat("scheduler")
        self._queued = snapshot.queued
        if not snapshot.queued + snapshot.in_flight + snapshot.delayed:
            # Every message has ended. Those without an outcome here ended in another process.
            self._inventory.assume_completed(before=trio.current_time() - _SETTLING_SECONDS)
        return self._settings.max_queue_length - snapshot.queued - snapshot.delayed - snapshot.dead

    async def _enqueue(self, messages: list[Message]) -> int:
        for begin in range(0, len(messages), _BATCH):
            batch = messages[begin : begin + _BATCH]
            await self._queue.enqueue([message.encode() for message in batch])
            self._health_state.beat("scheduler")
            self._metrics.enqueue_wait.record(self._unix_clock() - batch[0].created_at, len(batch))
            for message in batch:
                self._metrics.scheduled(message)
        return len(messages)

    async def _keep_reconciled(self) -> None:
        interval = self._settings.inventory_reconcile_seconds
        pause = shortest = min(interval, _MIN_LIST_PAUSE_SECONDS)
        while True:
            # Without an available object, list early: another service may have filled the bucket.
            with trio.move_on_after(max(interval, pause)):
                await trio.sleep(pause)
                await self._starving.wait()
            self._starving = trio.Event()
            began = trio.current_time()
            await self._reconcile()
            # A LIST of a million keys takes about ten seconds of CPU, so limit it to a twentieth of the time.
            pause = max(shortest, _MIN_LIST_PAUSE_FACTOR * (trio.current_time() - began))

    async def _reconcile(self) -> None:
        while True:
            try:
                await self._list_once()
            except LoadtestError as error:
                self._metrics.totals["errors"] += 1
                logs.failure("list_failed", f"LIST {type(error).__name__}", error=str(error))
                await trio.sleep(_LIST_RETRY_SECONDS)
            else:
                return

    async def _list_once(self) -> None:
        reconciliation = self._inventory.reconcile()
        found, skipped = 0, Counter[str]()
        reserved = self._settings.s3_prefix + JOBS_FOLDER
        async for page in self._bucket.list():
            skipped.update(page.skipped)
            found += reconciliation.add_page(
                usable_keys(page.objects, self._settings.max_object_bytes, reserved, skipped)
            )
        gone = reconciliation.finish()
        logs.event("inventory_reconciled", "DEBUG", objects=self._inventory.objects, found=found, gone=gone)
        self._log_skipped(skipped)

    def _log_skipped(self, skipped: Counter[str]) -> None:
        """Count the objects that the load does not use, and log each reason once."""
        if self._inventory.set_aside:
            skipped["failed_for_good"] = self._inventory.set_aside
        self._metrics.totals["objects_skipped"] = skipped.total()
        if not skipped.keys() <= self._skip_reasons:
            self._skip_reasons |= skipped.keys()
            logs.event("objects_skipped", "WARNING", **skipped)
