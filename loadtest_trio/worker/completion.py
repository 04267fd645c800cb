"""The end of one delivery: its settlement in Redis and the facts to record afterwards."""

import attrs

from loadtest_trio.backends.redis import dead_record
from loadtest_trio.errors import LoadtestError
from loadtest_trio.jobs.delivery import Delivery, Outcome, Settlement
from loadtest_trio.jobs.message import Message


@attrs.frozen
class Completion:
    """How one delivery of a message ended.

    Attributes:
        delivery: The delivery from Redis.
        message: The message; None for an element that could not be decoded.
        outcome: How it ended.
        at: When it ended, in Unix seconds.
        attempts: Attempts that count, in this and earlier deliveries.
        error: The last error, if any.
        retries: For a retry: how often the message has been put back, including this time.
        delay: For a retry: seconds until it is due again.
        result: The result of the work, if any.
        result_ref: Where the result is stored instead if it is too large for a job's record.
    """

    delivery: Delivery
    message: Message | None
    outcome: Outcome
    at: float = 0.0
    attempts: int = 0
    error: LoadtestError | None = None
    retries: int = 0
    delay: float = 0.0
    result: bytes | None = None
    result_ref: str = ""

    def settlement(self) -> Settlement:
        """Return the settlement to send to Redis."""
        token = self.delivery.token
        match self.outcome:
            case Outcome.PROCESSED:
                return Settlement.processed(token, self.result, self.result_ref)
            case Outcome.MISSED:
                return Settlement.missed(token)
            case Outcome.RETRY if self.message:
                again = self.message.put_back(retries=self.retries, attempts=self.attempts)
                return Settlement.retry(token, again.encode(), self.delay, str(self.error or ""))
        record = dead_record(
            self.delivery.element, error=str(self.error), attempts=self.attempts, time=self.at
        )
        return Settlement.dead(token, record)
