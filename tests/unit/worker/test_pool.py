"""The pool: its size changes while it runs, without interrupting or losing work."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from trio.testing import MockClock

from loadtest_trio.worker.pool import WorkerPool


class Desk:
    """Work that takes a second, and how much of it was under way at once."""

    def __init__(self) -> None:
        self.under_way = self.most = 0
        self.done: list[int] = []
        self.scopes: dict[int, trio.CancelScope] = {}

    async def handle(self, number: int, scope: trio.CancelScope) -> None:
        """Work."""
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        self.scopes[number] = scope
        try:
            await trio.sleep(1)
        finally:
            self.under_way -= 1
        self.done.append(number)


@asynccontextmanager
async def at_work(pool: WorkerPool[int], pieces: int) -> AsyncIterator[None]:
    """Let a pool work on numbered pieces; leaving the block waits until all are done."""
    send, receive = trio.open_memory_channel[int](pieces)
    async with trio.open_nursery() as nursery:
        pool.open(nursery, receive)
        with send, receive:
            for number in range(pieces):
                send.send_nowait(number)
            yield


async def test_pool_resizes_under_load_without_loss(autojump_clock: MockClock) -> None:
    """New workers start at once; surplus ones end after their current work; nothing is lost."""
    desk = Desk()
    pool = WorkerPool(desk.handle, 2)
    async with at_work(pool, 100):
        await trio.sleep(2.5)
        assert (desk.under_way, len(desk.done)) == (2, 4)
        pool.resize(10)
        await trio.sleep(1.1)
        assert desk.under_way == 10
        pool.resize(3)
        await trio.sleep(2)
        desk.most = 0
        await trio.sleep(2)
        assert desk.most == 3
    assert sorted(desk.done) == list(range(100))


async def test_resize_before_open_and_after_close(autojump_clock: MockClock) -> None:
    """A size set before `open` is used; after `close` no worker starts."""
    desk = Desk()
    pool = WorkerPool(desk.handle, 1)
    pool.resize(4)
    async with at_work(pool, 8):
        await trio.sleep(0.5)
        assert desk.under_way == 4
        pool.close()
        pool.resize(9)
    assert (desk.most, len(desk.done)) == (4, 8)


async def test_cancelled_piece_does_not_end_its_worker(autojump_clock: MockClock) -> None:
    """Cancelling a worker's scope ends the piece of work in hand; the same worker takes the next one."""
    desk = Desk()
    pool = WorkerPool(desk.handle, 1)
    async with at_work(pool, 4):
        await trio.sleep(1.5)
        desk.scopes[1].cancel()
        await trio.sleep(0.2)
        assert desk.under_way == 1
    assert desk.done == [0, 2, 3]


async def test_cancellation_of_a_piece_that_ends_by_itself_spares_the_next(autojump_clock: MockClock) -> None:
    """A scope that is cancelled too late for its piece of work does not cancel the piece that follows."""
    done: list[int] = []

    async def handle(number: int, scope: trio.CancelScope) -> None:
        await trio.lowlevel.checkpoint()
        if number == 0:
            scope.cancel()  # nothing is left to be cancelled
        done.append(number)

    pool = WorkerPool(handle, 1)
    async with at_work(pool, 3):
        pass
    assert done == [0, 1, 2]
