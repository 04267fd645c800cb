"""The queue in memory: what the Lua scripts do to Redis, done to Python containers.

`MemoryRedis` is the server with all its messages; a `MemoryQueue` is one consumer's view of it, with the
interface and the manners of `RedisService`:

    checkpoint ─► [ under way, cannot be cancelled ] ─► effect ─► reply, without a checkpoint

That is what a thread that is never abandoned looks like from Trio: a call is either cancelled before it
began, or it is done and its caller hears of it. `tests/integration/test_queue_contract.py` holds both to
the same behaviour.
"""

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from typing import TypeVar

import trio

from loadtest_trio.backends.redis import ReapResult, ServerInfo, dead_record
from loadtest_trio.errors import LoadtestError, MalformedMessageError, RedisError, RedisUnavailableError
from loadtest_trio.jobs.delivery import Delivery, Outcome, Settlement
from loadtest_trio.jobs.ledger import QueueSnapshot
from loadtest_trio.jobs.message import decode, job_id
from loadtest_trio.jobs.store import JobLimits
from loadtest_trio.metrics.counters import Observer
from tests.support.memory_jobs import MemoryDeadLetters, MemoryJobs, MemoryJobStore, Record

T = TypeVar("T")

_PROMOTED_PER_CLAIM = 256
_MOST_PER_CLAIM = 1000
_FIRST_NUMBER = 10**15  # as many digits as a clock in microseconds: tokens sort as text


def unobserved(kind: str, seconds: float, size: int, error: LoadtestError | None) -> None:
    """Ignore a call."""


def ignored(_: object) -> None:
    """Ignore an event."""


class MemoryRedis:
    """The server: where every message is, and the books. Steps are atomic, as scripts are.

    Args:
        clock: Unix seconds; by default Trio's clock, so that delays pass in virtual time.

    Attributes:
        queue: Waiting elements; the right end goes out next.
        in_flight: Consumer -> token -> element.
        heard: Consumer -> when it was last heard.
        retired: Consumers that have left and not claimed again.
        delayed: A heap of due time, serial number and element.
        dead: Dead records, newest first.
        deliveries: Element -> deliveries that ended with their consumer's death.
        counters: `created`, `processed`, `missed`, `purged`, `lost` and `cancelled`.
        jobs: The messages that have a record.
    """

    def __init__(self, clock: Callable[[], float] = trio.current_time) -> None:
        self.clock = clock
        self.queue: deque[bytes] = deque()
        self.in_flight: dict[str, dict[str, bytes]] = {}
        self.heard: dict[str, float] = {}
        self.retired: set[str] = set()
        self.delayed: list[tuple[float, int, bytes]] = []
        self.dead: deque[bytes] = deque()
        self.deliveries: dict[bytes, int] = {}
        self.counters = dict.fromkeys(("created", "processed", "missed", "purged", "lost", "cancelled"), 0)
        self.jobs = MemoryJobs(self)
        self.serving_since = -float("inf")
        self._outage = ""
        self._serial = count()

    def go_away(self, reason: str = "connection refused") -> None:
        """Begin an outage: no call is answered until `come_back`."""
        self._outage = reason

    def come_back(self) -> None:
        """End the outage."""
        self._outage = ""

    @property
    def error(self) -> RedisUnavailableError | None:
        """What a call gets now instead of an answer."""
        return RedisUnavailableError(f"Redis in memory: {self._outage}") if self._outage else None

    @property
    def messages(self) -> list[bytes]:
        """Every element that waits, is in flight or is delayed, in no particular order."""
        claimed = [element for record in self.in_flight.values() for element in record.values()]
        return [*self.queue, *claimed, *(element for _, _, element in self.delayed)]

    def push(self, element: bytes) -> None:
        """Enqueue like a stranger who knows nothing of the books."""
        self.queue.appendleft(element)

    def beat(self, consumer: str, ttl: float) -> None:
        """Hear a consumer; after a silence of everybody, everybody's time starts anew (common.lua)."""
        now = self.clock()
        if not self.heard or now - max(self.heard.values()) > ttl / 2:
            self.serving_since = now
        self.heard[consumer] = now

    def promote(self) -> None:
        """Move due retries to the out end, the earliest due to go out first (claim.lua)."""
        due: list[bytes] = []
        while self.delayed and self.delayed[0][0] <= self.clock() and len(due) < _PROMOTED_PER_CLAIM:
            due.append(heapq.heappop(self.delayed)[2])
        for element in reversed(due):
            self.jobs.resume(element)
            self.queue.append(element)

    def delay(self, element: bytes, seconds: float) -> None:
        """Let an element wait for its retry."""
        heapq.heappush(self.delayed, (self.clock() + seconds, next(self._serial), element))

    def give_back(self, consumer: str, tokens: Sequence[str], attempted: bool = False) -> int:
        """Move claimed messages back to the out end, the earliest claimed to go out first (places.lua)."""
        record, moved = self.in_flight.get(consumer, {}), 0
        for token in sorted(tokens, reverse=True):
            element = record.pop(token, None)
            if element is not None:
                self.queue.append(element)
                self.jobs.give_back(element, consumer, token, attempted)
                moved += 1
        return moved

    def bury(self, record: bytes, job: Record | None) -> None:
        """Put a dead record on the dead list."""
        self.dead.appendleft(record)
        if job:
            self.jobs.died(job, record)

    def forget_consumer(self, consumer: str) -> bool:
        """Strike a consumer with nothing in flight off the list; return whether it was on it."""
        if self.in_flight.get(consumer):
            return False
        self.in_flight.pop(consumer, None)
        return self.heard.pop(consumer, None) is not None

    def snapshot(self) -> QueueSnapshot:
        """Say where all messages are."""
        return QueueSnapshot(
            queued=len(self.queue),
            in_flight=sum(len(self.in_flight.get(consumer, ())) for consumer in self.heard),
            delayed=len(self.delayed),
            dead=len(self.dead),
            consumers=len(self.heard),
            epoch="memory",
            waiting=self.jobs.waiting,
            oldest_at=self._oldest_at(),
            **self.counters,
        )

    def _oldest_at(self) -> float | None:
        try:
            return decode(self.queue[-1]).created_at or None
        except (IndexError, MalformedMessageError):
            return None


class MemoryQueue:
    """One consumer of a `MemoryRedis`: a `RedisService` without Redis.

    Args:
        redis: Shared by all consumers.
        consumer: Unique among them.
        backoff: Seconds to wait after the given failed attempt.
        observe: Told about every attempt of every call.
        heartbeat_ttl: Seconds after which a silent consumer is dead.
        max_deliveries: Deliveries before a reaper gives a message up.
        on_outage: Told of every failed attempt, and None when Redis is back.
        latency: Seconds that a call takes.
        job_limits: What the job store takes.

    Attributes:
        jobs: Jobs on this queue.
        dead_letters: What ended on the dead list.
        under_way: Calls that have begun and not ended: "threads".
        closed: Whether `close` was called.
    """

    def __init__(
        self,
        redis: MemoryRedis,
        consumer: str = "a",
        *,
        backoff: Callable[[int], float] = lambda _: 0.05,
        observe: Observer = unobserved,
        heartbeat_ttl: float = 15.0,
        max_deliveries: int = 5,
        on_outage: Callable[[RedisError | None], None] = ignored,
        latency: float = 0.0,
        job_limits: JobLimits = JobLimits(),  # noqa: B008  # it is frozen
    ) -> None:
        self.redis = redis
        self.consumer = consumer
        self.jobs = MemoryJobStore(redis.jobs, self._attempt, redis.snapshot, job_limits)
        self.dead_letters = MemoryDeadLetters(redis, redis.jobs, self._persist)
        self._held: set[str] = set()
        self.under_way = 0
        self.closed = False
        self._backoff = backoff
        self._observe = observe
        self._ttl = heartbeat_ttl
        self._max_deliveries = max_deliveries
        self._on_outage = on_outage
        self._latency = latency
        self._numbers = count(_FIRST_NUMBER)
        self._failing: set[str] = set()
        self._out = False
        self._enqueuing, self._claiming, self._settling = trio.Lock(), trio.Lock(), trio.Lock()

    async def connect(self) -> ServerInfo:
        """Try once to reach the server."""
        await self._attempt("connect", lambda: None)
        return ServerInfo("memory", "7.0", "standalone", "master", False, 0, "noeviction")

    async def enqueue(self, elements: Sequence[bytes]) -> int:
        """Put elements on the queue; return its length."""
        if not elements:
            return await self.length()
        async with self._enqueuing:
            return await self._persist("enqueue", lambda: self._enqueue(elements), len(elements))

    async def claim(self, limit: int) -> list[Delivery]:
        """Take up to `limit` messages, due retries first."""
        if limit < 1:
            return []
        async with self._claiming:
            return await self._persist("claim", lambda: self._claim(limit))

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """End deliveries; False for stale ones."""
        if not settlements:
            return []
        async with self._settling:
            return await self._persist(
                "settle", lambda: [self._settle(each) for each in settlements], len(settlements)
            )

    async def release(self, tokens: Sequence[str]) -> int:
        """Put deliveries back that nobody started."""
        if not tokens:
            return 0
        self._held.difference_update(tokens)
        return await self._persist("release", lambda: self.redis.give_back(self.consumer, tokens))

    async def heartbeat(self) -> None:
        """Say that this consumer lives."""
        await self._persist("heartbeat", self._heartbeat)

    async def revoked(self) -> set[str]:
        """Return the tokens held here that were taken away."""
        held = set(self._held)
        revoked = held - await self._persist(
            "revoked", lambda: set(self.redis.in_flight.get(self.consumer, ()))
        )
        self._held -= revoked
        return revoked

    async def reap(self) -> ReapResult:
        """Give the messages of dead consumers back, and those delivered too often up."""
        return await self._persist("reap", self._reap)

    async def retire(self) -> None:
        """Give everything back and stop being a consumer until the next claim."""
        async with self._claiming, self._settling:
            await self._persist("retire", self._retire)

    async def length(self) -> int:
        """Return how many messages wait on the queue."""
        return await self._persist("length", lambda: len(self.redis.queue))

    async def snapshot(self) -> QueueSnapshot:
        """Say where all messages are."""
        return await self._persist("snapshot", self.redis.snapshot)

    def close(self) -> None:
        """Close; the queue can still be used."""
        self.closed = True

    async def _persist(self, kind: str, step: Callable[[], T], size: int = 0) -> T:
        # As Channel._persist: again and again until there is an answer.
        attempt = 0
        try:
            while True:
                try:
                    reply = await self._attempt(kind, step, size)
                    break
                except RedisUnavailableError as error:
                    attempt += 1
                    self._out = True
                    self._failing.add(kind)
                    self._on_outage(error)
                await trio.sleep(self._backoff(attempt))
        finally:
            if attempt:
                self._failing.discard(kind)
        if self._out and not self._failing:
            self._out = False
            self._on_outage(None)
        return reply

    async def _attempt(self, kind: str, step: Callable[[], T], size: int = 0) -> T:
        await trio.lowlevel.checkpoint_if_cancelled()
        self.under_way += 1
        try:
            if self._latency:
                with trio.CancelScope(shield=True):
                    await trio.sleep(self._latency)
            else:
                await trio.lowlevel.cancel_shielded_checkpoint()
        finally:
            self.under_way -= 1
        error = self.redis.error
        if error:
            self._observe(kind, self._latency, 0, error)
            raise error
        reply = step()
        self._observe(kind, self._latency, len(reply) if isinstance(reply, list) else size, None)
        return reply

    def _enqueue(self, elements: Sequence[bytes]) -> int:
        self.redis.queue.extendleft(elements)
        self.redis.counters["created"] += len(elements)
        return len(self.redis.queue)

    def _claim(self, limit: int) -> list[Delivery]:
        redis, number = self.redis, next(self._numbers)
        redis.retired.discard(self.consumer)
        redis.beat(self.consumer, self._ttl)
        redis.promote()
        record = redis.in_flight.setdefault(self.consumer, {})
        deliveries = []
        for i in range(1, self._allowed(min(limit, _MOST_PER_CLAIM, len(redis.queue)), record) + 1):
            token, element = f"{number}.{i:04d}", redis.queue.pop()
            record[token] = element
            redis.jobs.start(element, self.consumer, token)
            self._held.add(token)
            deliveries.append(Delivery(token, element))
        return deliveries

    def _allowed(self, limit: int, held: dict[str, bytes]) -> int:
        """How many may be claimed: what is on its last delivery is claimed alone."""
        if self._max_deliveries < 2 or (len(held) == 1 and self._on_its_last(*held.values())):
            return limit if self._max_deliveries < 2 else 0
        for i in range(limit):
            if self._on_its_last(self.redis.queue[-1 - i]):
                return i or int(not held)
        return limit

    def _on_its_last(self, element: bytes) -> bool:
        return self.redis.deliveries.get(element, 0) >= self._max_deliveries - 1

    def _settle(self, settlement: Settlement) -> bool:
        redis = self.redis
        self._held.discard(settlement.token)
        element = redis.in_flight.get(self.consumer, {}).pop(settlement.token, None)
        if element is None:
            return False
        redis.deliveries.pop(element, None)
        job = redis.jobs.running(element, self.consumer, settlement.token)
        match settlement.outcome:
            case Outcome.RETRY:
                redis.delay(settlement.payload, settlement.delay)
                if job:
                    error = settlement.note[1:].decode(errors="replace")
                    redis.jobs.retrying(job, settlement.payload, error, settlement.delay)
            case Outcome.DEAD:
                redis.bury(settlement.payload, job)
            case counted:
                redis.counters[counted] += 1
                if job:
                    redis.jobs.succeeded(job, settlement.note)
        return True

    def _heartbeat(self) -> None:
        if self.consumer not in self.redis.retired:
            self.redis.beat(self.consumer, self._ttl)
        in_flight = self.redis.in_flight.get(self.consumer, {})
        if len(in_flight) > len(self._held):
            self.redis.give_back(self.consumer, [token for token in in_flight if token not in self._held])

    def _reap(self) -> ReapResult:
        redis = self.redis
        if self.consumer in redis.retired:
            return ReapResult(0, 0, 0)
        redis.beat(self.consumer, self._ttl)
        now = redis.clock()
        if now - redis.serving_since < self._ttl:
            return ReapResult(0, 0, 0)
        silent = sorted((at, consumer) for consumer, at in redis.heard.items() if at < now - self._ttl)
        jobs: list[str] = []
        judged = [self._judge(consumer, jobs) for _, consumer in silent]
        redis.jobs.purge_expired()
        consumers, requeued, dead = (sum(column) for column in zip((0, 0, 0), *judged, strict=True))
        return ReapResult(consumers, requeued, dead, tuple(jobs))

    def _judge(self, owner: str, jobs: list[str]) -> tuple[int, int, int]:
        redis, requeued, dead = self.redis, 0, 0
        for token, element in sorted(redis.in_flight.get(owner, {}).items(), reverse=True):
            deliveries = redis.deliveries.get(element, 0) + 1
            if deliveries < self._max_deliveries:
                redis.deliveries[element] = deliveries
                requeued += redis.give_back(owner, [token], attempted=True)
                continue
            job = redis.jobs.running(element, owner, token)
            del redis.in_flight[owner][token]
            redis.deliveries.pop(element, None)
            error = f"delivered {deliveries} times and never settled"
            redis.bury(dead_record(element, error=error, attempts=deliveries, time=redis.clock()), job)
            dead += 1
            jobs += filter(None, [job_id(element)])
        return int(redis.forget_consumer(owner)), requeued, dead

    def _retire(self) -> None:
        self.redis.give_back(self.consumer, list(self.redis.in_flight.get(self.consumer, ())))
        self._held.clear()
        self.redis.forget_consumer(self.consumer)
        self.redis.retired.add(self.consumer)
