"""One message, tried until it is done, hopeless, or should rather wait on the queue.

    attempt ─► ok ─────────────────────────────────► processed
       ▲    ─► object missing ─────────────────────► missed
       │    ─► permanent error ────────────────────► dead
       │    ─► transient error ─► attempts left? ──┐
       └──── backoff ◄── yes, or S3 is out ◄───────┤
                                                   └ no ─► retries left? ─► retry, else dead

An outage is not the message's fault: an attempt that began while S3 answered nobody, and during which it
answered nobody, is free. One that made the outage known is not, or a message whose every request breaks
would excuse itself, failure by failure, and hold its worker for ever. So an outage costs a message one
attempt at most; and after many free ones it waits on the queue too, at no cost, while others are tried. A
500 or a 503 is an answer and always counts.
"""

from collections.abc import Awaitable, Callable
from random import Random

import attrs
import trio

from loadtest_trio.errors import (
    CredentialsError,
    LoadtestError,
    MalformedMessageError,
    ObjectMissingError,
    S3UnreachableError,
)
from loadtest_trio.handlers import Handler
from loadtest_trio.jobs.delivery import Outcome
from loadtest_trio.jobs.message import Message
from loadtest_trio.jobs.retry import ATTEMPTS_IN_PLACE, IN_PLACE, MOST_IN_PLACE, PUT_BACK


@attrs.frozen
class Result:
    """The end of one delivery.

    Attributes:
        outcome: What becomes of the message.
        attempts: How many attempts count, in this and earlier deliveries.
        error: The last error, if any.
        retries: How often it has been put back, this time included, for a retry.
        delay: Seconds until it is due again, for a retry.
    """

    outcome: Outcome
    attempts: int = 1
    error: LoadtestError | None = None
    retries: int = 0
    delay: float = 0.0


@attrs.frozen
class Attempts:
    """The policy and its surroundings.

    Attributes:
        handlers: Operation -> handler.
        max_retries: How often a message is put back before it is dead.
        rng: Jitter.
        s3_out_since: Since when S3 answers nobody, in `clock`'s seconds; None while it answers.
        on_failure: Told about every failed attempt: message, number of the attempt, error.
        sleep: Waits, in seconds.
        clock: Monotonic seconds.
    """

    handlers: Callable[[str], Handler | None]
    max_retries: int
    rng: Random
    s3_out_since: Callable[[], float | None]
    on_failure: Callable[[Message, int, LoadtestError], None]
    sleep: Callable[[float], Awaitable[object]] = trio.sleep
    clock: Callable[[], float] = trio.current_time

    async def perform(self, message: Message) -> Result:
        """Work on a message until its delivery ends.

        Args:
            message: A readable message.

        Returns:
            What becomes of it; errors of the work never leave here.
        """
        handler = self.handlers(message.operation)
        if handler is None:
            return Result(Outcome.DEAD, 0, MalformedMessageError(f"no handler for {message.operation}"))
        attempt = counted = 0
        while True:
            attempt += 1
            began = self.clock()
            error = await _try(handler, message)
            if error is None:
                return Result(Outcome.PROCESSED, message.attempts + counted + 1)
            if isinstance(error, ObjectMissingError):
                return Result(Outcome.MISSED, message.attempts + counted + 1, error)
            self.on_failure(message, attempt, error)
            counted += not self._excused(error, began)
            if not error.retryable or counted >= ATTEMPTS_IN_PLACE or attempt >= MOST_IN_PLACE:
                return self._put_back(message, message.attempts + counted, error)
            await self.sleep(IN_PLACE.delay(attempt, self.rng))

    def _excused(self, error: LoadtestError, began: float) -> bool:
        if isinstance(error, CredentialsError):
            return True
        since = self.s3_out_since()
        return isinstance(error, S3UnreachableError) and since is not None and since < began

    def _put_back(self, message: Message, attempts: int, error: LoadtestError) -> Result:
        used_up = attempts >= ATTEMPTS_IN_PLACE * (message.retries + 1)
        if not error.retryable or (used_up and message.retries >= self.max_retries):
            return Result(Outcome.DEAD, attempts, error)
        retries = message.retries + used_up
        return Result(Outcome.RETRY, attempts, error, retries, PUT_BACK.delay(message.retries + 1, self.rng))


async def _try(handler: Handler, message: Message) -> LoadtestError | None:
    try:
        await handler(message)
    except LoadtestError as error:
        return error
    except Exception as error:  # one message's surprise must not end the others' work
        return LoadtestError(f"{type(error).__name__}: {error}")
    return None
