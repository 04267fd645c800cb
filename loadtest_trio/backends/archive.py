"""S3 as the place for what Redis should not hold: large results, and finished jobs whose records expire.

    S3_PREFIX jobs/results/<id>   a result that is too large for its record
    S3_PREFIX jobs/archive/<id>   the record of a finished job with its result, as JSON (JOB_ARCHIVE=s3)

The scheduler's inventory passes over everything under ``jobs/``.
"""

from base64 import b64decode, b64encode
from typing import Any, Protocol

import attrs
import orjson

from loadtest_trio.errors import ObjectMissingError
from loadtest_trio.jobs.job import Job, Status

FOLDER = "jobs/"


class Store(Protocol):
    """The object operations that are needed."""

    async def get(self, key: str) -> bytes | bytearray:
        """Return the whole object."""
        ...

    async def put(self, key: str, body: bytes | bytearray | memoryview) -> None:
        """Store the whole object."""
        ...


class S3Archive:
    """Keeps results and records under one prefix.

    Args:
        store: Where objects live.
        prefix: `S3_PREFIX`.
        keeps_jobs: Whether finished jobs are kept.
        inline_bytes: A result of at most so many bytes stays in its record.
    """

    def __init__(self, store: Store, prefix: str, *, keeps_jobs: bool, inline_bytes: int) -> None:
        self._store = store
        self._folder = prefix + FOLDER
        self.keeps_jobs = keeps_jobs
        self._inline_bytes = inline_bytes

    async def keep_result(self, job_id: str, result: bytes) -> str:
        """Store a result that is too large for its record.

        Returns:
            Where it is, for `result`; "" for one that its record can hold.

        Raises:
            S3Error: It could not be stored.
        """
        if len(result) <= self._inline_bytes:
            return ""
        key = f"{self._folder}results/{job_id}"
        await self._store.put(key, result)
        return key

    async def result(self, ref: str) -> bytes:
        """Return a result that `keep_result` stored.

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
        """Return the record of a finished job, or None where none is kept.

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
