"""Computes when messages are due: an open-loop schedule that never drifts. Pure.

Tick k (0, 1, 2 ...) is due at ``start + k * interval``, no matter how late earlier ticks were, and brings the
total of due messages to ``floor(rate * (k + 1) * interval)``. A scheduler that falls behind therefore catches
up, and each message carries the time of its own tick, so delays caused by a slow system show up in the
latency instead of disappearing (coordinated omission: G. Tene, "How NOT to Measure Latency").
"""

from collections.abc import Iterator
from math import floor


class Pacer:
    """The schedule of a constant rate.

    Args:
        rate: Messages per second.
        interval: Seconds between two ticks.
        start: Time of tick 0 in the caller's clock.
    """

    def __init__(self, rate: float, interval: float, start: float) -> None:
        self._rate = rate
        self._interval = interval
        self._start = start
        self._ticks = 0  # number of ticks yielded so far
        self._emitted = 0

    @property
    def next_tick(self) -> float:
        """Time of the next tick."""
        return self._start + self._ticks * self._interval

    def due(self, now: float) -> Iterator[tuple[float, int]]:
        """Yield time and number of messages of every tick up to `now`; each tick only once."""
        while self.next_tick <= now:
            at = self.next_tick
            self._ticks += 1
            total = floor(self._rate * self._ticks * self._interval + 1e-6)
            count, self._emitted = total - self._emitted, total
            yield at, count
