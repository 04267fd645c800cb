"""Burns a share of the event loop thread's time, so that the service has less CPU.

It burns in short bursts: during a burst nothing else runs on the loop and no Redis thread gets the
interpreter's lock, so one burst is the most that any wait grows by. The share is of wall time: on a machine
shared with other programs, a share of CPU time would take more and more of the time that is left.
"""

import math
import time

import trio

_PERIOD_SECONDS = 0.002
_MAX_BURST_SECONDS = 0.002


def burst(share: float, idle_seconds: float) -> float:
    """Return how long to burn after a pause, so that burning takes the given share of both together.

    Args:
        share: Of the thread's time, from 0 to below 1.
        idle_seconds: Length of the pause that has just ended.

    Returns:
        Seconds, at most 2 ms: the burner does not catch up after a long pause.
    """
    return min(share * idle_seconds / (1 - share), _MAX_BURST_SECONDS)


class Burner:
    """Burns a share of the thread's time that can change meanwhile."""

    def __init__(self) -> None:
        self._share = 0.0
        self._changed = trio.Event()

    def set(self, share: float) -> None:
        """Burn this share from now on, from 0 (nothing) to below 1."""
        self._share = share
        self._changed.set()
        self._changed = trio.Event()

    async def run(self) -> None:
        """Burn until cancelled."""
        while True:
            if self._share:
                await self._burn()
            else:
                await self._changed.wait()

    async def _burn(self) -> None:
        ended = time.perf_counter()
        while share := self._share:
            await trio.sleep(_PERIOD_SECONDS * (1 - share))
            now = time.perf_counter()
            value, ended = 1.0, now + burst(share, now - ended)
            while time.perf_counter() < ended:
                value = math.sqrt(value + 1.0)
