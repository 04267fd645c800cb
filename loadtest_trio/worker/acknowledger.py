"""Acknowledges finished messages, many in one call.

A worker hands over its completion and continues; the acknowledger sends the gathered completions after a few
milliseconds. If the process crashes in between, finished work is done again (at-least-once delivery). The
number of pending completions is bounded, because nothing new is claimed while Redis is unavailable.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import trio

from loadtest_trio.jobs.delivery import Settlement
from loadtest_trio.worker.completion import Completion

_FULL_BATCH = 64  # settled without a pause
_MAX_BATCH = 256  # settled in one call; on a busy event loop hundreds gather during a call
_LINGER_SECONDS = 0.03


class _Queue(Protocol):
    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]: ...


class Acknowledger:
    """Collects completions and settles them in batches.

    Args:
        queue: Settles deliveries.
        on_settled: Called with each settled completion, and whether it counted: False if it was stale because
            another consumer had taken the message over.
    """

    def __init__(self, queue: _Queue, on_settled: Callable[[Completion, bool], None]) -> None:
        self._queue = queue
        self._on_settled = on_settled
        self._pending: list[Completion] = []
        self._some = trio.Event()
        self._many = trio.Event()

    def put(self, completion: Completion) -> None:
        """Add a completion to the next batch."""
        self._pending.append(completion)
        self._some.set()
        if len(self._pending) >= _FULL_BATCH:
            self._many.set()

    async def settle_jobs(self) -> int:
        """Settle everything that is pending, without a pause, if there are jobs in it.

        Returns:
            How many messages that were; 0 when no job is pending.

        Raises:
            RedisRejectedError: Redis permanently refuses the queue.
        """
        pending = len(self._pending)
        if not any(each.message and each.message.job for each in self._pending):
            return 0
        await self.flush()
        return pending

    async def run(self) -> None:
        """Settle until cancelled; the batch of an interrupted call becomes pending again.

        A pause precedes each call, because settling a single completion costs as much as a whole batch.
        """
        while True:
            await self._some.wait()
            with trio.move_on_after(_LINGER_SECONDS):
                await self._many.wait()
            await self._settle_batch()

    async def flush(self) -> None:
        """Settle everything that is pending.

        Raises:
            RedisRejectedError: Redis permanently refuses the queue.
        """
        while self._pending:
            await self._settle_batch()

    async def _settle_batch(self) -> None:
        batch, self._pending = self._pending[:_MAX_BATCH], self._pending[_MAX_BATCH:]
        self._some, self._many = trio.Event(), trio.Event()
        if self._pending:
            self._some.set()
        if len(self._pending) >= _FULL_BATCH:
            self._many.set()
        try:
            results = await self._queue.settle([completion.settlement() for completion in batch])
        except BaseException:
            self._pending = batch + self._pending
            raise
        for completion, counted in zip(batch, results, strict=True):
            self._on_settled(completion, counted)
