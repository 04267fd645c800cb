"""A job: a message with a record of its state.

       submit                   claim                settle
    ──────────► queued ───────────────────► running ─────────► succeeded
                 │  ▲ ▲                      │  │ │
                 │  │ └── reaped, released ──┘  │ └───────────► dead ──┐
                 │  └──────── retrying ◄────────┘                      │
                 │                                                     │
                 ├──── cancel, from every state that has not ended ──► cancelled
                 └◄──────────────────────── retry (by hand) ───────────┘

A job that waits in its client's lane behind an earlier one counts as queued.
"""

import secrets
from enum import StrEnum
from typing import Any

import attrs

LARGEST_NUMERIC_ID = 2**53 - 1
"""The largest integer that every JSON reader represents exactly."""


class Status(StrEnum):
    """The state of a job.

    Attributes:
        ended: Whether this is a final status (a dead job can still be retried by hand).
    """

    ended: bool

    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    DEAD = "dead"
    CANCELLED = "cancelled"


for _status in Status:  # decided once: every answer asks, and hashing a member of an enumeration is slow
    _status.ended = _status in (Status.SUCCEEDED, Status.DEAD, Status.CANCELLED)


def new_id() -> str:
    """Return an unguessable job id: 80 random bits in hexadecimal digits."""
    return secrets.token_hex(10)


def new_numeric_id() -> str:
    """Return a job id of decimal digits, exact in every JSON reader: 53 random bits.

    With a million jobs in Redis, one submission in nine billion gets an id that is taken, and fails.
    """
    return str(secrets.randbelow(LARGEST_NUMERIC_ID) + 1)


@attrs.frozen
class Job:
    """The content of a job's record. Times are Unix seconds of the Redis server's clock.

    Attributes:
        id: Unique over all instances and restarts.
        type: Name of the operation.
        client: Name of the client that submitted it.
        status: The state.
        ordered: Whether it waits for the client's earlier ordered jobs.
        submitted_at: When it was accepted.
        started_at: When its latest attempt started.
        ended_at: When it reached its final status.
        due_at: RETRYING: when the next attempt is due.
        attempts: Number of attempts that a worker started.
        error: Error of the last attempt, or "".
        result: SUCCEEDED: the result, unless it is stored elsewhere.
        result_ref: SUCCEEDED: location of a result too large for the record, or "".
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
        """Return an entity tag: a short text that changes with every change of the record."""
        return f"{self.status[:3]}{self.attempts}-{(self.ended_at or self.started_at or 0) * 1000:.0f}"

    def view(self) -> dict[str, Any]:
        """Return the JSON view of a job; each API replaces the status by its own word."""
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
