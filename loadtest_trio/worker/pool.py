"""A pool of workers whose size can change while they run."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class WorkerPool(Generic[T]):
    """Workers that take work from one channel.

    When the pool shrinks, each surplus worker ends after its current or next piece of work; no work is
    interrupted.

    Each worker has one cancel scope for many pieces of work, because entering a scope costs as much as a
    small piece. A worker whose scope was cancelled continues in a new one.

    Args:
        handle: Does one piece of work. Its second argument is the scope that it runs in; cancelling it
            before the piece is done ends this piece and no other.
        size: Initial number of workers.
    """

    def __init__(self, handle: Callable[[T, trio.CancelScope], Awaitable[None]], size: int) -> None:
        self._handle = handle
        self._running = 0
        self._nursery: trio.Nursery | None = None
        self._work: trio.MemoryReceiveChannel[T] | None = None
        self.size = size

    def open(self, nursery: trio.Nursery, work: trio.MemoryReceiveChannel[T]) -> None:
        """Start the workers; each ends when the channel closes."""
        self._nursery, self._work = nursery, work
        self.resize(self.size)

    def close(self) -> None:
        """Start no further workers."""
        self._nursery = self._work = None

    def resize(self, size: int) -> None:
        """Set the number of workers."""
        self.size = size
        if self._nursery is None or self._work is None:
            return
        while self._running < size:
            self._running += 1
            self._nursery.start_soon(self._run, self._work.clone())

    async def _run(self, work: trio.MemoryReceiveChannel[T]) -> None:
        async with work:
            while True:
                with trio.CancelScope() as scope:
                    async for piece in work:
                        await self._handle(piece, scope)
                        if scope.cancel_called or self._running > self.size:
                            break
                    else:
                        return
                if self._running > self.size:
                    self._running -= 1  # before any checkpoint, since other workers decide at the same time
                    return
