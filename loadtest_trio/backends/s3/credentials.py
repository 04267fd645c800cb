"""AWS credentials: what they are, and the two kinds of source that hand them out.

A source is asked before every request, so the usual answer costs one comparison and never waits.
Renewal is *single flight* and has no task of its own: the first request that finds the keys near
their end renews them, under a lock; the others go on with the keys that are still valid.

    expires - ADVISORY            expires - MANDATORY            expires
    ───────┼──────────────────────────────┼─────────────────────────┼──────►
     fresh │ one caller renews, the others │ everybody waits for the │
           │ use the old keys; a failure   │ renewal; if it fails the│  CredentialsError
           │ is noted and tried again      │ old keys still serve    │
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

import attrs
import trio

from loadtest_trio.errors import CredentialsError
from loadtest_trio.metrics import logs

ADVISORY_SECONDS = 15 * 60.0
"""Renew this long before the end (botocore's advisory refresh window)."""

MANDATORY_SECONDS = 60.0
"""Let every request wait for the renewal when the end is this near."""

MAX_PAUSE_SECONDS = 30.0
"""Leave the source alone for at most this long after an attempt to renew, good or bad."""


@attrs.frozen
class Credentials:
    """One set of AWS keys; its repr shows neither the secret nor the token.

    Attributes:
        access_key: The access key id.
        secret_key: The secret access key.
        session_token: The session token of temporary keys, or None.
        expires_at: When they end, in Unix seconds, or None for keys without an end.
    """

    access_key: str
    secret_key: str = attrs.field(repr=False)
    session_token: str | None = attrs.field(default=None, repr=False)
    expires_at: float | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse what could not travel in a header, without showing it.

        Raises:
            CredentialsError: A value is empty or holds a space, a line break or a non-ASCII character.
        """
        named = {"access key id": self.access_key, "secret access key": self.secret_key}
        if self.session_token is not None:
            named["session token"] = self.session_token
        for name, value in named.items():
            if not value or not all("!" <= character <= "~" for character in value):
                raise CredentialsError(
                    f"the AWS {name} is empty or holds a space, a line break or a non-ASCII character"
                )


class CredentialsSource(Protocol):
    """Where a request gets the keys it is signed with."""

    async def current(self) -> Credentials:
        """Return keys that are valid now.

        Raises:
            CredentialsError: There are none.
        """

    async def renewed(self, refused: Credentials) -> Credentials:
        """Return newer keys than the ones S3 refused, or the same ones when there are none.

        Args:
            refused: The keys that S3 called expired or invalid.

        Raises:
            CredentialsError: They could not be renewed.
        """


@attrs.frozen
class StaticCredentials:
    """Keys that never change: from the environment, a profile, or a test."""

    credentials: Credentials

    async def current(self) -> Credentials:
        """Return the keys."""
        return self.credentials

    async def renewed(self, refused: Credentials) -> Credentials:  # noqa: ARG002 - the protocol's argument
        """Return the same keys: there are no newer ones."""
        return self.credentials


def log_failure(error: CredentialsError) -> None:
    """Log that keys could not be renewed although the old ones are still valid."""
    logs.event("credentials_not_renewed", "WARNING", error=str(error))


class RenewingCredentials:
    """Temporary keys, fetched when first asked for and renewed before they end.

    Args:
        fetch: Gets a new set of keys; raises CredentialsError when it cannot.
        now: The wall clock, in Unix seconds: the keys' end is a wall-clock time.
        note: Told about a renewal that failed while the old keys are still valid.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[Credentials]],
        *,
        now: Callable[[], float],
        note: Callable[[CredentialsError], None] = log_failure,
    ) -> None:
        self._fetch = fetch
        self._now = now
        self._note = note
        self._lock = trio.Lock()
        self._keys: Credentials | None = None
        self._failure: CredentialsError | None = None
        self._rest_until = 0.0

    async def current(self) -> Credentials:
        """Return valid keys, renewing them first if it is time and nobody else is at it.

        Raises:
            CredentialsError: There are no valid keys and none could be fetched.
        """
        left = self._seconds_left()
        busy = self._lock.locked() or self._resting()
        if self._keys is not None and (left > ADVISORY_SECONDS or (left > MANDATORY_SECONDS and busy)):
            return self._keys
        async with self._lock:
            if self._seconds_left() <= ADVISORY_SECONDS:
                await self._renew()
        return self._valid()

    async def renewed(self, refused: Credentials) -> Credentials:
        """Return newer keys than the refused ones; the same when renewing them failed just now.

        Args:
            refused: The keys that S3 called expired or invalid.

        Raises:
            CredentialsError: The keys have expired and none could be fetched.
        """
        async with self._lock:
            if self._keys is refused:
                await self._renew()
        return self._valid()

    async def _renew(self) -> None:
        """Try to replace the keys (the lock is held); remember a failure instead of raising it."""
        if self._resting():
            return
        try:
            self._keys = await self._fetch()
            self._failure = None
        except CredentialsError as error:
            self._failure = error
            if self._seconds_left() > 0:
                self._note(error)
        # Half of what is left: keys that end soon are asked for more often, never once a request.
        self._rest_until = self._now() + min(max(self._seconds_left() / 2, 1.0), MAX_PAUSE_SECONDS)

    def _resting(self) -> bool:
        # The wall clock may be set back: that must not prolong the rest.
        return 0 < self._rest_until - self._now() <= MAX_PAUSE_SECONDS

    def _seconds_left(self) -> float:
        if self._keys is None:
            return 0.0
        return float("inf") if self._keys.expires_at is None else self._keys.expires_at - self._now()

    def _valid(self) -> Credentials:
        if self._keys is not None and self._seconds_left() > 0:
            return self._keys
        raise CredentialsError(f"no valid AWS credentials: {self._failure or 'they have expired'}")
