"""A delivery that has come to its end: what to tell Redis, and what to book once Redis knows."""

import attrs

from loadtest_trio.backends.redis import dead_record
from loadtest_trio.errors import MalformedMessageError
from loadtest_trio.jobs.delivery import Delivery, Outcome, Settlement
from loadtest_trio.jobs.message import Message
from loadtest_trio.worker.attempt import Result


@attrs.frozen
class Finished:
    """The end of one delivery.

    Attributes:
        settlement: What to tell Redis.
        message: The message; None for an element that could not be read.
        outcome: What became of it.
        at: When, in Unix seconds.
    """

    settlement: Settlement
    message: Message | None
    outcome: Outcome
    at: float

    @classmethod
    def handled(cls, delivery: Delivery, message: Message, result: Result, now: float) -> "Finished":
        """Return the end of a message that was worked on; `now` in Unix seconds."""
        return cls(_settlement(delivery, message, result, now), message, result.outcome, now)

    @classmethod
    def refused(cls, delivery: Delivery, error: MalformedMessageError, now: float) -> "Finished":
        """Return the end of an element that is not a message; `now` in Unix seconds."""
        record = dead_record(delivery.element, error=str(error), attempts=0, time=now)
        return cls(Settlement.dead(delivery.token, record), None, Outcome.DEAD, now)


def _settlement(delivery: Delivery, message: Message, result: Result, now: float) -> Settlement:
    match result.outcome:
        case Outcome.PROCESSED:
            return Settlement.processed(delivery.token)
        case Outcome.MISSED:
            return Settlement.missed(delivery.token)
        case Outcome.RETRY:
            again = message.put_back(retries=result.retries, attempts=result.attempts)
            return Settlement.retry(delivery.token, again.encode(), result.delay)
    record = dead_record(delivery.element, error=str(result.error), attempts=result.attempts, time=now)
    return Settlement.dead(delivery.token, record)
