"""Views of a job in the words of each brief."""

from collections.abc import Mapping
from typing import Any

from loadtest_trio.jobs.job import Job, Status

JOB_WORDS: Mapping[Status, str] = {
    Status.QUEUED: "PENDING",
    Status.RUNNING: "RUNNING",
    Status.RETRYING: "RETRYING",
    Status.SUCCEEDED: "COMPLETED",
    Status.DEAD: "DEAD_LETTER",
    Status.CANCELLED: "CANCELLED",
}
"""The words of ``/api/jobs`` (brief 004)."""

TASK_WORDS: Mapping[Status, str] = {
    Status.QUEUED: "QUEUED",
    Status.RUNNING: "RUNNING",
    Status.RETRYING: "QUEUED",
    Status.SUCCEEDED: "SUCCEEDED",
    Status.DEAD: "FAILED",
    Status.CANCELLED: "FAILED",
}
"""The words of ``/tasks`` (brief 003)."""

STATUS_OF_WORD = {word: status for status, word in JOB_WORDS.items()}


def job_view(job: Job) -> dict[str, Any]:
    """Return a job as ``/api/jobs`` shows it."""
    view = job.view()
    view["status"] = JOB_WORDS[job.status]
    return view


def task_view(job: Job) -> dict[str, Any]:
    """Return a job as ``/tasks/submissions`` shows it."""
    return {"id": job.id, "type": job.type, "status": TASK_WORDS[job.status], "error": job.error or None}


def entity_tag(job: Job) -> bytes:
    """Return the weak entity tag of a job's record (RFC 9110, section 8.8.3)."""
    return b'W/"' + job.version.encode() + b'"'
