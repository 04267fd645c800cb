"""Archives jobs that ended without a result: dead and cancelled ones, out of their records in Redis.

A job that succeeds is archived by its worker before it is settled. The others are noted here when they have
ended; their records outlive the longest outage of S3 by far, so they are copied when S3 can take them.
"""

import trio

from loadtest_trio.backends.archive import S3Archive
from loadtest_trio.errors import LoadtestError
from loadtest_trio.jobs.store import JobStore

_BATCH = 100
_MOST_NOTED = 100_000
_PAUSE_SECONDS = 1.0
_FLUSH_SECONDS = 5.0


class Archiver:
    """Copies ended jobs to the archive.

    Args:
        store: Where their records are.
        archive: Where they go.

    Attributes:
        archive: The same.
    """

    def __init__(self, store: JobStore, archive: S3Archive) -> None:
        self._store = store
        self.archive = archive
        self._noted: dict[str, None] = {}
        self._some = trio.Event()

    def note(self, job_id: str) -> None:
        """Have a job archived that has ended; returns at once."""
        if self.archive.keeps_jobs and len(self._noted) < _MOST_NOTED:
            self._noted[job_id] = None
            self._some.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Archive until cancelled, and then what is left, as far as that goes within a few seconds."""
        task_status.started()
        try:
            while True:
                await self._some.wait()
                if not await self._copy():
                    await trio.sleep(_PAUSE_SECONDS)
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _FLUSH_SECONDS):
                while self._noted and await self._copy():
                    pass

    async def _copy(self) -> bool:
        """Copy a batch; False when a backend did not take part."""
        self._some = trio.Event()
        ids = list(self._noted)[:_BATCH]
        try:
            for job in await self._store.get(ids):
                if job and job.status.ended:
                    await self.archive.keep(job)
                    del self._noted[job.id]
        except LoadtestError:
            self._some.set()
            return False
        for job_id in ids:
            self._noted.pop(job_id, None)  # its record has expired, or it has been retried
        if self._noted:
            self._some.set()
        return True
