"""Tells a condition of S3 as a whole from the fault of one object; pure.

While S3 as a whole is out, messages wait at no cost; the fault of one object uses up its message's attempts.
Two kinds of evidence:

    certain     no connection; keys, clock, region or bucket are wrong   an outage at once
    ambiguous   a broken response; a denied request                      an outage when requests for several
                                                                         keys fail so and none succeeds
                                                                         for a while

Broken responses count together, since every request uses the same network. Denials count for each kind of
request, since permissions do: PUT may be denied where GET is not. A success ends what it disproves.
"""

from collections.abc import Callable
from math import inf

import attrs

from loadtest_trio.errors import (
    CredentialsError,
    LoadtestError,
    ObjectMissingError,
    S3AccessError,
    S3BrokenResponseError,
    S3DeniedError,
    S3UnreachableError,
)

_CONNECTION, _ACCESS = "connection", "access"
_MIN_KEYS = 3
_MIN_SECONDS = 0.3


@attrs.define
class _Suspicion:
    """Ambiguous failures without a success in between.

    Attributes:
        since: Since when nothing has succeeded.
        keys: The keys of the requests that failed, up to as many as matter.
    """

    since: float
    keys: set[str] = attrs.field(factory=set)


class OutageDetector:
    """Watches the outcome of every request.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._succeeded_at = -inf  # before the first success
        self._suspicions: dict[str, _Suspicion] = {}
        self._outages: dict[str, LoadtestError] = {}

    def observe(self, kind: str, key: str, error: LoadtestError | None) -> LoadtestError | None:
        """Note the outcome of a request.

        Args:
            kind: ``GET``, ``PUT``, ``DELETE`` or ``LIST``.
            key: The object's key, or "" for a bucket operation.
            error: Why the request failed, or None.

        Returns:
            The reason of the present outage, or None.
        """
        now = self._clock()
        if error is None and not self._outages and not self._suspicions:  # nearly every request
            self._succeeded_at = now
            return None
        match error:
            case S3UnreachableError():
                self._outages[_CONNECTION] = error
            case S3BrokenResponseError():
                self._suspect(_CONNECTION, key, error, since=self._succeeded_at)
            case S3AccessError() | CredentialsError():
                self._note_denial(kind, key, error)
            case None | ObjectMissingError():
                self._succeeded_at = now
                self._clear(_CONNECTION, _ACCESS, kind)
        if getattr(error, "status", 0) and not isinstance(error, S3BrokenResponseError):
            self._clear(_CONNECTION)  # any answer, such as 503, at least came from S3
        return next(iter(self._outages.values()), None)

    def _note_denial(self, kind: str, key: str, error: S3AccessError | CredentialsError) -> None:
        if self._succeeded_at == -inf:
            return  # the start decides what it means: the bucket may be about to be created
        denied = type(error) is S3DeniedError
        if denied and key:
            self._suspect(kind, key, error, since=self._clock())
        else:
            self._outages[kind if denied else _ACCESS] = error

    def _suspect(self, condition: str, key: str, error: LoadtestError, *, since: float) -> None:
        suspicion = self._suspicions.setdefault(condition, _Suspicion(since))
        if len(suspicion.keys) < _MIN_KEYS:
            suspicion.keys.add(key)
        if len(suspicion.keys) >= _MIN_KEYS and self._clock() - suspicion.since >= _MIN_SECONDS:
            self._outages[condition] = error

    def _clear(self, *conditions: str) -> None:
        for condition in conditions:
            self._suspicions.pop(condition, None)
            self._outages.pop(condition, None)
