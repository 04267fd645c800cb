"""The pool: its size changes while it runs, and no work is cut short or lost for it."""

import trio
from trio.testing import MockClock

from loadtest_trio.worker.pool import WorkerPool


class Desk:
    """Work that takes a second, and how much of it was under way at once."""

    def __init__(self) -> None:
        self.under_way = self.most = 0
        self.done: list[int] = []

    async def handle(self, number: int) -> None:
        """Work."""
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await trio.sleep(1)
        self.under_way -= 1
        self.done.append(number)


async def test_it_grows_and_shrinks_under_load(autojump_clock: MockClock) -> None:
    """More workers take part at once; fewer, after what the others have in hand; nothing is lost."""
    desk = Desk()
    pool = WorkerPool(desk.handle, 2)
    send, receive = trio.open_memory_channel[int](1000)
    for number in range(100):
        send.send_nowait(number)
    async with trio.open_nursery() as nursery:
        pool.open(nursery, receive)
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
        send.close()
        receive.close()
    assert sorted(desk.done) == list(range(100))


async def test_a_size_set_before_and_after_is_kept(autojump_clock: MockClock) -> None:
    """Before it opens a size is remembered; after it closed no worker starts."""
    desk = Desk()
    pool = WorkerPool(desk.handle, 1)
    pool.resize(4)
    send, receive = trio.open_memory_channel[int](10)
    async with trio.open_nursery() as nursery:
        pool.open(nursery, receive)
        for number in range(8):
            send.send_nowait(number)
        await trio.sleep(0.5)
        assert desk.under_way == 4
        pool.close()
        pool.resize(9)
        send.close()
        receive.close()
    assert (desk.most, len(desk.done)) == (4, 8)
