"""Acknowledges finished messages, many in one call.

A worker hands over its completion and goes on; the acknowledger sends what has gathered after a few
milliseconds. After a crash in between, finished work is done again: at least once, never less. How much
can gather is bounded by what can be claimed, as nothing new is claimed while Redis is away.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import trio

from loadtest_trio.jobs.delivery import Settlement
from loadtest_trio.worker.completion import Completion

_MANY = 64  # go out without a pause
_MOST = 256  # go out in one call; a busy event loop lets hundreds gather while a call is under way
_LINGER_SECONDS = 0.03


class _Queue(Protocol):
    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]: ...


class Acknowledger:
    """Collects completions and settles them in batches.

    Args:
        queue: Where to settle.
        on_settled: Called with each completion once Redis has it, and with False when it was stale because
            another consumer had taken the message over.
    """

    def __init__(self, queue: _Queue, on_settled: Callable[[Completion, bool], None]) -> None:
        self._queue = queue
        self._on_settled = on_settled
        self._pending: list[Completion] = []
        self._some = trio.Event()
        self._many = trio.Event()

    def put(self, completion: Completion) -> None:
        """Hand over a completion; returns at once."""
        self._pending.append(completion)
        self._some.set()
        if len(self._pending) >= _MANY:
            self._many.set()

    async def run(self) -> None:
        """Settle until cancelled. A batch whose call is cut short is pending again afterwards.

        Each call is preceded by a pause: what a single call would leave behind is never worth a call
        of its own, which costs as much as a whole batch.
        """
        while True:
            await self._some.wait()
            with trio.move_on_after(_LINGER_SECONDS):
                await self._many.wait()
            await self._settle_batch()

    async def flush(self) -> None:
        """Settle everything that is pending.

        Raises:
            RedisRejectedError: Redis refuses for good.
        """
        while self._pending:
            await self._settle_batch()

    async def _settle_batch(self) -> None:
        batch, self._pending = self._pending[:_MOST], self._pending[_MOST:]
        self._some, self._many = trio.Event(), trio.Event()
        if self._pending:
            self._some.set()
        if len(self._pending) >= _MANY:
            self._many.set()
        try:
            results = await self._queue.settle([completion.settlement() for completion in batch])
        except BaseException:
            self._pending = batch + self._pending
            raise
        for completion, counted in zip(batch, results, strict=True):
            self._on_settled(completion, counted)
