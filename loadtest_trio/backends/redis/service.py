"""RedisService: the queue, at least once, with a ledger that always balances.

Invariants, whatever is killed or cut off at whatever moment:

1. Each step is one Lua script, so a message is in exactly one place (see common.lua for the map). The
   ledger, and a job's record, change in the same step as the message that they tell of.
2. Every batch, claim, settlement, repair, submission, cancellation and move of dead letters has a number
   that grows. When a reply is lost, the call is repeated under its number and the script recognises it:
   nothing happens twice, and the answer is the same. Calls of one kind go one after the other, so that
   their numbers can be compared; hence a lock for each kind.
3. A settlement acts on the in-flight record alone. A consumer that was reaped has none: its late
   settlement changes nothing and says so (stale).
4. Messages claimed by a cancelled call, whose reply nobody read, are in the in-flight record but not among
   the tokens held here: the heartbeat returns them to the queue.
5. Every life of the server has an epoch of its own, which begins before anything is enqueued in it
   (see common.lua). A process that remembers another epoch compares, and counts as lost what Redis forgot.

Numbers start at the clock's microseconds, so that they keep growing across a restart under one name.
"""

import re
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import chain
from typing import Any, TypeVar

import trio

from loadtest_trio.backends.redis.channel import Channel, constant
from loadtest_trio.backends.redis.connection import Connections, Endpoint
from loadtest_trio.backends.redis.dead_letters import DeadLetters
from loadtest_trio.backends.redis.job_store import RedisJobStore
from loadtest_trio.backends.redis.loss import LossDetector
from loadtest_trio.backends.redis.options import RedisObservers, RedisOptions
from loadtest_trio.backends.redis.reaper import Reaper
from loadtest_trio.backends.redis.records import ReapResult, ServerInfo
from loadtest_trio.backends.redis.scripts import Keys, Scripts
from loadtest_trio.errors import RedisRejectedError
from loadtest_trio.jobs.delivery import Delivery, Settlement
from loadtest_trio.jobs.ledger import QueueSnapshot
from loadtest_trio.jobs.message import job_id

BATCH = 1000
"""Elements of one script call at most: Lua's unpack() and tokens of four digits set the limit."""

PROMOTED_PER_CLAIM = 256
JOB_KEYS = (b"job:", b"lane:", b"wide:", b"client:", b"bucket:", b"once:", b"completed", b"pulled:", b"types")
OLDEST_VERSION = 7

_T = TypeVar("_T")


class RedisService:
    """The queue `queue_name` as one consumer sees it.

    Every method but `connect` repeats its call for as long as Redis is away; bound it with a cancel
    scope where that is too long. All raise `RedisRejectedError` when the answer is no.

    Args:
        options: Where the queue is, and its limits.
        observers: Who hears of calls and outages.
        backoff: Seconds to wait after the given failed attempt (1 is the first).
        clock: Unix seconds, for dead records.

    Attributes:
        dead_letters: What ended on the dead list.
        jobs: Jobs on this queue.

    Raises:
        RedisRejectedError: The URL or a name cannot be used.
    """

    def __init__(
        self,
        options: RedisOptions,
        observers: RedisObservers = RedisObservers(),  # noqa: B008  # it is frozen
        *,
        backoff: Callable[[int], float],
        clock: Callable[[], float] = time.time,
    ) -> None:
        keys = Keys(options.queue_name, options.consumer)
        self._connections = Connections(
            Endpoint.parse(options.url), timeout=options.timeout, delay=options.delay
        )
        self._channel = Channel(
            self._connections,
            Scripts(self._connections, keys),
            threads=options.threads,
            backoff=backoff,
            observe=observers.observe,
            on_outage=observers.on_outage,
        )
        self.dead_letters = DeadLetters(self._channel, keys.dead)
        self._all_keys, self._prefix = keys.all(), keys.prefix
        self._in_flight = keys.in_flight
        self._ttl_ms = round(options.heartbeat_ttl * 1000)
        self._losses = LossDetector(self._channel, observers.on_data_loss)
        self._max_deliveries = options.max_deliveries
        self._reaper = Reaper(self._channel, self._losses, self._ttl_ms, options.max_deliveries, clock)
        self.jobs = RedisJobStore(
            self._channel, keys.prefix, self._losses, self.dead_letters, options.job_limits
        )
        self._held: set[str] = set()
        self._jobs_held: dict[str, str] = {}  # token -> job id
        self._batch = self._claim = self._settlement = time.time_ns() // 1000
        self._enqueuing, self._claiming, self._settling = trio.Lock(), trio.Lock(), trio.Lock()

    async def connect(self) -> ServerInfo:
        """Try once to reach Redis, and to use the queue's keys.

        Returns:
            What the server says about itself.

        Raises:
            RedisUnavailableError: It cannot be reached.
            RedisRejectedError: It refuses the password, the database or a key, or is too old.
        """
        info = ServerInfo.parse(await self._channel.command_once("connect", b"INFO"))
        if info.is_older_than(OLDEST_VERSION):
            raise RedisRejectedError(
                f"Redis {info.version} is too old: {OLDEST_VERSION}.0 or newer is needed"
            )
        if info.mode == "sentinel":
            raise RedisRejectedError("this is a Sentinel: set REDIS_ENDPOINT to the primary that it watches")
        self._losses.saw((await self._channel.script_once("snapshot"))[0])
        return info

    async def enqueue(self, elements: Sequence[bytes]) -> int:
        """Put elements on the queue; a call that raises may have put some.

        Returns:
            The queue's length after it.
        """
        length = 0
        async with self._enqueuing:
            for part in _parts(elements):
                self._batch += 1
                books, length = await self._channel.script(
                    "enqueue", self._batch, *part, size=constant(len(part))
                )
                self._losses.saw(books)
        if not elements:
            return await self.length()
        await self._losses.repair()
        return length

    async def claim(self, limit: int) -> list[Delivery]:
        """Take up to `limit` messages (1,000 at most), due retries first.

        A message that was in the hands of `max_deliveries` - 1 consumers that died comes alone, once this
        consumer holds nothing else, and nothing follows until it is settled: so none ends dead because of
        what another message did to their consumer.

        Returns:
            The deliveries, at once: none when nothing is waiting.
        """
        if limit < 1:
            return []
        async with self._claiming:
            self._claim += 1
            claim = str(self._claim)
            books, _, elements = await self._channel.script(
                "claim",
                self._ttl_ms,
                claim,
                limit,
                PROMOTED_PER_CLAIM,
                self._max_deliveries,
                size=_claimed,
            )
            self._losses.saw(books)
            deliveries = [
                Delivery(f"{claim}.{i:04d}", element)
                for i, element in enumerate(elements, 1)
                if element is not None
            ]
            self._held.update([delivery.token for delivery in deliveries])
            # Most messages are no jobs: only what looks like one is read.
            jobs = [each for each in deliveries if each.element[2:3] == b"j"]
            self._jobs_held.update((each.token, job_id(each.element)) for each in jobs)
        return deliveries

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """End deliveries.

        Returns:
            For each, whether it counted. False is stale: this consumer was taken for dead meanwhile, and
            the message was delivered again or will be.
        """
        counted: list[bool] = []
        async with self._settling:
            for part in _parts(settlements):
                self._settlement += 1
                jobs = self._jobs_held
                arguments = chain.from_iterable(
                    [(each.token, each.action(jobs.get(each.token, ""))) for each in part]
                )
                books, answer = await self._channel.script(
                    "settle", self._settlement, *arguments, size=constant(len(part))
                )
                self._losses.saw(books)
                self._forget([each.token for each in part])
                counted += [character == ord("1") for character in answer]
        return counted

    async def release(self, tokens: Sequence[str]) -> int:
        """Put deliveries that nobody started back, next to go out, in their old order.

        Returns:
            How many went back; stale ones do not.
        """
        returned = 0
        for part in reversed(list(_parts(sorted(tokens)))):
            books, moved = await self._channel.script("release", *part, size=_second)
            self._losses.saw(books)
            self._forget(part)
            returned += moved
        return returned

    async def heartbeat(self) -> None:
        """Say that this consumer lives; call it every third of `heartbeat_ttl`."""
        books, in_flight = await self._channel.script("heartbeat", self._ttl_ms, self._claim)
        self._losses.saw(books)
        if in_flight > len(self._held):
            await self._return_strays()
        await self._losses.repair()

    async def revoked(self) -> set[str]:
        """Return the tokens held here that were taken away, of jobs cancelled or messages reaped.

        What works on them should stop: its settlement would be stale.
        """
        held = set(self._held)
        in_flight = await self._channel.command("revoked", b"HKEYS", self._in_flight)
        revoked = (held & self._held).difference(token.decode(errors="replace") for token in in_flight)
        self._forget(revoked)
        return revoked

    async def reap(self) -> ReapResult:
        """Requeue dead consumers' messages; dead-letter those delivered more than `max_deliveries` times.

        Moves 500 messages a call at most. After an outage of Redis itself no consumer counts as dead until
        all have had `heartbeat_ttl` to come back.
        """
        return await self._reaper.reap(self._claim)

    async def retire(self) -> None:
        """Leave: give back what is still in flight here, and stop being a consumer until the next claim."""
        async with self._claiming, self._settling:
            books, _ = await self._channel.script("retire", self._claim)
            self._losses.saw(books)
            self._held.clear()
            self._jobs_held.clear()

    async def length(self) -> int:
        """Return how many messages wait on the queue."""
        books, length = await self._channel.script("length")
        self._losses.saw(books)
        await self._losses.repair()
        return int(length)

    async def snapshot(self) -> QueueSnapshot:
        """Return where all messages are, at one instant, data loss already accounted for."""
        while True:
            reply = await self._channel.script("snapshot")
            self._losses.saw(reply[0])
            if not self._losses.suspicious:
                break
            await self._losses.repair()
        return QueueSnapshot.parse(reply)

    async def erase(self) -> None:
        """Delete the queue with everything in it, its jobs and its ledger. Other consumers' records stay."""
        await self._channel.command("erase", b"DEL", *self._all_keys)
        cursor, pattern = b"0", re.sub(rb"([*?\[\]\\])", rb"\\\1", self._prefix) + b"*"
        while True:
            cursor, keys = await self._channel.command(
                "erase", b"SCAN", cursor, b"MATCH", pattern, b"COUNT", BATCH
            )
            of_jobs = [key for key in keys if key[len(self._prefix) :].startswith(JOB_KEYS)]
            if of_jobs:
                await self._channel.command("erase", b"UNLINK", *of_jobs)
            if cursor == b"0":
                break

    async def server_seconds(self) -> float:
        """Return how long the server has worked on our scripts, since it started.

        Source: redis.io, "INFO", section commandstats. Commands inside scripts are part of EVALSHA.
        """
        reply = await self._channel.command("info", b"INFO", b"commandstats")
        found = re.findall(rb"cmdstat_evalsha:calls=\d+,usec=(\d+)", reply)
        return sum(map(int, found)) / 1e6

    def close(self) -> None:
        """Close the connections; the service can still be used, and opens them again."""
        self._connections.close()

    def _forget(self, tokens: Collection[str]) -> None:
        self._held.difference_update(tokens)
        if self._jobs_held:
            for token in tokens:
                self._jobs_held.pop(token, None)

    async def _return_strays(self) -> None:
        async with self._claiming, self._settling:
            books, _ = await self._channel.script("strays", self._claim, *self._held, size=_second)
            self._losses.saw(books)


def _parts(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]


def _second(reply: list[Any]) -> int:
    return int(reply[1])


def _claimed(reply: list[Any]) -> int:
    return len(reply[2])
