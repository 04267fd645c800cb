"""The timeouts of a request: one for each phase, and one for the whole request.

Phases and exceptions are httpx's: ``pool``, ``connect``, ``write``, ``read``. A `RequestTimeout` computes the
deadline; its `bounded` enforces it with a cancel scope, or a `DeadlineWatch` does for many requests at once.
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


class RequestTimeout:
    """The deadline of a request: that of its current phase or of the whole request, whichever is earlier.

    Args:
        limits: Seconds a phase may take (read and write: without progress); None or absent: no limit.
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
        """Start `phase` with its full time; called before every wait."""
        self._phase = phase
        limit = self._limits.get(phase)
        self.expires = min(self._end, trio.current_time() + (math.inf if limit is None else limit))
        if self._scope is not None:
            self._scope.deadline = self.expires

    @contextmanager
    def bounded(self, phase: str) -> Iterator[None]:
        """Cancel the body of the ``with`` statement at the deadline, which `start` may move meanwhile.

        Raises:
            httpx.TimeoutException: The deadline passed.
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
        """Return the exception of the phase that the deadline ended."""
        if trio.current_time() >= self._end:
            return _TIMEOUT_ERRORS[self._phase]("the whole request took too long")
        return _TIMEOUT_ERRORS[self._phase](f"no {self._phase} within {self._limits[self._phase]} s")
