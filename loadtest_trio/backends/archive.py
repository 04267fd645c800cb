"""Stores large results, and finished jobs whose records expire in Redis, in S3.

    S3_PREFIX jobs/results/<id>   a result that is too large for its record
    S3_PREFIX jobs/archive/<id>   the record of a finished job with its result, as JSON (JOB_ARCHIVE=s3)

The scheduler's inventory ignores everything under ``jobs/``.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any, Protocol

import attrs
import orjson

from loadtest_trio.errors import ObjectMissingError
from loadtest_trio.jobs.job import Job, Status
from loadtest_trio.jobs.message import Message

FOLDER = "jobs/"


class Store(Protocol):
    """The object operations that the archive uses."""

    async def get(self, key: str) -> bytes | bytearray:
        """Return the whole object."""
        ...

    async def put(self, key: str, body: bytes | bytearray | memoryview) -> None:
        """Store the whole object."""
        ...


class S3Archive:
    """Keeps results and records under one prefix.

    Args:
        store: Stores the objects.
        prefix: `S3_PREFIX`.
        keeps_jobs: Whether finished jobs are kept.
        inline_bytes: Results up to this size stay in their records.
        unix_clock: Unix seconds.
    """

    def __init__(
        self,
        store: Store,
        prefix: str,
        *,
        keeps_jobs: bool,
        inline_bytes: int,
        unix_clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._folder = prefix + FOLDER
        self.keeps_jobs = keeps_jobs
        self._inline_bytes = inline_bytes
        self._unix_clock = unix_clock

    async def finish(self, message: Message, result: bytes | None, started_at: float) -> str:
        """Store the result or the record of a finished job, before its settlement.

        Args:
            message: The job's message.
            result: The job's result, if any.
            started_at: Start of the successful attempt, in Unix seconds.

        Returns:
            The location of the result, to be passed to `result`; "" if it fits into its record.

        Raises:
            S3Error: It could not be stored.
        """
        ref = ""
        if result is not None and len(result) > self._inline_bytes:
            ref = f"{self._folder}results/{message.id}"
            await self._store.put(ref, result)
        if self.keeps_jobs:
            job = Job(
                message.id,
                message.operation,
                message.client,
                Status.SUCCEEDED,
                ordered=message.ordered,
                submitted_at=message.created_at,
                started_at=started_at,
                ended_at=self._unix_clock(),
                attempts=message.attempts + 1,
                result=None if ref else result,
                result_ref=ref,
            )
            await self.keep(job)
        return ref

    async def result(self, ref: str) -> bytes:
        """Return a result that `finish` stored.

        Raises:
            ObjectMissingError: It is gone.
            S3Error: It could not be read.
        """
        return bytes(await self._store.get(ref))

    async def keep(self, job: Job) -> None:
        """Store the record of a finished job.

        Raises:
            S3Error: It could not be stored.
        """
        fields = attrs.asdict(job)
        if job.result is not None:
            fields["result"] = b64encode(job.result).decode()
        await self._store.put(self._key(job.id), orjson.dumps(fields))

    async def find(self, job_id: str) -> Job | None:
        """Return the record of a finished job, or None if there is none.

        Raises:
            S3Error: It could not be read.
        """
        if not self.keeps_jobs or not job_id.isalnum() or not job_id.isascii():
            return None
        try:
            fields: dict[str, Any] = orjson.loads(await self._store.get(self._key(job_id)))
        except ObjectMissingError:
            return None
        if fields["result"] is not None:
            fields["result"] = b64decode(fields["result"])
        return Job(**{**fields, "status": Status(fields["status"])})

    def _key(self, job_id: str) -> str:
        return f"{self._folder}archive/{job_id}"
