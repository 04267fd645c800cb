"""Jobs in memory: what jobs.lua, submit.lua, cancel.lua and pull.lua do to Redis, done to Python containers.

`MemoryJobs` belongs to the server (`MemoryRedis`), which tells it of every job that moves; `MemoryJobStore`
is the `JobStore` that one process sees. A cancelled job is taken out of its place at once: Redis leaves a
ghost there, which nobody can see.
"""

import math
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import attrs

from loadtest_trio.backends.redis import DeadLetter
from loadtest_trio.backends.redis.job_replies import Prepared
from loadtest_trio.jobs.job import Job, Status, new_numeric_id
from loadtest_trio.jobs.message import job_id
from loadtest_trio.jobs.store import (
    Change,
    JobLimits,
    JobPage,
    NewJob,
    Rate,
    Stats,
    Submission,
    TypeCounts,
    Verdict,
)

T = TypeVar("T")

_WIDE = 100
_LISTED = 1000
_MINUTE = 60.0
_REPEATABLE = 600.0


class Server(Protocol):
    """What jobs need of the server that they are on."""

    clock: Callable[[], float]
    queue: deque[bytes]
    dead: deque[bytes]
    delayed: list[tuple[float, int, bytes]]
    in_flight: dict[str, dict[str, bytes]]
    deliveries: dict[bytes, int]
    counters: dict[str, int]


@attrs.define
class Record:
    """A job's record, with what only the scripts know."""

    job: Job
    element: bytes
    ttl: float
    pull: bool
    place: tuple[str, str] | None = None  # of a running job: consumer and token
    waits: bool = False  # in its lane
    letter: bytes | None = None
    expires_at: float = math.inf

    def to(self, **changes: Any) -> None:
        """Change what the record says of the job."""
        self.job = attrs.evolve(self.job, **changes)


@attrs.define
class Lane:
    """A client's ordered or unordered jobs."""

    active: int = 0
    waiting: deque[str] = attrs.field(factory=deque)


class MemoryJobs:
    """All jobs of a server.

    Args:
        server: Where their messages are.

    Attributes:
        types: ("submitted", type) and so on -> count.
    """

    def __init__(self, server: Server) -> None:
        self.types: Counter[tuple[str, str]] = Counter()
        self._server = server
        self._records: dict[str, Record] = {}
        self._lanes: dict[tuple[bool, str], Lane] = {}
        self._latest: dict[str, list[str]] = {}
        self._buckets: dict[str, float] = {}
        self._once: dict[tuple[str, str], tuple[str, str, float]] = {}
        self._completed: deque[str] = deque()
        self._pulled: dict[str, tuple[list[str], float]] = {}

    @property
    def waiting(self) -> int:
        """Jobs behind an earlier one of their client."""
        return sum(len(lane.waiting) for lane in self._lanes.values())

    def record(self, name: str) -> Record | None:
        """Return a job's record, unless it has expired."""
        found = self._records.get(name)
        if found and found.expires_at <= self._server.clock():
            del self._records[name]
            return None
        return found

    def job(self, name: str) -> Job | None:
        """Return what a job's record says, unless it has expired."""
        found = self.record(name)
        return found.job if found else None

    def running(self, element: bytes, consumer: str, token: str) -> Record | None:
        """Return the record of the job that this delivery is of."""
        found = self.record(job_id(element))
        return found if found and found.place == (consumer, token) else None

    def start(self, element: bytes, consumer: str, token: str) -> None:
        """Note that a job is being handed out."""
        found = self.record(job_id(element))
        if found and found.job.status is Status.QUEUED and not found.waits:
            found.place = (consumer, token)
            found.to(status=Status.RUNNING, started_at=self._server.clock(), attempts=found.job.attempts + 1)

    def resume(self, element: bytes) -> None:
        """Note that a job's retry has fallen due."""
        found = self.record(job_id(element))
        if found and found.job.status is Status.RETRYING:
            found.to(status=Status.QUEUED, due_at=None)

    def give_back(self, element: bytes, consumer: str, token: str, attempted: bool) -> None:
        """Note that a job goes back to the queue."""
        found = self.running(element, consumer, token)
        if found:
            found.place = None
            found.to(status=Status.QUEUED, attempts=found.job.attempts - (not attempted))

    def retrying(self, found: Record, element: bytes, error: str, delay: float) -> None:
        """Note that a job waits for its retry."""
        found.place, found.element = None, element
        due = self._server.clock() + delay
        found.to(status=Status.RETRYING, due_at=due, error=error)

    def succeeded(self, found: Record, note: bytes) -> None:
        """Note a job's result."""
        kind, body = note[:1], note[1:]
        result, ref = (body if kind == b"v" else None), (body.decode() if kind == b"f" else "")
        self._end(found, Status.SUCCEEDED, error="", result=result, result_ref=ref)

    def died(self, found: Record, letter: bytes) -> None:
        """Note that a job was given up."""
        found.letter = letter
        self._end(found, Status.DEAD, error=DeadLetter.parse(letter).error)

    def _end(self, found: Record, status: Status, **changes: Any) -> None:
        found.place, found.expires_at = None, self._server.clock() + found.ttl
        found.to(status=status, ended_at=self._server.clock(), due_at=None, **changes)
        self.types[status.value, found.job.type] += 1
        if found.pull and status is not Status.CANCELLED:
            self._completed.append(found.job.id)
        if not found.waits:
            self._leave(found)

    def _enter(self, found: Record) -> None:
        lane = self._lanes.setdefault((found.job.ordered, found.job.client), Lane())
        found.waits = lane.active >= (1 if found.job.ordered else _WIDE)
        if found.waits:
            lane.waiting.append(found.job.id)
        else:
            lane.active += 1
            self._server.queue.appendleft(found.element)

    def _leave(self, found: Record) -> None:
        key = (found.job.ordered, found.job.client)
        lane = self._lanes[key]
        if lane.waiting:
            following = self._records[lane.waiting.popleft()]
            following.waits = False
            self._server.queue.appendleft(following.element)
            return
        lane.active -= 1
        if not lane.active:
            del self._lanes[key]

    def submit(self, new: NewJob, limits: JobLimits) -> Submission | None:
        """Take a job, or say why not; None when its id is taken."""
        now = self._server.clock()
        rate, full_at = self._rate(new, limits, now)
        if new.idempotency_key:
            first, work, until = self._once.get((new.client, new.idempotency_key), ("", "", 0.0))
            if until > now:
                verdict = Verdict.REPEATED if work == new.fingerprint() else Verdict.CONFLICT
                return Submission(verdict, first, rate)
        if rate.limit and not rate.remaining:
            return Submission(Verdict.LIMITED, "", rate)
        if self._held() >= limits.max_queue_length:
            return Submission(Verdict.FULL, "", rate)
        if self.record(new.id):
            return None
        if new.idempotency_key:
            until = now + limits.idempotency_ttl
            self._once[new.client, new.idempotency_key] = (new.id, new.fingerprint(), until)
        if rate.limit:
            self._buckets[new.client] = full_at + _MINUTE / limits.per_minute
            rate, _ = self._rate(new, limits, now)
        return Submission(Verdict.ACCEPTED, new.id, rate, self._accept(new, limits, now))

    def _rate(self, new: NewJob, limits: JobLimits, now: float) -> tuple[Rate, float]:
        """Return the client's bucket, and when it will be full."""
        if not (new.limited and limits.per_minute):
            return Rate(0, 0, 0, 0), now
        full_at = max(now, self._buckets.get(new.client, 0.0))
        interval, left = _MINUTE / limits.per_minute, _MINUTE - (full_at - now)
        tokens = math.floor((left + 1e-5) / interval)
        wait = 0.0 if tokens else max(0.0, interval - left)
        return Rate(limits.per_minute, max(0, tokens), full_at - now, wait), full_at

    def _held(self) -> int:
        server = self._server
        return len(server.queue) + len(server.delayed) + len(server.dead) + self.waiting

    def _accept(self, new: NewJob, limits: JobLimits, now: float) -> Job:
        job = Job(new.id, new.type, new.client, Status.QUEUED, new.ordered, now)
        self._records[new.id] = found = Record(job, new.element(now), limits.ttl, new.pull)
        self._enter(found)
        latest = self._latest.setdefault(new.client, [])
        latest.insert(0, new.id)
        del latest[_LISTED:]
        self.types["submitted", new.type] += 1
        self._server.counters["created"] += 1
        return job

    def cancel(self, name: str) -> Change:
        """Cancel a job that has not ended, and take its message out of its place."""
        found = self.record(name)
        if not found:
            return Change.UNKNOWN
        if found.job.status.ended:
            return Change.REFUSED
        self._take_out(found)
        self._server.counters["cancelled"] += 1
        self._end(found, Status.CANCELLED, error="")
        return Change.DONE

    def _take_out(self, found: Record) -> None:
        server = self._server
        if found.waits:
            self._lanes[found.job.ordered, found.job.client].waiting.remove(found.job.id)
        elif found.place:
            consumer, token = found.place
            server.deliveries.pop(server.in_flight[consumer].pop(token), None)
        elif found.job.status is Status.RETRYING:
            server.delayed[:] = [each for each in server.delayed if each[2] != found.element]
        else:
            server.queue.remove(found.element)

    def requeue(self, letter: bytes) -> bool:
        """Put a dead message back on the queue; return whether it was on the dead list."""
        server = self._server
        if letter not in server.dead:
            return False
        server.dead.remove(letter)
        element, found = DeadLetter.parse(letter).renewed(), self.record(job_id(letter))
        if not found or found.letter != letter:
            server.queue.appendleft(element)
            return True
        self.types["dead", found.job.type] -= 1
        found.element, found.letter, found.expires_at = element, None, math.inf
        found.to(status=Status.QUEUED, started_at=None, ended_at=None, attempts=0, error="")
        self._enter(found)
        return True

    def purge_expired(self) -> None:
        """Take dead jobs off the dead list whose records have expired."""
        for letter in reversed(list(self._server.dead)):
            name = job_id(letter)
            if name and self.record(name):
                break
            if name:
                self._server.dead.remove(letter)
                self._server.counters["purged"] += 1

    def jobs_of(self, client: str) -> list[Job]:
        """Return a client's latest jobs, newest first."""
        found = map(self.record, self._latest.get(client, []))
        return [each.job for each in found if each]

    def pull(self, top: int, token: str) -> list[Job]:
        """Hand out ends, each once; the same ones under the same token."""
        now = self._server.clock()
        names, until = self._pulled.get(token, ([], 0.0))
        if until <= now:
            names = []
            while self._completed and len(names) < top:
                name = self._completed.popleft()
                names += [name] if self.record(name) else []
            self._pulled[token] = (names, now + _REPEATABLE)
        return [found.job for found in map(self.record, names) if found]

    def remember(self, job: Job, seconds: float) -> None:
        """Put an expired record back."""
        if not self.record(job.id):
            expires_at = self._server.clock() + seconds
            self._records[job.id] = Record(job, b"", seconds, pull=False, expires_at=expires_at)

    def stats(self, queue: Any) -> Stats:
        """Return the state of everything; `queue` is the server's snapshot."""
        kinds = {kind for _, kind in self.types}
        counts = {
            kind: TypeCounts(**{each.name: self.types[each.name, kind] for each in attrs.fields(TypeCounts)})
            for kind in sorted(kinds)
        }
        lanes, completed = len(self._lanes), len(self._completed)
        return Stats(queue, counts, lanes, completed, self._server.clock())


class MemoryJobStore:
    """A `JobStore` of one process.

    Args:
        jobs: All jobs.
        call: Makes one call to the server: what to do there, done at one instant.
        snapshot: The server's snapshot.
        limits: What it takes.
    """

    def __init__(
        self, jobs: MemoryJobs, call: Callable[..., Any], snapshot: Callable[[], Any], limits: JobLimits
    ) -> None:
        self._jobs = jobs
        self._call = call
        self._snapshot = snapshot
        self._limits = limits

    async def submit(self, jobs: Sequence[NewJob]) -> list[Submission]:
        """Put jobs on the queue."""
        for job in jobs:
            Prepared.of(job, 0.0)
        return await self._do("submit", lambda: [self._submit(job) for job in jobs]) if jobs else []

    def _submit(self, new: NewJob) -> Submission:
        while True:
            submission = self._jobs.submit(new, self._limits)
            if submission:
                return submission
            new = attrs.evolve(new, id=new_numeric_id())

    async def get(self, ids: Sequence[str]) -> list[Job | None]:
        """Return the jobs with these ids."""
        return await self._do("jobs", lambda: [self._jobs.job(each) for each in ids])

    async def cancel(self, id: str) -> Change:  # noqa: A002  # what a job calls it
        """Cancel a job."""
        return await self._do("cancel", lambda: self._jobs.cancel(id))

    async def retry(self, id: str) -> Change:  # noqa: A002  # what a job calls it
        """Put a dead job back on the queue."""
        return await self._do("requeue", lambda: self._retry(id))

    def _retry(self, name: str) -> Change:
        found = self._jobs.record(name)
        if not found:
            return Change.UNKNOWN
        if not found.letter:
            return Change.REFUSED
        return Change.DONE if self._jobs.requeue(found.letter) else Change.PURGED

    async def page(
        self, client: str, *, status: Status | None = None, size: int = 50, token: str = ""
    ) -> JobPage:
        """Return some of a client's latest jobs."""
        jobs = await self._do("jobs_of", lambda: self._jobs.jobs_of(client))
        ids = [each.id for each in jobs]
        if token and token not in ids:
            return JobPage([], "", valid=False)
        jobs = jobs[ids.index(token) + 1 :] if token else jobs
        jobs = [each for each in jobs if status in (None, each.status)]
        return JobPage(jobs[:size], jobs[size - 1].id if len(jobs) > size else "")

    async def pull_completed(self, top: int, token: str) -> list[Job]:
        """Hand out ends."""
        return await self._do("pull", lambda: self._jobs.pull(top, token)) if top > 0 else []

    async def remember(self, job: Job, seconds: float) -> None:
        """Put an expired record back."""
        await self._do("remember", lambda: self._jobs.remember(job, seconds))

    async def stats(self) -> Stats:
        """Return the state of everything."""
        return await self._do("stats", lambda: self._jobs.stats(self._snapshot()))

    async def _do(self, kind: str, step: Callable[[], T]) -> T:
        answer: T = await self._call(kind, step)
        return answer


class MemoryDeadLetters:
    """The dead list as one process sees it.

    Args:
        server: Where it is.
        jobs: All jobs.
        call: Makes one call to the server.
    """

    def __init__(self, server: Server, jobs: MemoryJobs, call: Callable[..., Any]) -> None:
        self._server = server
        self._jobs = jobs
        self._call = call

    async def find(self, id: str) -> DeadLetter | None:  # noqa: A002  # what the record calls it
        """Return the newest letter with this id."""
        letters = await self._do("dead_page", lambda: list(map(DeadLetter.parse, self._server.dead)))
        return next((each for each in letters if each.id == id), None)

    async def requeue(self, id: str) -> bool:  # noqa: A002  # what the record calls it
        """Put one message back on the queue."""
        letter = await self.find(id)
        return letter is not None and await self._do("requeue", lambda: self._jobs.requeue(letter.record))

    async def requeue_all(self) -> int:
        """Put all back on the queue, oldest first."""
        return await self._do("requeue", lambda: sum(map(self._jobs.requeue, list(self._server.dead)[::-1])))

    async def purge(self) -> int:
        """Delete all for good."""
        return await self._do("purge", self._purge)

    def _purge(self) -> int:
        purged = len(self._server.dead)
        self._server.dead.clear()
        self._server.counters["purged"] += purged
        return purged

    async def _do(self, kind: str, step: Callable[[], T]) -> T:
        answer: T = await self._call(kind, step)
        return answer
