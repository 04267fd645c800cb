"""When messages are due: an open-loop schedule that never drifts. Pure.

Tick k (0, 1, 2 ...) is at ``start + k * interval``, however late the ticks before it were, and brings the
messages of the interval that begins there: with it ``floor(rate * (k + 1) * interval)`` were due. A
scheduler that falls behind therefore catches up, and each message is stamped with its own tick: what a slow
system makes late shows up in its latency, instead of vanishing (G. Tene, "How NOT to Measure Latency":
coordinated omission).
"""

from collections.abc import Iterator
from math import floor


class Pacer:
    """The schedule of a constant rate.

    Args:
        rate: Messages a second.
        interval: Seconds between two ticks.
        start: The time of tick 0, in the clock of the caller.
    """

    def __init__(self, rate: float, interval: float, start: float) -> None:
        self._rate = rate
        self._interval = interval
        self._start = start
        self._ticks = 0  # that were due
        self._emitted = 0

    @property
    def next_tick(self) -> float:
        """The time of the next tick."""
        return self._start + self._ticks * self._interval

    def due(self, now: float) -> Iterator[tuple[float, int]]:
        """Yield the time and the number of messages of every tick up to now, once."""
        while self.next_tick <= now:
            at = self.next_tick
            self._ticks += 1
            total = floor(self._rate * self._ticks * self._interval + 1e-6)
            count, self._emitted = total - self._emitted, total
            yield at, count
