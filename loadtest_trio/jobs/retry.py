"""When to try again: pure arithmetic; the loops that sleep live with whoever owns the work.

Why no retry library: on the hot path tenacity's `AsyncRetrying` costs more than a whole Redis message
even when the first attempt succeeds, and what is left without its loop is this one formula.
"""

from random import Random

import attrs


@attrs.frozen
class Backoff:
    """Exponential backoff with full jitter.

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    Attributes:
        base: The first attempt's longest delay, in seconds.
        cap: No delay is longer, in seconds.
    """

    base: float
    cap: float

    def ceiling(self, attempt: int) -> float:
        """Return the longest delay after the given failed attempt (1 is the first), in seconds."""
        return min(self.cap, self.base * 2.0 ** min(attempt - 1, 63))

    def delay(self, attempt: int, rng: Random) -> float:
        """Return a delay drawn uniformly from 0 to the ceiling, in seconds."""
        return rng.uniform(0.0, self.ceiling(attempt))


IN_PLACE = Backoff(base=0.1, cap=2.0)
"""Between attempts at one operation while its worker waits."""

PUT_BACK = Backoff(base=5.0, cap=300.0)
"""Between deliveries of one message, while it waits in the retry set."""

JOB_PUT_BACK = Backoff(base=2.0, cap=300.0)
"""Between deliveries of a job: at most 2, 4, 8 … seconds."""

RECONNECT = Backoff(base=0.05, cap=1.0)
"""Between attempts at one Redis call."""


@attrs.frozen
class RetryPolicy:
    """How often a kind of work is tried, and when.

    Attributes:
        max_retries: How often a message is put back before it is dead.
        attempts_in_place: How many attempts count before a worker puts the message back.
        most_in_place: How many attempts, with those that an outage excuses, before a worker turns to
            another message.
        in_place: Delays between attempts while the worker waits.
        put_back: Delays between deliveries, while the message waits in the retry set.
    """

    max_retries: int
    attempts_in_place: int = 4
    most_in_place: int = 60
    in_place: Backoff = IN_PLACE
    put_back: Backoff = PUT_BACK
