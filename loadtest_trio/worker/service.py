"""WorkerService: takes messages off the queue and does their work.

    upkeep nursery: settler ────────────────────────────────────── until everything is settled
      └─ pulse nursery: heartbeat, reaper ──────────────────────── outlive the workers
           └─ workers nursery: intake ──► (no buffer) ──► worker x N ──► settler
                            │                          │
                            └── unstarted: released    └── unfinished at the deadline: retired

Invariant: a claimed message is in this consumer's in-flight record until a settlement, a release or a
retirement takes it out; whatever dies in between, the reaper of another consumer finds it there.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import trio

from loadtest_trio.backends.redis import ReapResult
from loadtest_trio.errors import MalformedMessageError
from loadtest_trio.jobs.delivery import Delivery, Outcome, Settlement
from loadtest_trio.jobs.message import Message
from loadtest_trio.metrics import logs
from loadtest_trio.metrics.counters import Metrics
from loadtest_trio.metrics.health_state import HealthState
from loadtest_trio.worker.attempt import Attempts
from loadtest_trio.worker.bookkeeper import Bookkeeper
from loadtest_trio.worker.finished import Finished
from loadtest_trio.worker.intake import Intake, Job
from loadtest_trio.worker.key_order import Lanes
from loadtest_trio.worker.settler import Settler

_CLEANUP_SECONDS = 5.0


class Queue(Protocol):
    """What the worker needs of Redis; `loadtest_trio.backends.redis.RedisService` is one."""

    async def claim(self, limit: int) -> list[Delivery]:
        """Take up to `limit` messages into this consumer's in-flight record."""
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """End deliveries; False for one that was taken away meanwhile."""
        ...

    async def release(self, tokens: Sequence[str]) -> int:
        """Put claimed messages back that nobody started."""
        ...

    async def retire(self) -> None:
        """Put everything back and sign off."""
        ...

    async def heartbeat(self) -> None:
        """Show that this consumer lives."""
        ...

    async def reap(self) -> ReapResult:
        """Put back what dead consumers had claimed."""
        ...


class WorkerService:
    """A pool of workers on one queue.

    Args:
        queue: Where messages come from and are settled.
        attempts: Does a message's work, with its retries.
        on_completed: Told about each message whose delivery is settled, and how it ended.
        metrics: Where it counts.
        health_state: Where it shows that it makes progress.
        concurrency: Number of workers.
        ttl: Seconds after which a silent consumer is reaped.
        unix_clock: Unix seconds.
    """

    def __init__(
        self,
        *,
        queue: Queue,
        attempts: Attempts,
        on_completed: Callable[[Message, Outcome], None],
        metrics: Metrics,
        health_state: HealthState,
        concurrency: int,
        ttl: float,
        unix_clock: Callable[[], float],
    ) -> None:
        self._queue = queue
        self._attempts = attempts
        self._metrics = metrics
        self._health_state = health_state
        self._concurrency = concurrency
        self._ttl = ttl
        self._unix_clock = unix_clock
        self._lanes: Lanes[Job] = Lanes()
        self._settler = Settler(queue, Bookkeeper(metrics, unix_clock, on_completed).settled)
        self._intake = Intake(queue, self._lanes, concurrency, self._refuse, health_state)
        self._intake_scope = trio.CancelScope()
        self._workers_scope = trio.CancelScope()

    def stop(self, grace: float) -> None:
        """Begin to end `run`: claim no more, and give the work in hand `grace` seconds."""
        self._intake_scope.cancel()
        self._workers_scope.deadline = min(self._workers_scope.deadline, trio.current_time() + grace)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Work until `stop` was called and the work in hand is done or out of time.

        However it ends, results are settled and everything else is returned to the queue, if Redis
        answers within a few seconds; if not, the reaper of another consumer does it later.

        Raises:
            RedisRejectedError: Redis refuses the queue for good.
        """
        async with trio.open_nursery() as upkeep:
            upkeep.start_soon(self._settler.run)
            try:
                await self._work_with_a_pulse(task_status)
            finally:
                self._health_state.ended("worker")
                with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLEANUP_SECONDS):
                    await self._settler.flush()
                    await self._queue.retire()
                upkeep.cancel_scope.cancel()

    async def _work_with_a_pulse(self, task_status: trio.TaskStatus[None]) -> None:
        # The pulse has stopped before the consumer signs off: a late heartbeat would sign it on again.
        async with trio.open_nursery() as pulse:
            pulse.start_soon(self._beat)
            pulse.start_soon(self._reap)
            with self._workers_scope:
                await self._work(task_status)
            pulse.cancel_scope.cancel()

    async def _work(self, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as workers:
            send, receive = trio.open_memory_channel[Job](0)
            async with send, receive:
                for _ in range(self._concurrency):
                    workers.start_soon(self._worker, receive.clone())
                task_status.started()
                with self._intake_scope:
                    await self._intake.run(send)
                unstarted = self._intake.unstarted()
                if unstarted:
                    await self._queue.release(unstarted)

    async def _worker(self, jobs: trio.MemoryReceiveChannel[Job]) -> None:
        async with jobs:
            async for job in jobs:
                following: Job | None = job
                while following:
                    await self._handle(following)
                    following = self._lanes.leave(following.message.key)

    async def _handle(self, job: Job) -> None:
        message = job.message
        started = self._unix_clock()
        if logs.debug_enabled():
            logs.event(
                "operation_started", "DEBUG", operation=message.operation, key=message.key, id=message.id
            )
        result = await self._attempts.perform(message)
        ended = self._unix_clock()
        self._health_state.beat("worker")
        self._metrics.handled(message, started=started, ended=ended)
        self._settler.put(Finished.handled(job.delivery, message, result, ended))

    def _refuse(self, delivery: Delivery, error: MalformedMessageError) -> None:
        self._metrics.totals["errors"] += 1
        logs.failure("message_malformed", "malformed", error=str(error), size=len(delivery.element))
        self._settler.put(Finished.refused(delivery, error, self._unix_clock()))

    async def _beat(self) -> None:
        while True:
            await self._queue.heartbeat()
            await trio.sleep(self._ttl / 3)

    async def _reap(self) -> None:
        while True:
            await trio.sleep(self._ttl / 2)
            result = await self._queue.reap()
            if result.consumers:
                logs.event(
                    "consumers_reaped",
                    "WARNING",
                    consumers=result.consumers,
                    requeued=result.requeued,
                    dead=result.dead,
                )
