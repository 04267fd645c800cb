"""A job: a message with a record of how it stands.

       submit                   claim                settle
    ──────────► queued ───────────────────► running ─────────► succeeded
                 │  ▲ ▲                      │  │ │
                 │  │ └── reaped, released ──┘  │ └───────────► dead ──┐
                 │  └──────── retrying ◄────────┘                      │
                 │                                                     │
                 ├──── cancel, from every state that has not ended ──► cancelled
                 └◄──────────────────────── retry (by hand) ───────────┘

A job that waits in its client's lane, behind an earlier one, is shown as queued.
"""

import secrets
from enum import StrEnum
from typing import Any

import attrs

LARGEST_NUMERIC_ID = 2**53 - 1
"""What every JSON reader takes as an exact integer."""


class Status(StrEnum):
    """How a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    DEAD = "dead"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether this is a final status (a dead job can still be retried by hand)."""
        return self in _ENDED


_ENDED = frozenset([Status.SUCCEEDED, Status.DEAD, Status.CANCELLED])


def new_id() -> str:
    """Return a job id that nobody can guess: 80 random bits in hexadecimal digits."""
    return secrets.token_hex(10)


def new_numeric_id() -> str:
    """Return a job id of decimal digits, exact in every JSON reader: 53 random bits.

    With a million jobs in Redis one submission in nine thousand million meets a taken id, and fails.
    """
    return str(secrets.randbelow(LARGEST_NUMERIC_ID) + 1)


@attrs.frozen
class Job:
    """A job as its record says. Times are Unix seconds of the Redis server's clock.

    Attributes:
        id: Unique over all instances and restarts.
        type: The operation that does it.
        client: Who submitted it.
        status: How it stands.
        ordered: Whether it waits for the same client's earlier ordered jobs.
        submitted_at: When it was accepted.
        started_at: When its latest attempt started.
        ended_at: When it reached its final status.
        due_at: RETRYING: when it becomes due for its next attempt.
        attempts: How often it was handed to a worker that started it.
        error: The last attempt's error, or "".
        result: SUCCEEDED: the result, unless it is kept elsewhere.
        result_ref: SUCCEEDED: where a result is kept that was too large for the record, or "".
    """

    id: str
    type: str
    client: str
    status: Status
    ordered: bool
    submitted_at: float
    started_at: float | None = None
    ended_at: float | None = None
    due_at: float | None = None
    attempts: int = 0
    error: str = ""
    result: bytes | None = None
    result_ref: str = ""

    @property
    def version(self) -> str:
        """Return a short text that changes with every change of the record: an entity tag."""
        return f"{self.status[:3]}{self.attempts}-{(self.ended_at or self.started_at or 0) * 1000:.0f}"

    def view(self) -> dict[str, Any]:
        """Return the one JSON view of a job; each API puts its own word for the status into it."""
        return {
            "id": self.id,
            "type": self.type,
            "clientId": self.client,
            "status": self.status,
            "ordered": self.ordered,
            "attempts": self.attempts,
            "submittedAt": self.submitted_at,
            "startedAt": self.started_at,
            "endedAt": self.ended_at,
            "nextAttemptAt": self.due_at,
            "error": self.error or None,
        }
