"""Backoff and retry policies. Pure: the loops that sleep belong to the owners of the work.

Why no retry library: on the hot path, tenacity's `AsyncRetrying` costs more than a whole Redis message even
if the first attempt succeeds, and without its loop only this one formula is left.
"""

from random import Random

import attrs

_LONGEST_JOB_DELAY = 300.0  # seconds, unless the first delay is longer


@attrs.frozen
class Backoff:
    """Exponential backoff with full jitter.

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    Attributes:
        base: Maximum delay after the first attempt, in seconds.
        cap: Maximum delay after any attempt, in seconds.
    """

    base: float
    cap: float

    def ceiling(self, attempt: int) -> float:
        """Return the maximum delay after the given failed attempt (the first is 1), in seconds."""
        return min(self.cap, self.base * 2.0 ** min(attempt - 1, 63))

    def delay(self, attempt: int, rng: Random) -> float:
        """Return a delay drawn uniformly from 0 to the ceiling, in seconds."""
        return rng.uniform(0.0, self.ceiling(attempt))


def job_put_back(base: float) -> Backoff:
    """Return the delays between deliveries of a job: at most `base`, then twice that, and so on (seconds)."""
    return Backoff(base, cap=max(base, _LONGEST_JOB_DELAY))


IN_PLACE = Backoff(base=0.1, cap=2.0)
"""Between attempts at one operation while its worker waits."""

PUT_BACK = Backoff(base=5.0, cap=300.0)
"""Between deliveries of one message, while it waits in the retry set."""

RECONNECT = Backoff(base=0.05, cap=1.0)
"""Between attempts at one Redis call."""


@attrs.frozen
class RetryPolicy:
    """How often and when a kind of work is retried.

    Attributes:
        max_retries: How often a message is put back before it becomes dead.
        attempts_in_place: Attempts that count before a worker puts the message back.
        most_in_place: Attempts, including free ones during an outage, before a worker puts the message back.
        in_place: Delays between attempts while the worker waits.
        put_back: Delays between deliveries, while the message waits in the retry set.
    """

    max_retries: int
    attempts_in_place: int = 4
    most_in_place: int = 60
    in_place: Backoff = IN_PLACE
    put_back: Backoff = PUT_BACK
