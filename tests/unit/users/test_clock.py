"""Sleepers are woken in time, in order, and never after they were cancelled."""

import trio
from trio.testing import MockClock

from loadtest_trio.users.clock import Sleepers


async def test_sleepers_wake_at_their_times(autojump_clock: MockClock) -> None:
    woken: list[tuple[int, float]] = []
    async with trio.open_nursery() as keeper:
        sleepers = Sleepers()
        await keeper.start(sleepers.run)

        async def sleep(number: int, due: float) -> None:
            await sleepers.until(due)
            woken.append((number, trio.current_time()))

        async with trio.open_nursery() as nursery:
            for number, due in enumerate((5.0, 1.0, 3.0)):
                nursery.start_soon(sleep, number, due)
        keeper.cancel_scope.cancel()
    assert woken == [(1, 1.0), (2, 3.0), (0, 5.0)]


async def test_an_earlier_sleeper_moves_the_next_wake_up(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        sleepers = Sleepers()
        await nursery.start(sleepers.run)
        nursery.start_soon(sleepers.until, 100.0)
        await trio.sleep(1)
        await sleepers.until(2.0)
        assert trio.current_time() == 2.0
        nursery.cancel_scope.cancel()


async def test_a_cancelled_sleeper_is_not_woken(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        sleepers = Sleepers()
        await nursery.start(sleepers.run)
        with trio.move_on_after(1) as scope:
            await sleepers.until(2.0)
        assert scope.cancelled_caught
        await trio.sleep(5)
        nursery.cancel_scope.cancel()


async def test_a_time_in_the_past_takes_one_turn(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        sleepers = Sleepers()
        await nursery.start(sleepers.run)
        await trio.sleep(3)
        await sleepers.until(1.0)
        assert trio.current_time() == 3.0
        nursery.cancel_scope.cancel()
