"""One message, tried until it is done, hopeless, or should rather wait on the queue.

    attempt ─► ok ─────────────────────────────────► processed
       ▲    ─► object missing ─────────────────────► missed
       │    ─► permanent error ────────────────────► dead
       │    ─► transient error ─► attempts left? ──┐
       └──── backoff ◄── yes, or S3 is out ◄───────┤
                                                   └ no ─► retries left? ─► retry, else dead

An outage is not the message's fault: while S3 does not answer anybody, attempts are free. A 500 or a
503 is an answer and counts, so that a message that makes S3 fail cannot hold its worker for ever.
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
from loadtest_trio.message import Message
from loadtest_trio.redis_service import Outcome
from loadtest_trio.retry import ATTEMPTS_IN_PLACE, IN_PLACE, PUT_BACK


@attrs.frozen
class Result:
    """The end of one delivery.

    Attributes:
        outcome: What becomes of the message.
        attempts: How often it was tried in this delivery.
        error: The last error, if any.
        delay: Seconds until it is due again, for a retry.
    """

    outcome: Outcome
    attempts: int = 1
    error: LoadtestError | None = None
    delay: float = 0.0


@attrs.frozen
class Attempts:
    """The policy and its surroundings.

    Attributes:
        handlers: Operation -> handler.
        max_retries: How often a message is put back before it is dead.
        rng: Jitter.
        s3_is_out: Whether S3 answers nobody at present.
        on_failure: Told about every failed attempt: message, number of the attempt, error.
        sleep: Waits, in seconds.
    """

    handlers: Callable[[str], Handler | None]
    max_retries: int
    rng: Random
    s3_is_out: Callable[[], bool]
    on_failure: Callable[[Message, int, LoadtestError], None]
    sleep: Callable[[float], Awaitable[object]] = trio.sleep

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
            error = await _try(handler, message)
            if error is None:
                return Result(Outcome.PROCESSED, attempt)
            if isinstance(error, ObjectMissingError):
                return Result(Outcome.MISSED, attempt, error)
            self.on_failure(message, attempt, error)
            counted += not self._excused(error)
            if not error.retryable or counted >= ATTEMPTS_IN_PLACE:
                return self._put_back(message, attempt, error)
            await self.sleep(IN_PLACE.delay(attempt, self.rng))

    def _excused(self, error: LoadtestError) -> bool:
        return isinstance(error, CredentialsError) or (
            isinstance(error, S3UnreachableError) and self.s3_is_out()
        )

    def _put_back(self, message: Message, attempts: int, error: LoadtestError) -> Result:
        if not error.retryable or message.retries >= self.max_retries:
            return Result(Outcome.DEAD, attempts, error)
        return Result(Outcome.RETRY, attempts, error, PUT_BACK.delay(message.retries + 1, self.rng))


async def _try(handler: Handler, message: Message) -> LoadtestError | None:
    try:
        await handler(message)
    except LoadtestError as error:
        return error
    except Exception as error:  # one message's surprise must not end the others' work
        return LoadtestError(f"{type(error).__name__}: {error}")
    return None
