"""The timeouts of a request: when its present phase, or the whole of it, has taken too long.

The phases and the exceptions are httpx's: ``pool``, ``connect``, ``write``, ``read``. A timer only knows
when. `Timer.bounded`, a cancel scope and the usual way, acts on it, or `DeadlineWatch` does for many at once.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx
import trio

_TIMEOUT_ERRORS: dict[str, type[httpx.TimeoutException]] = {
    "pool": httpx.PoolTimeout,
    "connect": httpx.ConnectTimeout,
    "write": httpx.WriteTimeout,
    "read": httpx.ReadTimeout,
}


class Timer:
    """The deadline of a request: the end of its present phase or of the whole, whichever comes first.

    Args:
        limits: Seconds a phase may take (read and write: without a byte moving); None or absent: no limit.
        whole: Seconds the whole request may take.

    Attributes:
        expires: The deadline, in Trio's clock.
    """

    def __init__(self, limits: Mapping[str, float | None], whole: float) -> None:
        self._limits = limits
        self._end = self.expires = trio.current_time() + whole
        self._phase = "read"
        self._scope: trio.CancelScope | None = None

    def start(self, phase: str) -> None:
        """Give `phase` its full time from now; called before every wait."""
        self._phase = phase
        limit = self._limits.get(phase)
        self.expires = min(self._end, trio.current_time() + (math.inf if limit is None else limit))
        if self._scope is not None:
            self._scope.deadline = self.expires

    @contextmanager
    def bounded(self, phase: str) -> Iterator[None]:
        """Cancel what is inside when the timer runs out, however often it is started anew meanwhile.

        Raises:
            httpx.TimeoutException: It ran out.
        """
        self._scope = scope = trio.CancelScope()
        self.start(phase)
        try:
            with scope:
                yield
        finally:
            self._scope = None
        if scope.cancelled_caught:
            raise self.error()

    def error(self) -> httpx.TimeoutException:
        """The exception for the phase that the deadline ended."""
        if trio.current_time() >= self._end:
            return _TIMEOUT_ERRORS[self._phase]("the whole request took too long")
        return _TIMEOUT_ERRORS[self._phase](f"no {self._phase} within {self._limits[self._phase]} s")
