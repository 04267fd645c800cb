"""Notices that Redis has lost data, and has the books say so."""

from collections.abc import Callable

from loadtest_trio.redis_service.books import LossWatch
from loadtest_trio.redis_service.channel import Channel


class Bookkeeper:
    """Reads the books in every reply; when they do not follow from those before, repairs them.

    Args:
        channel: The way to Redis.
        on_data_loss: Told how many messages Redis has forgotten, by the process that finds it out.
    """

    def __init__(self, channel: Channel, on_data_loss: Callable[[int], None]) -> None:
        self._channel = channel
        self._on_data_loss = on_data_loss
        self._watch = LossWatch()

    @property
    def suspicious(self) -> bool:
        """Whether `repair` has something to look at."""
        return self._watch.suspicious

    def saw(self, books: list[bytes | None]) -> None:
        """Compare the books of one reply with those remembered."""
        self._watch.saw(books)

    async def repair(self) -> None:
        """Compare with the books of the moment; when messages are missing, book and tell them as lost."""
        remembered = self._watch.remembered
        if remembered is None or not self._watch.suspicious:
            return
        books, lost, first = await self._channel.script("repair", *remembered.fields())
        self._watch.repaired(books)
        if first or lost > 0:
            self._on_data_loss(lost)
