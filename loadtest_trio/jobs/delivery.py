"""One delivery of a message: how it is handed out, and how it ends."""

from enum import StrEnum

import attrs


@attrs.frozen
class Delivery:
    """One message as handed to this consumer.

    Attributes:
        token: Names this delivery of the message; settle or release it under this name.
        element: The list element, whatever bytes somebody enqueued.
    """

    token: str
    element: bytes


class Outcome(StrEnum):
    """How a delivery ended."""

    PROCESSED = "processed"
    MISSED = "missed"
    RETRY = "retry"
    DEAD = "dead"


@attrs.frozen
class Settlement:
    """The end of one delivery; the class methods build each kind.

    Attributes:
        token: Of the delivery.
        outcome: What became of it.
        payload: RETRY: the element to deliver later. DEAD: the dead record.
        delay: RETRY: how long it waits, in seconds.
    """

    token: str
    outcome: Outcome
    payload: bytes = b""
    delay: float = 0.0

    @classmethod
    def processed(cls, token: str) -> "Settlement":
        """The work is done."""
        return cls(token, Outcome.PROCESSED)

    @classmethod
    def missed(cls, token: str) -> "Settlement":
        """There was nothing to do any more: the object was already gone."""
        return cls(token, Outcome.MISSED)

    @classmethod
    def retry(cls, token: str, element: bytes, delay: float) -> "Settlement":
        """Deliver `element` in its place, at least `delay` seconds from now."""
        return cls(token, Outcome.RETRY, element, delay)

    @classmethod
    def dead(cls, token: str, record: bytes) -> "Settlement":
        """Give up: move it to the dead list as `record` (see `dead_record`)."""
        return cls(token, Outcome.DEAD, record)

    def action(self) -> bytes:
        """Return the outcome as settle.lua reads it."""
        match self.outcome:
            case Outcome.PROCESSED:
                return b"p"
            case Outcome.MISSED:
                return b"m"
            case Outcome.RETRY:
                return b"r%d\n%b" % (max(0, round(self.delay * 1000)), self.payload)
            case Outcome.DEAD:
                return b"d" + self.payload
