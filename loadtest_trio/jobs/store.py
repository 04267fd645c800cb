"""What a job API needs of the queue: the `JobStore` and the data that goes in and out of it.

`loadtest_trio.backends.redis` has the real one; the tests have one in memory that passes the same tests.
"""

from collections.abc import Sequence
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Protocol

import attrs
import orjson

from loadtest_trio.errors import JobRejectedError
from loadtest_trio.jobs.job import Job, Status, new_id
from loadtest_trio.jobs.ledger import QueueSnapshot

LONGEST_NAME = 128
"""Characters of a client's name or of an idempotency key at most."""


@attrs.frozen
class JobLimits:
    """What the queue takes, and how long it keeps it. Those of the process that takes a job count for it.

    Attributes:
        per_minute: Submissions of one client a minute, and at once; 0 for no limit.
        max_queue_length: Messages waiting, delayed or dead, beyond which none is taken.
        ttl: How long a record is kept after its job's end, in seconds.
        idempotency_ttl: How long an idempotency key is known, in seconds.
        replicas: Replicas that must have a submission before it counts as accepted.
        replica_timeout: How long to wait for them, in seconds.
    """

    per_minute: int = 100
    max_queue_length: int = 100_000
    ttl: float = 86_400.0
    idempotency_ttl: float = 86_400.0
    replicas: int = 0
    replica_timeout: float = 1.0


@attrs.frozen
class NewJob:
    """What somebody wants done.

    Attributes:
        type: The operation; the caller has checked that a handler knows it.
        payload: What the operation needs: the message's `params`.
        client: Who asks; decides whose rate limit, lane and list it is. Letters, digits and
            punctuation of ASCII, `LONGEST_NAME` characters at most (see `is_name`).
        ordered: Whether to wait for the client's earlier ordered jobs to end.
        idempotency_key: Submitting again under the same key, within the key's life, gives the first
            job; "" for none. As `client`.
        key: What the work is about, for operations that need it (an S3 key); "" for none.
        pull: Whether its end is handed out by `JobStore.pull_completed`.
        limited: Whether the client's rate limit applies.
        id: The job's id, if it is accepted; `new_id()`, or `new_numeric_id()` where a number is needed.
    """

    type: str
    payload: dict[str, Any]
    client: str
    ordered: bool = True
    idempotency_key: str = ""
    key: str = ""
    pull: bool = False
    limited: bool = True
    id: str = attrs.field(factory=new_id)

    def element(self, created_at: float) -> bytes:
        """Return the job's message as a queue element; `created_at` in Unix seconds."""
        # Not by way of `Message`: this is done for every submission, and most fields are the defaults.
        fields: dict[str, Any] = {"job": True, "id": self.id, "operation": self.type}
        if self.key:
            fields["key"] = self.key
        if not self.ordered:
            fields["ordered"] = False
        fields |= {"client": self.client, "created_at": created_at, "params": self.payload}
        return orjson.dumps(fields)

    def fingerprint(self) -> str:
        """Return a short text that equal work has in common."""
        work = orjson.dumps([self.type, self.key, self.payload], option=orjson.OPT_SORT_KEYS)
        return blake2b(work, digest_size=12).hexdigest()


class Verdict(StrEnum):
    """What became of a submission. Only ACCEPTED costs a token of the client's bucket."""

    ACCEPTED = "accepted"
    REPEATED = "repeated"
    """The idempotency key was used before, for the same work: `id` is the first job's."""
    CONFLICT = "conflict"
    """The idempotency key was used before, for other work: `id` is that job's."""
    LIMITED = "limited"
    """The client's bucket is empty."""
    FULL = "full"
    """The queue holds as many jobs as it may."""


@attrs.frozen
class Rate:
    """A client's token bucket after a submission.

    Attributes:
        limit: Tokens that the bucket holds when it is full, and gains a minute; 0 for no limit.
        remaining: Whole tokens left.
        reset: Seconds until the bucket is full again.
        wait: Seconds until there is a token; 0 when there is one.
    """

    limit: int
    remaining: int
    reset: float
    wait: float


@attrs.frozen
class Submission:
    """The answer to one submission.

    Attributes:
        verdict: What became of it.
        id: The job's id; "" when there is none (LIMITED, FULL).
        rate: The client's bucket after it.
        job: ACCEPTED: the job as it stands now.
    """

    verdict: Verdict
    id: str
    rate: Rate
    job: Job | None = None


class Change(StrEnum):
    """What became of a request to change a job."""

    DONE = "done"
    REFUSED = "refused"
    """Its status does not allow it: it has ended (cancel), or it is not dead (retry)."""
    UNKNOWN = "unknown"
    """There is no such job, or its record has expired."""
    PURGED = "purged"
    """It is dead, but its message has been deleted from the dead list: nothing is left to retry."""


@attrs.frozen
class JobPage:
    """Some of a client's jobs, newest first.

    Attributes:
        jobs: The jobs.
        token: For the next page; "" when this is the last.
        valid: Whether the token that asked for this page was known; if not, there are no jobs in it.
    """

    jobs: list[Job]
    token: str
    valid: bool = True


@attrs.frozen
class TypeCounts:
    """Jobs of one type since the queue began; active are those submitted and not ended.

    Attributes:
        submitted: Accepted.
        succeeded: Ended well.
        dead: Given up, minus those that were retried by hand.
        cancelled: Cancelled.
    """

    submitted: int = 0
    succeeded: int = 0
    dead: int = 0
    cancelled: int = 0


@attrs.frozen
class Stats:
    """The state of the whole queue at one instant.

    Attributes:
        queue: Where every message is, and the ledger.
        by_type: Type -> counts.
        lanes: Clients with a job that has not ended (an ordered and an unordered lane count twice).
        completed: Ends that wait for `pull_completed`.
        now: The Redis server's clock, in Unix seconds.
    """

    queue: QueueSnapshot
    by_type: dict[str, TypeCounts]
    lanes: int
    completed: int
    now: float


class JobStore(Protocol):
    """Jobs on the queue.

    Concurrent calls travel to Redis together, so callers need not gather anything themselves. All raise
    `RedisUnavailableError` at once, or within seconds, when Redis does not answer (a submission may then
    have been accepted or not), and `RedisRejectedError` when the answer is no for good.
    """

    async def submit(self, jobs: Sequence[NewJob]) -> list[Submission]:
        """Put jobs on the queue, each accepted or not by itself, in order.

        Raises:
            JobRejectedError: A name is not allowed (see `NewJob`).
        """
        ...

    async def get(self, ids: Sequence[str]) -> list[Job | None]:
        """Return the jobs with these ids; None for one that is unknown or has expired."""
        ...

    async def cancel(self, id: str) -> Change:  # noqa: A002  # what a job calls it
        """Cancel a job that has not ended; one that is running is stopped within a second."""
        ...

    async def retry(self, id: str) -> Change:  # noqa: A002  # what a job calls it
        """Put a dead job back on the queue, its attempts starting anew, behind its client's others."""
        ...

    async def page(
        self, client: str, *, status: Status | None = None, size: int = 50, token: str = ""
    ) -> JobPage:
        """Return some of a client's latest jobs, newest first.

        Args:
            client: Whose.
            status: Only jobs that stand so.
            size: How many at most.
            token: Out of the page before; one that is not valid (any more) gives a page that says so.
        """
        ...

    async def pull_completed(self, top: int, token: str) -> list[Job]:
        """Hand out the ends of jobs submitted with `pull`, oldest first, each once.

        Args:
            top: How many at most.
            token: Names this call: for ten minutes the same token gives the same jobs again.
        """
        ...

    async def remember(self, job: Job, seconds: float) -> None:
        """Put the record of a job back that has expired, for so long; one that is there stays as it is."""
        ...

    async def stats(self) -> Stats:
        """Return the state of the whole queue."""
        ...


def is_name(text: str) -> bool:
    """Whether this can name a client or an idempotency key: printable ASCII without blanks, and short."""
    return 0 < len(text) <= LONGEST_NAME and text.isascii() and text.isprintable() and " " not in text


def check_names(job: NewJob) -> None:
    """Check that no name of a job can break its record or become another's key.

    Raises:
        JobRejectedError: One can.
    """
    for what, name in (("client", job.client), ("type", job.type), ("id", job.id)):
        if not is_name(name):
            raise JobRejectedError(f"a job's {what} is {_NAMES}")
    if job.idempotency_key and not is_name(job.idempotency_key):
        raise JobRejectedError(f"an idempotency key is {_NAMES}")


_NAMES = f"1 to {LONGEST_NAME} printable ASCII characters without blanks"
