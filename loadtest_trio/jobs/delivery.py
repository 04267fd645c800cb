"""One delivery of a message: how it is handed out, and how it ends."""

from enum import StrEnum

import attrs

LONGEST_ERROR = 1000
"""Characters of an error that are kept."""


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
        note: What a job's record says from now on: a letter and bytes, as jobs.lua reads them.
    """

    token: str
    outcome: Outcome
    payload: bytes = b""
    delay: float = 0.0
    note: bytes = b""

    @classmethod
    def processed(cls, token: str, result: bytes | None = None, result_ref: str = "") -> "Settlement":
        """The work is done.

        Args:
            token: Of the delivery.
            result: A job's result, for its record.
            result_ref: Where a job's result is kept instead, because it is too large for the record.
        """
        note = b"" if result is None else b"v" + result
        return cls(token, Outcome.PROCESSED, note=b"f" + result_ref.encode() if result_ref else note)

    @classmethod
    def missed(cls, token: str) -> "Settlement":
        """There was nothing to do any more: the object was already gone."""
        return cls(token, Outcome.MISSED)

    @classmethod
    def retry(cls, token: str, element: bytes, delay: float, error: str = "") -> "Settlement":
        """Deliver `element` in its place, `delay` seconds from now or later; a job's record keeps `error`."""
        note = b"e" + error.encode(errors="replace")[:LONGEST_ERROR] if error else b""
        return cls(token, Outcome.RETRY, element, delay, note)

    @classmethod
    def dead(cls, token: str, record: bytes) -> "Settlement":
        """Give up: move it to the dead list as `record` (see `dead_record`)."""
        return cls(token, Outcome.DEAD, record)

    def action(self, job: str = "") -> bytes:
        """Return the outcome as settle.lua reads it; `job` is the id where the message is a job."""
        action = self._action()
        return b"J%b\n%d\n%b%b" % (job.encode(), len(self.note), self.note, action) if job else action

    def _action(self) -> bytes:
        match self.outcome:
            case Outcome.PROCESSED:
                return b"p"
            case Outcome.MISSED:
                return b"m"
            case Outcome.RETRY:
                return b"r%d\n%b" % (max(0, round(self.delay * 1000)), self.payload)
            case Outcome.DEAD:
                return b"d" + self.payload
