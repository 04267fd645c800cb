"""Chooses the number of workers for `WORKER_CONCURRENCY=auto`. Pure.

By Little's law, of `limit` busy workers only ``limit * base / latency`` are being served, where `base` is the
latency of work that never waits; the rest queue for the CPU, the network or the backend. A few queued workers
keep the resource busy; more only add latency. So the limit grows while few workers queue and shrinks while
many do (L. Brakmo and L. Peterson, "TCP Vegas", 1995; for services: Netflix, concurrency-limits).

`base` is unknown and changes. The lowest latency seen estimates it, and it is measured again from time to
time by halving the limit for one window. Throttling by a backend cuts the limit at once (additive increase,
multiplicative decrease), and the limit does not grow while workers are idle.
"""

from math import ceil, log10

import attrs

_MIN_COMPLETED = 10  # completed messages needed to judge a window
_IDLE_SHARE = 0.6  # below this share of busy workers, their number is not the limit
_STEP = 0.1  # share of the limit by which it grows or shrinks
_CUT = 0.7  # factor on the limit after throttling
_PROBE_EVERY = 30  # windows


@attrs.frozen
class Window:
    """Measurements of one period.

    Attributes:
        seconds: Its length.
        completed: Number of messages completed.
        busy_seconds: Sum of their durations.
        throttled: Requests that a backend refused because there were too many.
    """

    seconds: float
    completed: int
    busy_seconds: float
    throttled: int = 0

    @property
    def latency(self) -> float:
        """Mean duration of a message in seconds."""
        return self.busy_seconds / self.completed


class ConcurrencyLimiter:
    """Chooses the number of workers, window by window.

    Args:
        start: Initial number.
        least: Minimum number.
        most: Maximum number.

    Attributes:
        limit: The current number of workers.
    """

    def __init__(self, start: int, *, least: int = 1, most: int = 512) -> None:
        self._least = least
        self._most = most
        self._base: float | None = None
        self._windows = 0
        self._before_probe: int | None = None
        self.limit = self._bounded(int(start))

    def observe(self, window: Window) -> int:
        """Evaluate a window that ran with `limit` workers, and return the limit for the next one."""
        if window.throttled:
            self._before_probe = None
            self.limit = self._bounded(int(self.limit * _CUT))
        elif window.completed >= _MIN_COMPLETED:
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
