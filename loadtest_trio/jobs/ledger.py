"""Where every message is, and how the counters of the queue add up."""

from typing import Any

import attrs


@attrs.frozen
class Books:
    """The epoch and its counters; see `QueueSnapshot` for their meaning."""

    epoch: bytes
    created: int
    processed: int
    missed: int
    purged: int
    lost: int
    cancelled: int = 0

    @classmethod
    def parse(cls, reply: list[bytes | None]) -> "Books":
        """Read what ``books()`` of common.lua returns."""
        epoch, *counters = reply
        return cls(epoch or b"", *(int(counter or 0) for counter in counters))

    def newer_than(self, other: "Books") -> bool:
        """Whether this was read later; within one epoch all counters but `lost` only grow.

        When the server is back with an older past, claims and settlements still say the old epoch until
        something begins the new one. `created` has not grown then, and what is remembered is kept.
        """
        return self.created >= other.created and self._moves >= other._moves

    @property
    def _moves(self) -> int:
        return self.created + self.processed + self.missed + self.purged + self.cancelled

    def fields(self) -> tuple[bytes | int, ...]:
        """Return the fields in the order in which repair.lua wants them."""
        return attrs.astuple(self)


_PLACES = ("queued", "in_flight", "delayed", "dead", "consumers", "waiting")


@attrs.frozen
class QueueSnapshot:
    """Where all messages are, at one instant of the Redis server.

    Attributes:
        queued: Waiting on the queue.
        in_flight: Claimed and not settled, by all consumers.
        delayed: Waiting for their retry.
        dead: On the dead list.
        consumers: Consumers registered.
        epoch: Names this life of the server; it changes with every restart and failover.
        created: Messages enqueued, those included that Redis itself forgot.
        processed: Messages settled as processed.
        missed: Messages settled as missed.
        purged: Messages deleted from the dead list for good.
        lost: Messages that Redis itself forgot.
        cancelled: Jobs cancelled.
        waiting: Jobs behind an earlier one of their client.
    """

    queued: int
    in_flight: int
    delayed: int
    dead: int
    consumers: int
    epoch: str
    created: int
    processed: int
    missed: int
    purged: int
    lost: int
    cancelled: int = 0
    waiting: int = 0

    @classmethod
    def parse(cls, reply: list[Any]) -> "QueueSnapshot":
        """Read what snapshot.lua returns."""
        books = Books.parse(reply[0])
        places = dict(zip(_PLACES, reply[1:], strict=True))
        counters = attrs.asdict(books) | {"epoch": books.epoch.decode()}
        return cls(**places, **counters)

    @property
    def surplus(self) -> int:
        """Messages beyond those created: 0, or what others pushed onto the list by themselves."""
        ended = self.processed + self.missed + self.dead + self.purged + self.lost + self.cancelled
        return ended + self.queued + self.waiting + self.delayed + self.in_flight - self.created
