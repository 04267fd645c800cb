"""Runs one message until it is done, has failed permanently, or has to wait on the queue.

    attempt ─► ok ─────────────────────────────────► processed
       ▲    ─► object missing ─────────────────────► missed
       │    ─► permanent error ────────────────────► dead
       │    ─► transient error ─► attempts left? ──┐
       └──── backoff ◄── yes, or an outage ◄───────┤
                                                   └ no ─► retries left? ─► retry, else dead

Failures during an outage of a backend do not use up a message's attempts: an attempt is free when it began
during the outage and failed with a symptom of one (`LoadtestError.outage_symptom`). The attempts that
*reveal* an outage still count; otherwise a message whose every request breaks could retry for ever.
`backends.s3.outage_detector` decides whether S3 is out, and never by the failures of a single key. After many
free attempts the message returns to the queue without using up a retry, so that its worker can try others. A
500 or 503 is an answer of S3 and always counts; its Retry-After is respected.
"""

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import attrs
import trio

from loadtest_trio.errors import CredentialsError, LoadtestError, ObjectMissingError, cause_of, describe
from loadtest_trio.handlers.registry import Handler
from loadtest_trio.jobs.delivery import Delivery, Outcome
from loadtest_trio.jobs.message import Message
from loadtest_trio.worker.completion import Completion

_LONGEST_WAIT_IN_PLACE = 5.0  # seconds; a message that has to wait longer returns to the queue


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
        sleep: Waits, in seconds.
        clock: Monotonic seconds.
    """

    rng: Random
    out_since: Callable[[str], float | None]
    on_failure: Callable[[Message, int, LoadtestError], None]
    unix_clock: Callable[[], float]
    finish_job: Callable[[Message, bytes | None, float], Awaitable[str]] = _keep_in_record
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
        attempt = counted = 0
        while True:
            attempt += 1
            began = self.clock()
            result, ref, error = await self._attempt(claimed.handler, message)
            if error is None or isinstance(error, ObjectMissingError):
                outcome = Outcome.MISSED if error else Outcome.PROCESSED
                attempts = message.attempts + counted + 1
                return self._end(claimed, outcome, attempts, error=error, result=result, result_ref=ref)
            self.on_failure(message, attempt, error)
            counted += not self._excused(error, began)
            exhausted = counted >= policy.attempts_in_place or attempt >= policy.most_in_place
            if not error.retryable or exhausted or error.retry_after > _LONGEST_WAIT_IN_PLACE:
                return self._put_back(claimed, message.attempts + counted, error)
            await self.sleep(error.retry_after + policy.in_place.delay(attempt, self.rng))

    def _excused(self, error: LoadtestError, began: float) -> bool:
        if isinstance(error, CredentialsError):
            return True
        since = self.out_since(error.backend) if error.outage_symptom else None
        return since is not None and since < began

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
