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
        """Parse the reply of ``books()`` in common.lua."""
        epoch, *counters = reply
        return cls(epoch or b"", *(int(counter or 0) for counter in counters))

    def newer_than(self, other: "Books") -> bool:
        """Whether this was read later; within one epoch all counters but `lost` only grow.

        After the server has returned with older data, claims and settlements still report the old epoch until
        a new one begins. `created` is not larger then, so the remembered counters are kept.
        """
        return self.created >= other.created and self._moves >= other._moves

    @property
    def _moves(self) -> int:
        return self.created + self.processed + self.missed + self.purged + self.cancelled

    def fields(self) -> tuple[bytes | int, ...]:
        """Return the fields in the order that repair.lua expects."""
        return attrs.astuple(self)


_PLACES = ("queued", "in_flight", "delayed", "dead", "consumers", "waiting")


@attrs.frozen
class QueueSnapshot:
    """Where all messages are, at one moment.

    Attributes:
        queued: On the queue.
        in_flight: Claimed and not settled, by all consumers.
        delayed: Waiting for their retry.
        dead: On the dead list.
        consumers: Registered consumers.
        epoch: Identifies this lifetime of the server; changes with every restart and failover.
        created: Messages enqueued, including those that Redis lost.
        processed: Messages settled as processed.
        missed: Messages settled as missed.
        purged: Messages deleted from the dead list.
        lost: Messages that Redis lost.
        cancelled: Cancelled jobs.
        waiting: Jobs that wait behind an earlier one of their client.
        oldest_at: When the next message to be claimed was due, in Unix seconds; None for an empty queue,
            or if that message does not say.
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
    oldest_at: float | None = None

    @classmethod
    def parse(cls, reply: list[Any]) -> "QueueSnapshot":
        """Parse the reply of snapshot.lua."""
        books = Books.parse(reply[0])
        *counts, due = reply[1:]
        places = dict(zip(_PLACES, counts, strict=True))
        counters = attrs.asdict(books) | {"epoch": books.epoch.decode()}
        oldest_at = _seconds(due) if places["queued"] else None  # what is left may be cancelled jobs
        return cls(**places, **counters, oldest_at=oldest_at)

    @property
    def surplus(self) -> int:
        """Messages not counted as created: 0, or those that others pushed onto the list directly."""
        ended = self.processed + self.missed + self.dead + self.purged + self.lost + self.cancelled
        return ended + self.queued + self.waiting + self.delayed + self.in_flight - self.created


def _seconds(text: bytes) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if seconds > 0 else None
