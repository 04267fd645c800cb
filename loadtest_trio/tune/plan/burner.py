"""Takes a share of its time from the event loop's thread: the CPU that the service then lacks.

In small bites: while one is taken nothing else runs on the loop, and no thread of Redis gets the
interpreter's lock, so a bite is what every wait may become longer by. And in wall time: on a machine that
others use too, a share of CPU time would take more and more of the time that is left.
"""

import math
import time

import trio

_PERIOD_SECONDS = 0.002
_LARGEST_BITE_SECONDS = 0.002


def bite(share: float, idle_seconds: float) -> float:
    """Return how long to burn after a pause, so that burning is that share of the whole.

    Args:
        share: Of the thread's time, from 0 to below 1.
        idle_seconds: The pause just over.

    Returns:
        Seconds; never more than 2 ms: a long pause is not made up for.
    """
    return min(share * idle_seconds / (1 - share), _LARGEST_BITE_SECONDS)


async def burn(share: float) -> None:
    """Burn until cancelled.

    Args:
        share: Of the thread's time, from 0 (nothing) to below 1.
    """
    if not share:
        await trio.sleep_forever()
    ended = time.perf_counter()
    while True:
        await trio.sleep(_PERIOD_SECONDS * (1 - share))
        now = time.perf_counter()
        value, ended = 1.0, now + bite(share, now - ended)
        while time.perf_counter() < ended:
            value = math.sqrt(value + 1.0)
