"""What submit.lua is given, and what the replies of submit.lua and stats.lua say."""

from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from loadtest_trio.errors import JobRejectedError
from loadtest_trio.jobs.job import Job, Status
from loadtest_trio.jobs.ledger import QueueSnapshot
from loadtest_trio.jobs.store import (
    JobLimits,
    NewJob,
    Rate,
    Stats,
    Submission,
    TypeCounts,
    Verdict,
    check_names,
)

_VERDICTS = {
    b"A": Verdict.ACCEPTED,
    b"R": Verdict.REPEATED,
    b"K": Verdict.CONFLICT,
    b"L": Verdict.LIMITED,
    b"F": Verdict.FULL,
}
_COUNTED = attrs.fields_dict(TypeCounts)


@attrs.frozen
class Prepared:
    """A job on its way to submit.lua.

    Attributes:
        job: The job.
        arguments: Its arguments, in the order in which the script wants them.
    """

    job: NewJob
    arguments: tuple[str | bytes, ...]

    @classmethod
    def of(cls, job: NewJob, now: float) -> "Prepared":
        """Check and encode a job; `now` in Unix seconds.

        Raises:
            JobRejectedError: A name is not allowed, or the payload cannot be written as JSON.
        """
        check_names(job)
        try:
            once, work = _once(job), job.fingerprint() if job.idempotency_key else ""
            return cls(job, (job.id, job.client, job.type, _flags(job), job.element(now), once, work))
        except (TypeError, ValueError) as error:
            raise JobRejectedError(f"the payload cannot be written as JSON: {error}") from error


def submission_arguments(jobs: Sequence[Prepared], limits: JobLimits) -> Iterator[object]:
    """Yield what follows the batch number in submit.lua's arguments."""
    yield from (limits.per_minute, limits.max_queue_length)
    yield from (round(limits.ttl * 1000), round(limits.idempotency_ttl * 1000))
    for job in jobs:
        yield from job.arguments


def _flags(job: NewJob) -> str:
    return ("o" if job.ordered else "u") + ("p" if job.pull else "") + ("" if job.limited else "f")


def _once(job: NewJob) -> str:
    if not job.idempotency_key:
        return ""
    # No client can be named so that its keys become another's.
    return f"{job.client.replace('%', '%25').replace(':', '%3A')}:{job.idempotency_key}"


def parse_submissions(jobs: Sequence[Prepared], answer: bytes, limits: JobLimits) -> list[Submission | None]:
    """Read submit.lua's answer.

    Returns:
        For each job what became of it; None where its id was taken.
    """
    time, *lines = answer.split(b"\n")
    at = int(time) / 1000
    return [_submission(each.job, line, at, limits) for each, line in zip(jobs, lines, strict=True)]


def _submission(job: NewJob, line: bytes, at: float, limits: JobLimits) -> Submission | None:
    letter, remaining, reset, wait, *earlier = line.split(b" ")
    if letter == b"X":
        return None
    verdict = _VERDICTS[letter]
    limit = limits.per_minute if job.limited else 0
    rate = Rate(limit, int(remaining), int(reset) / 1000, int(wait) / 1000)
    if verdict is Verdict.ACCEPTED:
        accepted = Job(job.id, job.type, job.client, Status.QUEUED, job.ordered, at)
        return Submission(verdict, job.id, rate, accepted)
    return Submission(verdict, earlier[0].decode() if earlier else "", rate)


def parse_stats(reply: list[Any]) -> Stats:
    """Read stats.lua's reply."""
    snapshot, now, lanes, completed, counts = reply
    return Stats(
        queue=QueueSnapshot.parse(snapshot),
        by_type=parse_types(dict(zip(counts[::2], counts[1::2], strict=True))),
        lanes=lanes,
        completed=completed,
        now=now / 1000,
    )


def parse_types(counts: dict[bytes, bytes]) -> dict[str, TypeCounts]:
    """Read the hash of counts: ``what:type`` -> how many. What is not ours is left out."""
    by_type: dict[str, dict[str, int]] = {}
    for field, count in counts.items():
        try:
            (what, _, kind), number = field.decode().partition(":"), int(count)
        except ValueError:
            continue
        if what in _COUNTED and kind:
            by_type.setdefault(kind, {})[what] = number
    return {kind: TypeCounts(**of_type) for kind, of_type in sorted(by_type.items())}
