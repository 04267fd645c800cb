"""RedisJobStore: jobs on the queue. What the steps do is in submit.lua, cancel.lua, pull.lua and jobs.lua."""

import time
from collections.abc import Sequence
from typing import Any

import attrs
import trio

from loadtest_trio.backends.redis.batcher import Batcher
from loadtest_trio.backends.redis.channel import Channel, constant
from loadtest_trio.backends.redis.dead_letters import DeadLetter, DeadLetters
from loadtest_trio.backends.redis.job_replies import (
    Prepared,
    parse_stats,
    parse_submissions,
    submission_arguments,
)
from loadtest_trio.backends.redis.loss import LossDetector
from loadtest_trio.errors import RedisUnavailableError
from loadtest_trio.jobs import record
from loadtest_trio.jobs.job import Job, Status, new_numeric_id
from loadtest_trio.jobs.store import (
    Change,
    JobLimits,
    JobPage,
    NewJob,
    Stats,
    Submission,
)

SUBMITTED_PER_CALL = 256
READ_PER_CALL = 512
READ_PER_PAGE = 100
_REPAIR_SECONDS = 1.0
_RETRY_SECONDS = 2.0

_CHANGES = {ord("1"): Change.DONE, ord("0"): Change.REFUSED, ord("?"): Change.UNKNOWN}


class RedisJobStore:
    """A `JobStore`. Each call of a kind has a number, as those of `RedisService` have.

    Args:
        channel: The way to Redis.
        prefix: Of the keys: the queue's hash tag and a colon.
        losses: Reads the books of every reply.
        dead_letters: Where dead jobs lie.
        limits: What it takes.
    """

    def __init__(
        self,
        channel: Channel,
        prefix: bytes,
        losses: LossDetector,
        dead_letters: DeadLetters,
        limits: JobLimits,
    ) -> None:
        self._channel = channel
        self._records = prefix + b"job:"
        self._lists = prefix + b"client:"
        self._losses = losses
        self._dead_letters = dead_letters
        self._limits = limits
        self._submission = self._cancellation = time.time_ns() // 1000
        self._submitter = Batcher(self._submit, most=SUBMITTED_PER_CALL)
        self._reader = Batcher(self._read, most=READ_PER_CALL)
        self._canceller = Batcher(self._cancel, most=READ_PER_CALL)

    async def submit(self, jobs: Sequence[NewJob]) -> list[Submission]:
        """Put jobs on the queue, each accepted or not by itself, in order.

        Raises:
            JobRejectedError: A name is not allowed (see `NewJob`), or a payload is no JSON.
            RedisUnavailableError: Redis does not answer: they may have been accepted or not.
        """
        now = time.time()
        # Here and not in the batch: one caller's bad job must not fail the others'.
        prepared = [Prepared.of(job, now) for job in jobs]
        submissions = await self._submitter.ask(prepared) if jobs else []
        # An id of few digits can be taken: those get another.
        return [
            each or (await self.submit([attrs.evolve(job, id=new_numeric_id())]))[0]
            for job, each in zip(jobs, submissions, strict=True)
        ]

    async def get(self, ids: Sequence[str]) -> list[Job | None]:
        """Return the jobs with these ids; None for one that is unknown or has expired."""
        return await self._reader.ask(ids) if ids else []

    async def cancel(self, id: str) -> Change:  # noqa: A002  # what a job calls it
        """Cancel a job that has not ended; one that is running is stopped within a second."""
        (change,) = await self._canceller.ask([id])
        return change

    async def retry(self, id: str) -> Change:  # noqa: A002  # what a job calls it
        """Put a dead job back on the queue, its attempts starting anew, behind its client's others."""
        found = await self._channel.command_soon("job", b"GET", self._record_key(id))
        if found is None:
            return Change.UNKNOWN
        letter = record.dead_record(found)
        if letter is None:
            return Change.REFUSED
        with trio.move_on_after(_RETRY_SECONDS):
            if await self._dead_letters.requeue_letter(DeadLetter.parse(letter)):
                return Change.DONE
            # Either somebody else has just retried it, or its letter was deleted: the record tells.
            again = await self._channel.command_soon("job", b"GET", self._record_key(id))
            return Change.PURGED if again == found else Change.REFUSED
        raise RedisUnavailableError(f"Redis has not answered for {_RETRY_SECONDS:g} s")

    async def page(
        self, client: str, *, status: Status | None = None, size: int = 50, token: str = ""
    ) -> JobPage:
        """Return some of a client's latest jobs, newest first; see `JobStore.page`."""
        listed = await self._channel.command_soon(
            "jobs_of", b"LRANGE", self._lists + _key_part(client), 0, -1
        )
        ids = [each.decode(errors="replace") for each in listed]
        if token and token not in ids:
            return JobPage([], "", valid=False)
        ids = ids[ids.index(token) + 1 :] if token else ids
        found: list[Job] = []
        for start in range(0, len(ids), READ_PER_PAGE):
            for job in await self.get(ids[start : start + READ_PER_PAGE]):
                if job and status in (None, job.status):
                    if len(found) == size:
                        return JobPage(found, found[-1].id)
                    found.append(job)
        return JobPage(found, "")

    async def pull_completed(self, top: int, token: str) -> list[Job]:
        """Hand out the ends of jobs submitted with `pull`; see `JobStore.pull_completed`."""
        if top < 1:
            return []
        books, *found = await self._channel.script_soon("pull", token, top)
        self._losses.saw(books)
        pairs = zip(found[::2], found[1::2], strict=True)
        jobs = [record.parse(name.decode(errors="replace"), content) for name, content in pairs]
        return [job for job in jobs if job]

    async def remember(self, job: Job, seconds: float) -> None:
        """Put the record of a job back that has expired; one that is there stays as it is."""
        content = record.format_ended(job, seconds)
        key = self._record_key(job.id)
        await self._channel.command_soon(
            "remember", b"SET", key, content, b"PX", round(seconds * 1000), b"NX"
        )

    async def stats(self) -> Stats:
        """Return the state of the whole queue."""
        reply = await self._channel.script_soon("stats")
        self._losses.saw(reply[0][0])
        return parse_stats(reply)

    async def _submit(self, jobs: list[Prepared]) -> list[Submission | None]:
        self._submission += 1
        arguments = submission_arguments(jobs, self._limits)
        books, answer = await self._on_replicas("submit", self._submission, *arguments, size=len(jobs))
        self._losses.saw(books)
        if self._losses.suspicious:
            with trio.move_on_after(_REPAIR_SECONDS):
                await self._losses.repair()
        return parse_submissions(jobs, answer, self._limits)

    async def _on_replicas(self, name: str, *arguments: object, size: int) -> Any:
        """Run a script; return its reply when as many replicas as wanted have what it wrote.

        Raises:
            RedisUnavailableError: Not all of them in time. What was written stays.
        """
        wanted, seconds = self._limits.replicas, self._limits.replica_timeout
        if not wanted:
            return await self._channel.script_soon(name, *arguments, size=constant(size))
        reply, reached = await self._channel.script_soon(
            name,
            *arguments,
            size=constant(size),
            then=(b"WAIT", wanted, round(seconds * 1000)),
        )
        if reached < wanted:
            raise RedisUnavailableError(f"{reached} of {wanted} replicas had it within {seconds:g} s")
        return reply

    async def _read(self, ids: list[str]) -> list[Job | None]:
        keys = map(self._record_key, ids)
        records = await self._channel.command_soon("jobs", b"MGET", *keys, size=len)
        return list(map(record.parse, ids, records))

    async def _cancel(self, ids: list[str]) -> list[Change]:
        self._cancellation += 1
        size = constant(len(ids))
        books, answer = await self._channel.script_soon(
            "cancel", self._cancellation, *map(_key_part, ids), size=size
        )
        self._losses.saw(books)
        return [_CHANGES[each] for each in answer]

    def _record_key(self, name: str) -> bytes:
        return self._records + _key_part(name)


def _key_part(name: str) -> bytes:
    # Lone surrogates come in escaped URLs; nothing has such a name.
    return name.encode(errors="replace")
