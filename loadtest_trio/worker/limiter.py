"""How many workers are worth having: `WORKER_CONCURRENCY=auto`. Pure.

By Little's law, of `limit` busy workers only ``limit * base / latency`` are being served, where `base` is
the latency of work that waits for nothing; the rest queue for the CPU, the network or the backend. A few that
queue keep the resource busy; more only make everything slower. So the limit grows while few queue and shrinks
while many do (L. Brakmo and L. Peterson, "TCP Vegas", 1995; for services: Netflix, concurrency-limits).

`base` is not known and changes. It is the least latency seen, and is measured anew by halving the limit for
one window now and then. Work that a backend throttles cuts the limit at once (additive increase,
multiplicative decrease), and where workers stand idle there is nothing to learn.
"""

from math import ceil, log10

import attrs

_FEWEST = 10  # pieces of work that make a window worth judging
_IDLE_SHARE = 0.6  # below that share of busy workers their number limits nothing
_STEP = 0.1  # of the limit, up or down
_CUT = 0.7  # what throttling leaves of it
_PROBE_EVERY = 30  # windows


@attrs.frozen
class Window:
    """What was seen for a while.

    Attributes:
        seconds: How long it was.
        completed: Pieces of work that ended.
        busy_seconds: The sum of the times they took.
        throttled: Requests that a backend refused because there were too many.
    """

    seconds: float
    completed: int
    busy_seconds: float
    throttled: int = 0

    @property
    def latency(self) -> float:
        """The mean time that a piece of work took, in seconds."""
        return self.busy_seconds / self.completed


class ConcurrencyLimiter:
    """Chooses the number of workers, window by window.

    Args:
        start: The first number.
        least: Never fewer.
        most: Never more.

    Attributes:
        limit: The number of workers now.
    """

    def __init__(self, start: int, *, least: int = 1, most: int = 512) -> None:
        self._least = least
        self._most = most
        self._base: float | None = None
        self._windows = 0
        self._before_probe: int | None = None
        self.limit = self._bounded(int(start))

    def observe(self, window: Window) -> int:
        """Take a window in that ran with `limit` workers, and return the limit of the next one."""
        if window.throttled:
            self._before_probe = None
            self.limit = self._bounded(int(self.limit * _CUT))
        elif window.completed >= _FEWEST:
            self._windows += 1
            self._learn(window)
        return self.limit

    def _learn(self, window: Window) -> None:
        if self._before_probe is not None:
            self._base, self.limit, self._before_probe = window.latency, self._before_probe, None
            return
        self._base = min(self._base or window.latency, window.latency)
        self.limit = self._bounded(self._next(window, self._base))
        if self._windows % _PROBE_EVERY == 0:
            self._before_probe, self.limit = self.limit, self._bounded(ceil(self.limit / 2))

    def _next(self, window: Window, base: float) -> int:
        queueing = self.limit * (1 - base / window.latency)
        few = 1 + 3 * log10(self.limit + 1)
        step = max(1, int(self.limit * _STEP))
        if queueing > 2 * few:
            return self.limit - step
        idle = window.busy_seconds < _IDLE_SHARE * self.limit * window.seconds
        return self.limit if idle or queueing > few else self.limit + step

    def _bounded(self, limit: int) -> int:
        return max(self._least, min(limit, self._most))
