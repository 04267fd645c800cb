"""Requeues the messages of dead consumers, and dead-letters those that were delivered too often."""

from collections.abc import Callable
from typing import Any

from loadtest_trio.backends.redis.channel import Channel
from loadtest_trio.backends.redis.dead_letters import dead_record
from loadtest_trio.backends.redis.loss import LossDetector
from loadtest_trio.backends.redis.records import ReapResult
from loadtest_trio.jobs.message import job_id

MESSAGES_PER_CALL = 500


class Reaper:
    """Two steps, each atomic, with nothing lost in between: see reap.lua and bury.lua.

    Args:
        channel: The way to Redis.
        losses: Reads the books of every reply.
        ttl_ms: A consumer that was silent for longer, in milliseconds, is dead.
        max_deliveries: Deliveries of one message before it goes to the dead list.
        clock: Unix seconds, for the dead records.
    """

    def __init__(
        self,
        channel: Channel,
        losses: LossDetector,
        ttl_ms: int,
        max_deliveries: int,
        clock: Callable[[], float],
    ) -> None:
        self._channel = channel
        self._losses = losses
        self._ttl_ms = ttl_ms
        self._max_deliveries = max_deliveries
        self._clock = clock

    async def reap(self, latest_claim: int) -> ReapResult:
        """Judge all consumers once; moves `MESSAGES_PER_CALL` at most.

        Args:
            latest_claim: Number of this consumer's latest claim, since whoever judges is heard, too.
        """
        books, consumers, requeued, poison = await self._channel.script(
            "reap", self._ttl_ms, self._max_deliveries, MESSAGES_PER_CALL, latest_claim, size=_returned
        )
        self._losses.saw(books)
        if not poison:
            return ReapResult(consumers, requeued, 0)
        arguments: list[bytes] = []
        jobs = tuple(filter(None, map(job_id, poison[2::4])))
        for owner, token, element, deliveries in zip(*[iter(poison)] * 4, strict=True):
            error = f"delivered {int(deliveries)} times and never settled"
            record = dead_record(element, error=error, attempts=int(deliveries), time=self._clock())
            arguments += owner, token, record
        books, buried, removed = await self._channel.script(
            "bury", self._ttl_ms, *arguments, size=lambda reply: int(reply[1])
        )
        self._losses.saw(books)
        return ReapResult(consumers + removed, requeued, buried, jobs)


def _returned(reply: list[Any]) -> int:
    return int(reply[2])
