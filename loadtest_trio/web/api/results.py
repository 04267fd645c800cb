"""Finds records and results in Redis or in the archive."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from loadtest_trio.errors import ObjectMissingError
from loadtest_trio.handlers.registry import Registry
from loadtest_trio.jobs.job import Job
from loadtest_trio.jobs.store import JobStore
from loadtest_trio.web.api.problems import Problem

_CACHED_SECONDS = 900.0  # how long a record from the archive is kept in Redis
_UNKNOWN_SECONDS, _MOST_UNKNOWN = 10.0, 10_000


class JobArchive(Protocol):
    """Keeps the results and records that Redis does not hold."""

    async def result(self, ref: str) -> bytes:
        """Return a result that was too large for its record.

        Raises:
            ObjectMissingError: The result no longer exists.
        """
        ...

    async def find(self, job_id: str) -> Job | None:
        """Return the record of a finished job, or None."""
        ...


class Results:
    """Cache-aside: reads Redis first, then the archive; archived records are cached in Redis for a while.

    Args:
        store: The jobs.
        registry: Knows the content type of each type of job.
        archive: The large results and expired records.
        clock: Monotonic seconds.

    Attributes:
        hits: Records found in Redis.
        misses: Records read from the archive.
    """

    def __init__(
        self, store: JobStore, registry: Registry, archive: JobArchive, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._registry = registry
        self._archive = archive
        self._clock = clock
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self.hits = 0
        self.misses = 0

    async def find(self, job_id: str) -> Job:
        """Return a job.

        Raises:
            Problem: The job is unknown.
            LoadtestError: A required backend is unavailable.
        """
        (job,) = await self._store.get([job_id])
        if job is not None:
            self.hits += 1
            return job
        job = await self._from_archive(job_id)
        if job is None:
            raise Problem(404, "There is no such job, or its record has expired.")
        return job

    async def read(self, job: Job) -> bytes:
        """Return the result of a job that has succeeded.

        Raises:
            Problem: The result no longer exists.
            LoadtestError: S3 is required but unavailable.
        """
        if not job.result_ref:
            return job.result or b""
        try:
            return await self._archive.result(job.result_ref)
        except ObjectMissingError as error:
            raise Problem(410, "The result is not kept any more.") from error

    def content_type(self, job: Job) -> tuple[bytes, bytes]:
        """Return the Content-Type header of a job's result."""
        known = job.type in self._registry.operations
        kind = self._registry[job.type].content_type if known else "application/octet-stream"
        return b"content-type", kind.encode()

    async def _from_archive(self, job_id: str) -> Job | None:
        now = self._clock()
        if self._unknown.get(job_id, 0.0) > now:
            return None
        job = await self._archive.find(job_id)
        if job is None:
            self._unknown[job_id] = now + _UNKNOWN_SECONDS  # repeated requests cause no S3 request
            if len(self._unknown) > _MOST_UNKNOWN:
                self._unknown.popitem(last=False)
            return None
        self.misses += 1
        await self._store.remember(job, _CACHED_SECONDS)
        return job
