"""Runs one message until it is done, has failed permanently, or has to wait on the queue.

    attempt ─► ok ─────────────────────────────────► processed
       ▲    ─► object missing ─────────────────────► missed
       │    ─► permanent error ────────────────────► dead
       │    ─► transient error ─► attempts left? ──┐
       └──── backoff ◄── yes, or an outage ◄───────┤
                                                   └ no ─► retries left? ─► retry, else dead

Failures during an outage of a backend do not use up a message's attempts: an attempt is free when it began
during the outage and failed with a symptom of one (`LoadtestError.outage_symptom`). Whether S3 is out is
decided by `backends.s3.outage_detector`, and never by the failures of a single key; otherwise a message whose
every request breaks could retry for ever. So an outage may be known only after some attempts have failed in
it. Therefore the attempts are counted again after each of them, and the message is not given up before others
had `_VERDICT_SECONDS` to fail too. There may be no others, so the backend is asked first: a probe tells an
outage from the fault of one object. After many free attempts a message returns to the queue without using up
a retry, so that its worker can try others. A Retry-After is respected.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Any

import attrs
import trio

from loadtest_trio.errors import CredentialsError, LoadtestError, ObjectMissingError, cause_of, describe
from loadtest_trio.handlers.registry import Handler
from loadtest_trio.jobs.delivery import Delivery, Outcome
from loadtest_trio.jobs.message import Message
from loadtest_trio.jobs.retry import RetryPolicy
from loadtest_trio.worker.completion import Completion

_LONGEST_WAIT_IN_PLACE = 5.0  # seconds; a message that has to wait longer returns to the queue
_VERDICT_SECONDS = 0.5  # after the first failure; the outage detector needs 0.3


@attrs.frozen
class Claimed:
    """A claimed message.

    Attributes:
        delivery: The delivery from Redis; its token settles it.
        message: The decoded message.
        handler: Does the work.
    """

    delivery: Delivery
    message: Message
    handler: Handler

    @property
    def order_key(self) -> str:
        """The key on which work must not overlap; "" for work without an order."""
        return self.message.key if self.handler.ordered else ""


@attrs.define
class _Failures:
    """The failed attempts of one delivery.

    Attributes:
        out_since: Backend -> start of its outage; None if it is available.
        first_at: When the first one failed.
        charged: Of those that count, the backend whose outage would excuse it ("" for none), and its start.
    """

    out_since: Callable[[str], float | None]
    first_at: float | None = None
    charged: list[tuple[str, float]] = attrs.field(factory=list)

    def add(self, error: LoadtestError, began: float, failed: float) -> None:
        """Note a failed attempt: its error, start and end."""
        self.first_at = failed if self.first_at is None else self.first_at
        if not isinstance(error, CredentialsError):
            self.charged.append((error.backend if error.outage_symptom else "", began))

    def count(self) -> int:
        """Return how many count by what is known now."""
        self.charged = [each for each in self.charged if not self._excused(*each)]
        return len(self.charged)

    def until_verdict(self, now: float) -> float:
        """Return the seconds until an outage behind the last failure would be known; 0 or less if past."""
        if self.first_at is None or not self.charged or not self.charged[-1][0]:
            return 0.0
        return self.first_at + _VERDICT_SECONDS - now

    def _excused(self, backend: str, began: float) -> bool:
        since = self.out_since(backend) if backend else None
        return since is not None and since < began


async def _ask_nothing(backend: str) -> None:
    """Leave the verdict to other messages."""
    del backend


async def _keep_in_record(message: Message, result: bytes | None, started_at: float) -> str:
    """Keep every result in its record."""
    del message, result, started_at
    return ""


@attrs.frozen
class Runner:
    """Makes the attempts at one message.

    Attributes:
        rng: Draws the jitter of delays.
        out_since: Backend -> start of its outage in `clock`'s seconds; None if it is available.
        on_failure: Called with every failed attempt: message, number of the attempt, error.
        unix_clock: Unix seconds.
        finish_job: Stores a job's result or record before the settlement; called with the message, the result
            and the start of the attempt in Unix seconds. Returns the result's location, or "" if the record
            holds it.
        probe: Finds out whether a backend is out; `out_since` then says so.
        sleep: Waits, in seconds.
        clock: Monotonic seconds.
    """

    rng: Random
    out_since: Callable[[str], float | None]
    on_failure: Callable[[Message, int, LoadtestError], None]
    unix_clock: Callable[[], float]
    finish_job: Callable[[Message, bytes | None, float], Awaitable[str]] = _keep_in_record
    probe: Callable[[str], Awaitable[None]] = _ask_nothing
    sleep: Callable[[float], Awaitable[object]] = trio.sleep
    clock: Callable[[], float] = trio.current_time

    async def run(self, claimed: Claimed) -> Completion:
        """Process a message until its delivery ends.

        Args:
            claimed: The message and its handler.

        Returns:
            How it ended; errors of the work are part of it and are never raised.
        """
        message, policy = claimed.message, claimed.handler.retry
        attempt, failures = 0, _Failures(self.out_since)
        while True:
            attempt += 1
            began = self.clock()
            result, ref, error = await self._attempt(claimed.handler, message)
            if error is None or isinstance(error, ObjectMissingError):
                outcome = Outcome.MISSED if error else Outcome.PROCESSED
                attempts = message.attempts + failures.count() + 1
                return self._end(claimed, outcome, attempts, error=error, result=result, result_ref=ref)
            self.on_failure(message, attempt, error)
            failures.add(error, began, self.clock())
            if self._ends(error, failures, attempt, policy) and error.outage_symptom:
                with suppress(Exception):  # as in `_attempt`: one fault must not end the others' work
                    await self.probe(error.backend)
            counted, wait = failures.count(), failures.until_verdict(self.clock())
            if self._ends(error, failures, attempt, policy):
                return self._put_back(claimed, message.attempts + counted, error)
            last = counted >= policy.attempts_in_place - 1  # the next one may end the delivery
            delay = policy.in_place.delay(attempt, self.rng)
            await self.sleep(error.retry_after + (max(delay, wait) if last else delay))

    def _ends(self, error: LoadtestError, failures: _Failures, attempt: int, policy: RetryPolicy) -> bool:
        """Return whether this delivery ends with its last failure."""
        verdict = failures.until_verdict(self.clock()) <= 0
        exhausted = failures.count() >= policy.attempts_in_place and verdict
        too_many = exhausted or attempt >= policy.most_in_place
        return not error.retryable or too_many or error.retry_after > _LONGEST_WAIT_IN_PLACE

    def _put_back(self, claimed: Claimed, attempts: int, error: LoadtestError) -> Completion:
        message, policy = claimed.message, claimed.handler.retry
        used_up = attempts >= policy.attempts_in_place * (message.retries + 1)
        if not error.retryable or (used_up and message.retries >= policy.max_retries):
            return self._end(claimed, Outcome.DEAD, attempts, error=error)
        retries = message.retries + used_up
        delay = error.retry_after + policy.put_back.delay(message.retries + 1, self.rng)
        return self._end(claimed, Outcome.RETRY, attempts, error=error, retries=retries, delay=delay)

    def _end(self, claimed: Claimed, outcome: Outcome, attempts: int, **facts: Any) -> Completion:
        return Completion(claimed.delivery, claimed.message, outcome, self.unix_clock(), attempts, **facts)

    async def _attempt(
        self, handler: Handler, message: Message
    ) -> tuple[bytes | None, str, LoadtestError | None]:
        try:
            started_at = self.unix_clock()
            result = await handler.run(message)
            ref = await self.finish_job(message, result, started_at) if message.job else ""
        except Exception as error:  # an unexpected error of one message must not end the others' work
            cause = cause_of(error)
            return None, "", cause if isinstance(cause, LoadtestError) else LoadtestError(describe(cause))
        return (None if ref else result), ref, None
