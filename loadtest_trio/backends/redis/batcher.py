"""Requests of concurrent tasks travel together: one call is under way, the next batch gathers meanwhile.

    task ─┐                       ┌─► thread ─► Redis, for the whole batch
    task ─┼─► open batch ─ leader ┤
    task ─┘                       └── (the next batch opens; its leader waits for this call to end)

There is no background task that would need an owner: the first task of a batch leads it, makes the call for
all, and is not cancelled before the others have their answers. A call is bounded by the socket's timeout.

While Redis is away only one call at a time tries it, a few times a second; other tasks are refused at once.
So are those that come when the call under way is overdue: a frozen server answers nobody. They
wait a moment longer at first: where this process had no CPU, or was stopped, the reply is only not read yet.
"""

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import attrs
import trio

from loadtest_trio.errors import RedisError, RedisUnavailableError

_PROBE_SECONDS = 0.2
_OVERDUE_SECONDS = 1.0
_GRACE_SECONDS = 0.25

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@attrs.define(eq=False)
class _Batch(Generic[Item, Answer]):
    items: list[Item] = attrs.field(factory=list)
    answers: list[Answer] | None = None
    error: Exception | None = None
    done: trio.Event = attrs.field(factory=trio.Event)


class Batcher(Generic[Item, Answer]):
    """Gathers items of many tasks into calls.

    Args:
        call: Answers a list of items with as many answers, in their order.
        most: Items of one call; a task that brings more at once gets a call of its own.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        call: Callable[[list[Item]], Awaitable[list[Answer]]],
        *,
        most: int,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self._call = call
        self._most = most
        self._clock = clock
        self._calling = trio.Lock()
        self._open: _Batch[Item, Answer] | None = None
        self._outage: RedisUnavailableError | None = None
        self._probe_at = 0.0
        self._under_way: _Batch[Item, Answer] | None = None
        self._began = self._patience = math.inf  # when the call under way did; until when it may be overdue

    async def ask(self, items: Sequence[Item]) -> list[Answer]:
        """Return the answers to these items, asked together with those of other tasks.

        Raises:
            RedisUnavailableError: Redis is away: at once when that is known already.
            LoadtestError: Whatever else `call` raised.
        """
        await self._refuse_in_vain()
        batch, leads = self._join(len(items))
        start = len(batch.items)
        batch.items.extend(items)
        if leads:
            await self._lead(batch)
        else:
            await batch.done.wait()
        if batch.answers is None:
            raise _copy(batch.error) from batch.error
        return batch.answers[start : start + len(items)]

    async def _refuse_in_vain(self) -> None:
        """Refuse a task that Redis would most likely keep waiting.

        Raises:
            RedisUnavailableError: Redis is away, or does not answer.
        """
        under_way = self._under_way
        overdue = self._clock() - self._began
        if under_way and not self._outage and overdue > _OVERDUE_SECONDS:
            self._patience = min(self._patience, self._clock() + _GRACE_SECONDS)
            with trio.move_on_after(max(0.0, self._patience - self._clock())):
                await under_way.done.wait()
            if not under_way.done.is_set():
                overdue = self._clock() - self._began
                raise RedisUnavailableError(f"Redis has not answered for {overdue:.1f} s")
        if self._outage and (self._calling.locked() or self._clock() < self._probe_at):
            raise RedisUnavailableError(str(self._outage))

    def _join(self, size: int) -> tuple[_Batch[Item, Answer], bool]:
        batch = self._open
        if batch is not None and len(batch.items) + size <= self._most:
            return batch, False
        self._open = batch = _Batch()
        return batch, True

    async def _lead(self, batch: _Batch[Item, Answer]) -> None:
        with trio.CancelScope(shield=True):
            async with self._calling:
                # All tasks that run in this turn of the event loop join, or the first of them would be served
                # alone and the others would wait for its call.
                await trio.lowlevel.cancel_shielded_checkpoint()
                if self._open is batch:
                    self._open = None
                try:
                    await self._make(batch)
                except Exception as error:
                    batch.error = error
                finally:
                    self._under_way, self._began = None, math.inf
                    batch.done.set()

    async def _make(self, batch: _Batch[Item, Answer]) -> None:
        if self._outage and self._clock() < self._probe_at:
            raise self._outage  # the call before has just found out
        self._under_way, self._began, self._patience = batch, self._clock(), math.inf
        try:
            batch.answers = await self._call(batch.items)
            self._outage = None
        except RedisUnavailableError as error:
            self._outage, self._probe_at = error, self._clock() + _PROBE_SECONDS
            raise


def _copy(error: Exception | None) -> Exception:
    """Return an exception for one of several tasks: each needs its own traceback."""
    if isinstance(error, RedisError):
        return type(error)(*error.args)
    return error or RedisError("the call was given up")
