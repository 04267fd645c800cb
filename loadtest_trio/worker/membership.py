"""Keeps a consumer in its queue: heartbeats, reaping of the dead, and hearing what was taken from it."""

from collections.abc import Callable, Mapping

import trio

from loadtest_trio.metrics import logs
from loadtest_trio.worker.queue import Queue

_REVOCATION_SECONDS = 0.5


class Membership:
    """A consumer's part in the queue beside its work.

    Args:
        queue: The queue.
        ttl: Seconds after which a silent consumer is reaped.
        jobs: Token -> the scope that a running job is in; cancelled when the job is revoked.
        on_buried: Called with the id of each job of a dead consumer that was delivered too often.
    """

    def __init__(
        self,
        queue: Queue,
        ttl: float,
        jobs: Mapping[str, trio.CancelScope],
        on_buried: Callable[[str], None],
    ) -> None:
        self._queue = queue
        self._ttl = ttl
        self._jobs = jobs
        self._on_buried = on_buried

    def start(self, nursery: trio.Nursery) -> None:
        """Start the tasks, which run until the nursery is cancelled."""
        nursery.start_soon(self._beat, name="heartbeat")
        nursery.start_soon(self._reap, name="reaper")
        nursery.start_soon(self._cancel_revoked, name="revocation")

    async def _beat(self) -> None:
        while True:
            await self._queue.heartbeat()
            await trio.sleep(self._ttl / 3)

    async def _reap(self) -> None:
        while True:
            await trio.sleep(self._ttl / 2)
            result = await self._queue.reap()
            for job in result.dead_jobs:
                self._on_buried(job)
            if result.consumers:
                logs.event(
                    "consumers_reaped",
                    "WARNING",
                    consumers=result.consumers,
                    requeued=result.requeued,
                    dead=result.dead,
                )

    async def _cancel_revoked(self) -> None:
        while True:
            await trio.sleep(_REVOCATION_SECONDS)
            for token in await self._queue.revoked() if self._jobs else ():
                if token in self._jobs:
                    self._jobs[token].cancel()
