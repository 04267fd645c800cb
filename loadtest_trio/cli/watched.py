"""Runs work with a dashboard beside it."""

from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

import trio

from loadtest_trio.web.dashboard.board import Board

T = TypeVar("T")


async def watched(board: Board | None, work: Callable[[], Awaitable[T]]) -> T:
    """Do the work, and serve a dashboard of its log lines meanwhile.

    Args:
        board: The dashboard, or None.
        work: The work.

    Returns:
        The result of the work.
    """
    if board is None:
        return await work()
    done: Callable[[], T]
    async with trio.open_nursery() as nursery:
        await nursery.start(board.run)
        try:
            done = _returned(await work())
        except Exception as error:  # raised after the nursery, which would wrap it in a group
            done = _raised(error)
        finally:
            board.stop()
    return done()


def _returned(value: T) -> Callable[[], T]:
    return lambda: value


def _raised(error: Exception) -> Callable[[], NoReturn]:
    def again() -> NoReturn:
        raise error

    return again
