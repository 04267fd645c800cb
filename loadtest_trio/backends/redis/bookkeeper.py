"""Notices that Redis has lost data, and has the books say so."""

import time
from collections.abc import Callable

import trio

from loadtest_trio.backends.redis.books import LossWatch
from loadtest_trio.backends.redis.channel import Channel


class Bookkeeper:
    """Reads the books in every reply; when they do not follow from those before, repairs them.

    Args:
        channel: The way to Redis.
        on_data_loss: Told when Redis has forgotten what was known here, with the number of messages
            that were counted as lost by this process: 0 when another one was first.
    """

    def __init__(self, channel: Channel, on_data_loss: Callable[[int], None]) -> None:
        self._channel = channel
        self._on_data_loss = on_data_loss
        self._watch = LossWatch()
        self._number = time.time_ns() // 1000
        self._repairing = trio.Lock()

    @property
    def suspicious(self) -> bool:
        """Whether `repair` has something to look at."""
        return self._watch.suspicious

    def saw(self, books: list[bytes | None]) -> None:
        """Compare the books of one reply with those remembered."""
        self._watch.saw(books)

    async def repair(self) -> None:
        """If Redis was away, compare with the books of the moment; what is missing is counted and told."""
        if not self._watch.suspicious:
            return
        async with self._repairing:
            remembered = self._watch.remembered
            if remembered is None or not self._watch.suspicious:
                return  # another task was faster
            books, lost, less = await self._channel.script("repair", self._number, *remembered.fields())
            # Only now: a repair that was cancelled may have been done, and gets its answer next time.
            self._number += 1
            self._watch.repaired(books)
        if less:
            self._on_data_loss(max(0, lost))
