"""A source of temporary keys that renews them before they expire.

Every request asks for keys, so the usual answer costs one comparison and never waits. Renewal is *single
flight* and needs no background task: the first request that finds the keys close to expiry renews them under
a lock, while the others keep using the keys that are still valid.

    expires - ADVISORY            expires - MANDATORY            expires
    ───────┼──────────────────────────────┼─────────────────────────┼──────►
     fresh │ one caller renews, the others │ every caller waits for  │
           │ use the old keys; a failure   │ the renewal; if it fails│  CredentialsError
           │ is logged and retried         │ the old keys are used   │
"""

from collections.abc import Awaitable, Callable

import trio

from loadtest_trio.backends.s3.credentials.keys import Credentials
from loadtest_trio.errors import CredentialsError
from loadtest_trio.metrics import logs

ADVISORY_SECONDS = 15 * 60.0
"""Start to renew this long before the keys expire (botocore's advisory refresh window)."""

MANDATORY_SECONDS = 60.0
"""Make every request wait for the renewal when the keys expire this soon."""

MAX_PAUSE_SECONDS = 30.0
"""Longest pause between two attempts to renew, whether the first succeeded or failed."""


def log_failure(error: CredentialsError) -> None:
    """Log a failed renewal of keys that are still valid."""
    logs.event("credentials_not_renewed", "WARNING", error=str(error))


class RenewingCredentials:
    """Keys that are fetched on first use and renewed before they expire.

    Args:
        fetch: Fetches a new set of keys; raises CredentialsError on failure.
        unix_clock: The time of day in Unix seconds, which expiry times are in.
        on_failure: Called when a renewal fails while the old keys are still valid.
        keys: The keys to begin with; None fetches them on first use.
        max_pause_seconds: Longest pause between two attempts to renew.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[Credentials]],
        *,
        unix_clock: Callable[[], float],
        on_failure: Callable[[CredentialsError], None] = log_failure,
        keys: Credentials | None = None,
        max_pause_seconds: float = MAX_PAUSE_SECONDS,
    ) -> None:
        self._fetch = fetch
        self._unix_clock = unix_clock
        self._on_failure = on_failure
        self._lock = trio.Lock()
        self._keys = keys
        self._max_pause = max_pause_seconds
        self._failure: CredentialsError | None = None
        self._pause_until = 0.0

    async def current(self) -> Credentials:
        """Return valid keys; renew them first if they are due and no other caller is renewing them.

        Raises:
            CredentialsError: There are no valid keys and none could be fetched.
        """
        left = self._seconds_left()
        busy = self._lock.locked() or self._pausing()
        if self._keys is not None and (left > ADVISORY_SECONDS or (left > MANDATORY_SECONDS and busy)):
            return self._keys
        async with self._lock:
            if self._seconds_left() <= ADVISORY_SECONDS:
                await self._renew()
        return self._valid()

    async def renewed(self, refused: Credentials) -> Credentials:
        """Return newer keys than `refused`; the same keys if a renewal has just failed.

        Args:
            refused: The keys that S3 rejected as expired or invalid.

        Raises:
            CredentialsError: The keys have expired and none could be fetched.
        """
        async with self._lock:
            if self._keys is refused:
                await self._renew()
        return self._valid()

    async def _renew(self) -> None:
        """Try to replace the keys; store a failure instead of raising it. The caller holds the lock."""
        if self._pausing():
            return
        try:
            self._keys = await self._fetch()
            self._failure = None
        except CredentialsError as error:
            self._failure = error
            if self._seconds_left() > 0:
                self._on_failure(error)
        # Half of the remaining lifetime: short-lived keys are renewed more often, but not at every request.
        self._pause_until = self._unix_clock() + min(max(self._seconds_left() / 2, 1.0), self._max_pause)

    def _pausing(self) -> bool:
        # The upper bound: setting the system clock back must not prolong the pause.
        return 0 < self._pause_until - self._unix_clock() <= self._max_pause

    def _seconds_left(self) -> float:
        if self._keys is None:
            return 0.0
        return float("inf") if self._keys.expires_at is None else self._keys.expires_at - self._unix_clock()

    def _valid(self) -> Credentials:
        if self._keys is not None and self._seconds_left() > 0:
            return self._keys
        raise CredentialsError(f"no valid AWS credentials: {self._failure or 'they have expired'}")
