"""Long polling: one task reads all jobs that requests wait for, and wakes the requests whose job changed.

    request ─► wait ─► (event) ◄─── run: all watched ids in one call, ten times a second
                 └─ gives up at its timeout, or when its client disconnects

A job may run in another process, so only the store knows its state; one call serves a thousand waiters as
cheaply as one.
"""

from collections import defaultdict

import attrs
import trio

from loadtest_trio.errors import RedisError
from loadtest_trio.jobs.job import Job
from loadtest_trio.jobs.store import JobStore

_PERIOD_SECONDS = 0.1
_BATCH = 500


@attrs.define(eq=False)
class _Waiter:
    version: str
    changed: trio.Event = attrs.field(factory=trio.Event)
    job: Job | None = None


class JobWatch:
    """Waits until jobs change.

    Args:
        store: The jobs.
    """

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._waiters: dict[str, set[_Waiter]] = defaultdict(set)
        self._some = trio.Event()

    @property
    def waiting(self) -> int:
        """Number of waiting requests."""
        return sum(map(len, self._waiters.values()))

    async def wait(self, job: Job, seconds: float) -> Job | None:
        """Wait until a job's record differs from this one.

        Args:
            job: The record as the client knows it.
            seconds: Maximum wait.

        Returns:
            The new record; None if nothing has changed.
        """
        waiter = _Waiter(job.version)
        self._waiters[job.id].add(waiter)
        self._some.set()
        try:
            with trio.move_on_after(seconds):
                await waiter.changed.wait()
        finally:
            self._waiters[job.id].discard(waiter)
            if not self._waiters[job.id]:
                del self._waiters[job.id]
        return waiter.job

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Wake waiting requests when their jobs change, until cancelled."""
        task_status.started()
        while True:
            await self._some.wait()
            await trio.sleep(_PERIOD_SECONDS)
            ids = list(self._waiters)
            if not ids:
                self._some = trio.Event()
            for begin in range(0, len(ids), _BATCH):
                await self._look(ids[begin : begin + _BATCH])

    async def _look(self, ids: list[str]) -> None:
        try:
            jobs = await self._store.get(ids)
        except RedisError:
            return  # waiting requests answer as if nothing had changed
        for job in jobs:
            for waiter in self._waiters.get(job.id, ()) if job else ():
                if job and job.version != waiter.version:
                    waiter.job = job
                    waiter.changed.set()
