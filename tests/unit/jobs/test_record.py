"""The record of a job: what is written is read, and anything else is no job."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from loadtest_trio.jobs import record
from loadtest_trio.jobs.job import Job, Status

RUNNING = b"r\nclient\nsleep\no\n60000\n1000\n2000\n0\n1\nconsumer 12.0001\n-"

names = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=20)
times = st.integers(1, 10**13).map(lambda ms: ms / 1000)
ended = st.sampled_from([each for each in Status if each.ended])


@given(names, names, ended, st.booleans(), times, times, times, st.integers(0, 9), st.binary(max_size=50))
def test_ended_job_round_trip(
    kind: str,
    client: str,
    status: Status,
    ordered: bool,
    submitted: float,
    start: float,
    end: float,
    attempts: int,
    result: bytes,
) -> None:
    """What goes to the archive comes back, whatever bytes the result is of."""
    job = Job("1", kind, client, status, ordered, submitted, start, end, None, attempts, "", result)
    assert record.parse("1", record.format_ended(job, 60.0)) == job


def test_reference_and_error_round_trip() -> None:
    """A result that is kept elsewhere, and an error."""
    kept = Job("1", "t", "c", Status.SUCCEEDED, True, 1.0, 2.0, 3.0, None, 1, "", None, "results/1")
    failed = Job("2", "t", "c", Status.DEAD, False, 1.0, 2.0, 3.0, None, 4, "ünlucky\nlines")
    assert record.parse("1", record.format_ended(kept, 1.0)) == kept
    assert record.parse("2", record.format_ended(failed, 1.0)) == failed


def test_each_letter_has_a_status() -> None:
    """A job that waits in its lane is queued; a ghost is cancelled."""
    statuses = {}
    for letter in "qwrtsdcCG":
        job = record.parse("1", letter.encode() + RUNNING[1:])
        assert job
        statuses[letter] = job.status.value
    assert statuses == {
        "q": "queued", "w": "queued", "r": "running", "t": "retrying", "s": "succeeded", "d": "dead",
        "c": "cancelled", "C": "cancelled", "G": "cancelled",
    }  # fmt: skip


def test_dead_record_tells_the_error() -> None:
    """The record of a dead job holds its letter, for the way back; the job shows the error in it."""
    letter = orjson.dumps({"error": "hopeless", "element": "…"})
    content = b"d\nclient\nsleep\no\n60000\n1000\n2000\n3000\n4\n\nd" + letter
    job = record.parse("1", content)
    assert job
    assert (job.status, job.error, job.result) == (Status.DEAD, "hopeless", None)
    assert record.dead_record(content) == letter
    assert record.dead_record(RUNNING) is None


def test_times_beyond_all_floats_are_no_job() -> None:
    lines = RUNNING.split(b"\n")
    lines[5] = b"9" * 400
    assert record.parse("1", b"\n".join(lines)) is None


@given(st.binary(max_size=80))
def test_anything_else_is_no_job(content: bytes) -> None:
    """Who writes something else under a job's key does not crash its readers."""
    assert record.parse("1", content) is None
    assert record.parse("1", None) is None
    assert record.dead_record(content) is None


@given(st.integers(0, 9), st.binary(max_size=8).filter(lambda each: b"\n" not in each))
def test_spoilt_record_is_no_job_or_a_job(line: int, spoilt: bytes) -> None:
    """One line replaced by anything is read without an exception."""
    lines = RUNNING.split(b"\n")
    lines[line] = spoilt
    job = record.parse("1", b"\n".join(lines))
    assert job is None or isinstance(job, Job)
