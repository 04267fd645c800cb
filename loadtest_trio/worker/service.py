"""WorkerService: claims messages and does their work.

    upkeep nursery: acknowledger ───────────────────────────────── until everything is settled
      └─ membership nursery: heartbeat, reaper ─────────────────── outlive the workers
           └─ workers nursery: claimer ──► (no buffer) ──► worker x N ──► acknowledger
                            │                           │
                            └── unstarted: released     └── unfinished at the deadline: retired

Invariant: a claimed message stays in this consumer's in-flight record until a settlement, a release or a
retirement removes it. If this process dies in between, the reaper of another consumer finds it there.
"""

from collections.abc import Callable

import attrs
import trio

from loadtest_trio.errors import LoadtestError, MalformedMessageError
from loadtest_trio.handlers.registry import Registry
from loadtest_trio.jobs.delivery import Delivery, Outcome
from loadtest_trio.jobs.message import Message
from loadtest_trio.metrics import logs
from loadtest_trio.metrics.counters import Metrics
from loadtest_trio.metrics.health_state import HealthState
from loadtest_trio.worker.acknowledger import Acknowledger
from loadtest_trio.worker.claimer import Claimer, GiveBack
from loadtest_trio.worker.completion import Completion
from loadtest_trio.worker.key_order import KeyOrder
from loadtest_trio.worker.limiter import ConcurrencyLimiter, Window
from loadtest_trio.worker.membership import Membership
from loadtest_trio.worker.pool import WorkerPool
from loadtest_trio.worker.queue import Queue
from loadtest_trio.worker.recorder import CompletionRecorder
from loadtest_trio.worker.runner import Claimed, Runner

_CLEANUP_SECONDS = 5.0
_DEFERRED_SECONDS = 5.0
_WINDOW_SECONDS = 1.0  # between two adjustments of the number of workers


@attrs.frozen
class Listeners:
    """Those who hear how deliveries end.

    Attributes:
        completed: Called with each message whose delivery is settled, its outcome and its error.
        buried: Called with the id of each job of a dead consumer that was delivered too often.
    """

    completed: Callable[[Message, Outcome, LoadtestError | None], None]
    buried: Callable[[str], None] = lambda _: None


@attrs.frozen
class WorkerOptions:
    """How many workers there are, and when a silent consumer counts as dead.

    Attributes:
        concurrency: Initial number of workers.
        ttl: Seconds after which a silent consumer is reaped.
        limiter: Adjusts the number of workers while they run; None keeps it.
    """

    concurrency: int
    ttl: float
    limiter: ConcurrencyLimiter | None = None


class WorkerService:
    """A pool of workers on one queue.

    Args:
        queue: The queue to claim from and to settle in.
        registry: The kinds of work.
        runner: Does a message's work, including retries.
        listeners: Hear how deliveries end.
        metrics: Counts messages and errors.
        health_state: Is told about progress.
        options: Number of workers, and the consumer's time to live.
    """

    def __init__(
        self,
        *,
        queue: Queue,
        registry: Registry,
        runner: Runner,
        listeners: Listeners,
        metrics: Metrics,
        health_state: HealthState,
        options: WorkerOptions,
    ) -> None:
        self._queue = queue
        self._runner = runner
        self._metrics = metrics
        self._health_state = health_state
        self._pool: WorkerPool[Claimed] = WorkerPool(self._work_off, options.concurrency)
        self._limiter = options.limiter
        self._completed, self._busy_seconds = 0, 0.0
        self._unix_clock = runner.unix_clock
        self._key_order: KeyOrder[Claimed] = KeyOrder(trio.current_time)
        recorder = CompletionRecorder(metrics, runner.unix_clock, listeners.completed)
        self._acknowledger = Acknowledger(queue, recorder.record)
        self._claimer = Claimer(
            queue,
            registry,
            self._key_order,
            options.concurrency,
            GiveBack(self._refuse, self._defer),
            health_state,
            self._acknowledger.settle_jobs,
        )
        self._claimer_scope = trio.CancelScope()
        self._workers_scope = trio.CancelScope()
        self._jobs: dict[str, trio.CancelScope] = {}  # token -> the scope that a running job is in
        self._membership = Membership(queue, options.ttl, self._jobs, listeners.buried)

    @property
    def concurrency(self) -> int:
        """The number of workers."""
        return self._pool.size

    @property
    def adapts(self) -> bool:
        """Whether the number of workers is adjusted to throughput and latency."""
        return self._limiter is not None

    def resize(self, concurrency: int, limiter: ConcurrencyLimiter | None = None) -> None:
        """Set the number of workers, and the limiter that adjusts it from now on."""
        self._limiter = limiter
        self._set_concurrency(concurrency)

    def _set_concurrency(self, concurrency: int) -> None:
        self._pool.resize(concurrency)
        self._claimer.resize(concurrency)

    def stop(self, grace: float) -> None:
        """Stop claiming, and give the work in progress `grace` seconds to finish; `run` then returns."""
        self._claimer_scope.cancel()
        self._workers_scope.deadline = min(self._workers_scope.deadline, trio.current_time() + grace)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Work until `stop` is called and the work in progress is done or out of time.

        At the end, results are settled and all other messages return to the queue, if Redis answers within a
        few seconds; otherwise the reaper of another consumer returns them later. After a crash they are left
        to the reaper, which counts the delivery: one of these messages may be the cause, and would otherwise
        crash every consumer in turn.

        Raises:
            RedisRejectedError: Redis permanently refuses the queue.
        """
        async with trio.open_nursery() as upkeep:
            upkeep.start_soon(self._acknowledger.run, name="acknowledger")
            crashed = False
            try:
                await self._run_with_heartbeat(task_status)
            except BaseException as error:
                crashed = _is_crash(error)
                raise
            finally:
                self._health_state.ended("worker")
                with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLEANUP_SECONDS):
                    await self._acknowledger.flush()
                    if not crashed:
                        await self._queue.retire()
                upkeep.cancel_scope.cancel()

    async def _run_with_heartbeat(self, task_status: trio.TaskStatus[None]) -> None:
        # Heartbeats stop before the consumer retires: a late one would register it again.
        async with trio.open_nursery() as membership:
            self._membership.start(membership)
            membership.start_soon(self._adapt, name="concurrency")
            with self._workers_scope:
                await self._work(task_status)
            membership.cancel_scope.cancel()

    async def _work(self, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as workers:
            send, receive = trio.open_memory_channel[Claimed](0)
            async with send, receive:
                self._pool.open(workers, receive)
                task_status.started()
                with self._claimer_scope:
                    await self._claimer.run(send)
                self._pool.close()
                unstarted = self._claimer.unstarted()
                if unstarted:
                    await self._queue.release(unstarted)

    async def _work_off(self, claimed: Claimed, scope: trio.CancelScope) -> None:
        """Process a message, and then the messages that wait for its key.

        Args:
            claimed: The message.
            scope: The scope of its worker.
        """
        key = claimed.order_key
        if not key:
            await (self._handle_job(claimed, scope) if claimed.message.job else self._handle(claimed))
            return
        following: Claimed | None = claimed
        while following:
            if following.message.job:
                with trio.CancelScope() as own:  # a cancelled job must not end those that wait for its key
                    await self._handle_job(following, own)
            else:
                await self._handle(following)
            following = self._key_order.leave(key)

    async def _handle_job(self, claimed: Claimed, scope: trio.CancelScope) -> None:
        """Process a job that ends when `scope` is cancelled; a cancelled job needs no completion."""
        token = claimed.delivery.token
        self._jobs[token] = scope
        try:
            await self._handle(claimed)
        finally:
            del self._jobs[token]

    async def _handle(self, claimed: Claimed) -> None:
        message = claimed.message
        started, began = self._unix_clock(), self._runner.clock()
        if logs.debug_enabled():
            logs.event(
                "operation_started", "DEBUG", operation=message.operation, key=message.key, id=message.id
            )
        if claimed.handler.max_seconds:
            self._health_state.beat("worker", quiet_for=claimed.handler.max_seconds)
        completion = await self._runner.run(claimed)
        self._health_state.beat("worker")
        self._completed += 1
        seconds = self._runner.clock() - began  # the Unix clock may have been set meanwhile
        self._busy_seconds += seconds
        self._metrics.handled(message, started=started, ended=started + seconds)
        self._acknowledger.put(completion)

    def _defer(self, late: list[Claimed]) -> None:
        """Put messages back for a while without using up a retry, because their keys are busy."""
        now = self._unix_clock()
        for place, claimed in enumerate(late):
            message = claimed.message
            self._acknowledger.put(
                Completion(
                    claimed.delivery,
                    message,
                    Outcome.RETRY,
                    now,
                    message.attempts,
                    retries=message.retries,
                    delay=_DEFERRED_SECONDS + place / 1000,  # keeps their order
                )
            )

    def _refuse(self, delivery: Delivery, error: MalformedMessageError) -> None:
        self._metrics.totals["errors"] += 1
        logs.failure("message_malformed", "malformed", error=str(error), size=len(delivery.element))
        self._acknowledger.put(Completion(delivery, None, Outcome.DEAD, self._unix_clock(), error=error))

    async def _adapt(self) -> None:
        completed, busy, throttled = 0, 0.0, 0
        while True:
            await trio.sleep(_WINDOW_SECONDS)
            before = (completed, busy, throttled)
            completed, busy, throttled = (
                self._completed,
                self._busy_seconds,
                self._metrics.totals["throttled"],
            )
            if self._limiter:
                ended, spent, refused = completed - before[0], busy - before[1], throttled - before[2]
                self._set_concurrency(self._limiter.observe(Window(_WINDOW_SECONDS, ended, spent, refused)))


def _is_crash(error: BaseException) -> bool:
    """Return whether an unexpected exception ended the work, alone or in a group."""
    if isinstance(error, BaseExceptionGroup):
        return any(map(_is_crash, error.exceptions))
    return isinstance(error, Exception) and not isinstance(error, LoadtestError)
