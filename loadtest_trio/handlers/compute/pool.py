"""Worker processes for what would hold up the event loop.

    run ──► limiter ──► deadline ──► worker process ──► result
              │            │              └─ dies: WorkerProcessError; the next job gets a new process
              │            └─ over: killed, JobTimeoutError
              └─ cancelled: waits no longer, or its process is killed

Invariants: a job holds a slot and at most one process, and when it ends in any way but with a result or an
exception of its own, its process is killed and reaped before the slot is free. The deadline counts from the
moment it has a slot, so time spent waiting for a process does not count.

Alternatives: threads hold the GIL; `concurrent.futures` can neither kill nor replace one process; a process
for each job costs its start (about 100 ms) each time, a kept one 0.1 ms.
"""

import math
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, TypeVarTuple

import attrs
import trio

from loadtest_trio.errors import JobTimeoutError, WorkerProcessError
from loadtest_trio.handlers.compute.kernels import set_up_worker

if TYPE_CHECKING:
    import trio_parallel

Ts = TypeVarTuple("Ts")

INLINE_SECONDS = 0.001
"""Work estimated below it runs on the event loop: a worker process would cost a tenth of that in overhead."""

_EXITS_AT_START = (-signal.SIGINT, -signal.SIGTERM, 1)
"""How a process ends that a signal hits before `set_up_worker` ignores it; no later end looks like this."""

_STARTS = 3
_IDLE_SECONDS = 60.0
_CLOSE_SECONDS = 2.0


def usable_cpus() -> int:
    """Return the number of CPUs that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@attrs.frozen
class ComputeLimits:
    """What a computation may take.

    Attributes:
        max_seconds: `JOB_MAX_SECONDS`: how long one may run, in seconds.
        processes: How many run at the same time.
        factorial_max_n: The largest `n` of a factorial.
        sha512_max_iterations: The longest chain.
    """

    max_seconds: float = 60.0
    processes: int = attrs.field(factory=usable_cpus)
    factorial_max_n: int = 100_000
    sha512_max_iterations: int = 100_000_000


class ComputePool:
    """Runs computations inline or in worker processes; open one with `open_compute_pool`.

    Args:
        limits: What a computation may take.
        closing: Ends the processes with the pool.
    """

    def __init__(self, limits: ComputeLimits, closing: AsyncExitStack) -> None:
        self.limits = limits
        self._closing = closing
        self._workers: trio_parallel.WorkerContext | None = None
        self._slots = trio.CapacityLimiter(limits.processes)
        self._unlimited = trio.CapacityLimiter(math.inf)

    async def run(self, estimate: float, compute: Callable[[*Ts], bytes], *args: *Ts) -> bytes:
        """Return ``compute(*args)``.

        Args:
            estimate: How long it should take, in seconds.
            compute: A function of `kernels`, or of another module that is cheap to import.
            args: Its arguments.

        Raises:
            JobTimeoutError: It ran longer than `JOB_MAX_SECONDS`.
            WorkerProcessError: Its process died.
        """
        if estimate < INLINE_SECONDS:
            return compute(*args)  # no checkpoint: its worker passes one before every message
        async with self._slots:
            return await self._run_in_process(compute, *args)

    @property
    def processes(self) -> int:
        """How many worker processes there are, busy and idle."""
        if self._workers is None:
            return 0
        counts = self._workers.statistics()
        return int(counts.idle_workers + counts.running_workers)

    async def _run_in_process(self, compute: Callable[[*Ts], bytes], *args: *Ts) -> bytes:
        try:
            with trio.fail_after(self.limits.max_seconds):
                for _ in range(_STARTS - 1):
                    with suppress(WorkerNotStartedError):
                        return await self._attempt(compute, *args)
                return await self._attempt(compute, *args)
        except trio.TooSlowError:
            raise JobTimeoutError(
                f"the computation ran longer than JOB_MAX_SECONDS={self.limits.max_seconds:g}"
            ) from None

    async def _attempt(self, compute: Callable[[*Ts], bytes], *args: *Ts) -> bytes:
        from trio_parallel import BrokenWorkerError  # late, as in _open_workers

        workers = self._workers or await self._open_workers()
        try:
            result: bytes = await workers.run_sync(
                compute, *args, kill_on_cancel=True, limiter=self._unlimited
            )
        except BrokenWorkerError as error:
            code = getattr(error.args[-1], "exitcode", None)
            fault = WorkerNotStartedError if code in _EXITS_AT_START else WorkerProcessError
            raise fault(f"a worker process died: {_fate(code)}") from error
        except (OSError, RuntimeError) as error:  # no process, thread or descriptor is left
            raise WorkerNotStartedError(f"a worker process cannot be started: {error}") from error
        return result

    async def _open_workers(self) -> "trio_parallel.WorkerContext":
        """Open what keeps the processes, with the first job: a service that computes nothing pays nothing.

        Nothing in here passes the scheduler, so no other task opens a second one meanwhile.
        """
        from trio_parallel import BrokenWorkerError, open_worker_context

        # A process that was killed while it was idle is reported at close; no job was affected.
        self._closing.enter_context(suppress(BrokenWorkerError))
        self._workers = await self._closing.enter_async_context(
            open_worker_context(idle_timeout=_IDLE_SECONDS, init=set_up_worker, grace_period=_CLOSE_SECONDS)
        )
        return self._workers


class WorkerNotStartedError(WorkerProcessError):
    """The process died before it was set up, so the job cannot have caused it."""


def _fate(code: int | None) -> str:
    return f"exit code {code}" if code is None or code >= 0 else f"signal {-code}"


@asynccontextmanager
async def open_compute_pool(limits: ComputeLimits) -> AsyncIterator[ComputePool]:
    """Open a pool; its processes start with the first long computation, and are gone when it closes.

    All computations must have ended before: closing waits for them and cannot be cancelled.
    """
    async with AsyncExitStack() as closing:
        yield ComputePool(limits, closing)
