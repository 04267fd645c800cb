"""The running pieces of one step of `tune`."""

import trio

from loadtest_trio.assembly import Assembly
from loadtest_trio.tune.plan.burner import burn
from loadtest_trio.tune.plan.pace import PaceMeter

_GRACE_SECONDS = 2.0
_CLOSE_SECONDS = 5.0


class Pieces:
    """One assembly and its tasks; ends in the daemon's order.

    Args:
        parts: What to run.
        burnt: Share of a core to burn beside it.

    Attributes:
        pace: How fast the core is meanwhile.
    """

    def __init__(self, parts: Assembly, burnt: float) -> None:
        self.parts = parts
        self.pace = PaceMeter()
        self._burnt = burnt
        self._scheduling = trio.CancelScope()
        self._ended = trio.Event()

    async def run(self) -> None:
        """Run until `end` is called."""
        try:
            async with trio.open_nursery() as observers:
                observers.start_soon(self.parts.metrics_service.probe)
                observers.start_soon(self.parts.s3.run)
                observers.start_soon(burn, self._burnt)
                observers.start_soon(self.pace.run)
                async with trio.open_nursery() as load:
                    load.start_soon(self._schedule)
                    load.start_soon(self.parts.worker.run)
                observers.cancel_scope.cancel()
        finally:
            await self._close()

    async def end(self) -> None:
        """Stop scheduling, let the work in hand finish, throw the rest of the queue away."""
        self._scheduling.cancel()
        self.parts.worker.stop(_GRACE_SECONDS)
        await self._ended.wait()

    async def _schedule(self) -> None:
        with self._scheduling:
            await self.parts.scheduler.run()

    async def _close(self) -> None:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_SECONDS):
            await self.parts.redis.erase()
            await self.parts.s3.aclose()
        self.parts.redis.close()
        self.parts.health.close()
        self._ended.set()
