"""One delivery of a message, and how it ends."""

from enum import StrEnum

import attrs

LONGEST_ERROR = 1000
"""Errors are cut to this many characters."""


@attrs.frozen
class Delivery:
    """One message as delivered to this consumer.

    Attributes:
        token: Identifies this delivery; used to settle or release it.
        element: The list element: arbitrary bytes, since anybody can enqueue.
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
        token: Token of the delivery.
        outcome: How it ended.
        payload: RETRY: the element to deliver later. DEAD: the dead record.
        delay: RETRY: delay in seconds.
        note: The new body of a job's record: a letter and bytes, as jobs.lua reads them.
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
            token: Token of the delivery.
            result: A job's result, for its record.
            result_ref: Location of a job's result that is too large for the record.
        """
        note = b"" if result is None else b"v" + result
        return cls(token, Outcome.PROCESSED, note=b"f" + result_ref.encode() if result_ref else note)

    @classmethod
    def missed(cls, token: str) -> "Settlement":
        """The object no longer existed, so there was nothing to do."""
        return cls(token, Outcome.MISSED)

    @classmethod
    def retry(cls, token: str, element: bytes, delay: float, error: str = "") -> "Settlement":
        """Deliver `element` instead, after `delay` seconds; a job's record keeps `error`."""
        note = b"e" + error.encode(errors="replace")[:LONGEST_ERROR] if error else b""
        return cls(token, Outcome.RETRY, element, delay, note)

    @classmethod
    def dead(cls, token: str, record: bytes) -> "Settlement":
        """Give up: move it to the dead list as `record` (see `dead_record`)."""
        return cls(token, Outcome.DEAD, record)

    def action(self, job: str = "") -> bytes:
        """Return the outcome in settle.lua's format; `job` is the id if the message is a job."""
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
