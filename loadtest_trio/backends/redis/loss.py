"""Notices that Redis itself has lost data, and has the ledger say so.

Every script replies with the books (epoch and counters of the ledger) as they stood when it ran. Each life of
the server has an epoch of its own, so another epoch than the one remembered says that the server was away and
may have come back with less. Replies may be handled out of order (several threads), so that is only a
suspicion; repair.lua compares with the books of the moment and decides.
"""

import time
from collections.abc import Callable

import trio

from loadtest_trio.backends.redis.channel import Channel
from loadtest_trio.jobs.ledger import Books


class SeenBooks:
    """The latest books seen.

    Attributes:
        latest: The latest books, or None before the first reply.
        suspicious: Whether books of another epoch were seen since.
    """

    def __init__(self) -> None:
        self.latest: Books | None = None
        self.suspicious = False

    def saw(self, reply: list[bytes | None]) -> None:
        """Compare the books of one reply with the latest."""
        books = Books.parse(reply)
        known = self.latest
        if known is None:
            self.latest = books
        elif books.epoch != known.epoch:
            self.suspicious = True
        elif books.newer_than(known):
            self.latest = books

    def repaired(self, reply: list[bytes | None]) -> None:
        """Take over the books as they stand after repair.lua."""
        self.latest = Books.parse(reply)
        self.suspicious = False


class LossDetector:
    """Reads the books in every reply; when they do not follow from those before, repairs the ledger.

    Args:
        channel: The way to Redis.
        on_data_loss: Called when Redis has forgotten what was known here, with the number of messages that
            were counted as lost by this process: 0 when another one was first.
    """

    def __init__(self, channel: Channel, on_data_loss: Callable[[int], None]) -> None:
        self._channel = channel
        self._on_data_loss = on_data_loss
        self._seen = SeenBooks()
        self._number = time.time_ns() // 1000
        self._repairing = trio.Lock()

    @property
    def suspicious(self) -> bool:
        """Whether `repair` has something to look at."""
        return self._seen.suspicious

    def saw(self, books: list[bytes | None]) -> None:
        """Compare the books of one reply with those remembered."""
        self._seen.saw(books)

    async def repair(self) -> None:
        """If Redis was away, compare with the books of the moment; what is missing is counted as lost."""
        if not self._seen.suspicious:
            return
        async with self._repairing:
            latest = self._seen.latest
            if latest is None or not self._seen.suspicious:
                return  # another task was faster
            books, lost, less = await self._channel.script("repair", self._number, *latest.fields())
            # Only now: a repair that was cancelled may have been done, and gets its answer next time.
            self._number += 1
            self._seen.repaired(books)
        if less:
            self._on_data_loss(max(0, lost))
