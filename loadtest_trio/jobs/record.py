"""Reads and writes a job's record in the format of `backends/redis/jobs.lua`.

A record has eleven lines; the last one may contain any bytes.
"""

import orjson

from loadtest_trio.jobs.job import Job, Status

_STATUS = {
    b"q": Status.QUEUED,
    b"w": Status.QUEUED,
    b"r": Status.RUNNING,
    b"t": Status.RETRYING,
    b"s": Status.SUCCEEDED,
    b"d": Status.DEAD,
    b"c": Status.CANCELLED,
    b"C": Status.CANCELLED,
    b"G": Status.CANCELLED,
}
_LETTER = {status: letter for letter, status in reversed(_STATUS.items())}
_LAST = 10  # the line of the body, from 0
_ORDERED, _UNORDERED = b"o", b"u"


def parse(id: str, record: bytes | None) -> Job | None:  # noqa: A002  # the name of the field
    """Parse a record.

    Args:
        id: The job's id.
        record: The value of its Redis key.

    Returns:
        The job; None if there is no record, or the value is not a record.
    """
    if record is None:
        return None
    try:
        letter, client, kind, flags, _, submitted, started, ended, attempts, _, body = record.split(
            b"\n", _LAST
        )
        status = _STATUS[letter]
        start, end = int(started), int(ended)
        result, result_ref, error = _body(body)
        return Job(
            id,
            kind.decode(),
            client.decode(),
            status,
            flags[:1] == _ORDERED,
            int(submitted) / 1000,
            start / 1000 if start else None,
            end / 1000 if end and status.ended else None,
            end / 1000 if status is Status.RETRYING else None,
            int(attempts),
            error,
            result,
            result_ref,
        )
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def format_ended(job: Job, ttl: float) -> bytes:
    """Return the record of a job that has ended.

    Args:
        job: The job.
        ttl: Its time to live, in seconds.
    """
    if job.result_ref:
        body = b"f" + job.result_ref.encode()
    elif job.result is not None:
        body = b"v" + job.result
    else:
        body = b"e" + job.error.encode()
    times = (job.submitted_at, job.started_at or 0, job.ended_at or 0)
    submitted, started, ended = (round(each * 1000) for each in times)
    return b"%b\n%b\n%b\n%b\n%d\n%d\n%d\n%d\n%d\n\n%b" % (
        _LETTER[job.status],
        job.client.encode(),
        job.type.encode(),
        _ORDERED if job.ordered else _UNORDERED,
        round(ttl * 1000),
        submitted,
        started,
        ended,
        job.attempts,
        body,
    )


def _body(body: bytes) -> tuple[bytes | None, str, str]:
    """Return result, reference to a result, and error."""
    kind, rest = body[:1], body[1:]
    if kind == b"v":
        return rest, "", ""
    if kind == b"f":
        return None, rest.decode(), ""
    if kind == b"e":
        return None, "", rest.decode(errors="replace")
    return None, "", str(orjson.loads(rest)["error"]) if kind == b"d" else ""


def dead_record(record: bytes) -> bytes | None:
    """Return the dead record in a dead job's record; None if the job is not dead."""
    lines = record.split(b"\n", _LAST)
    dead = len(lines) == _LAST + 1 and lines[0] == b"d" and lines[_LAST][:1] == b"d"
    return lines[_LAST][1:] if dead else None
