"""Tells a condition of S3 as a whole from the fault of one object; pure.

While S3 as a whole is out, messages wait at no cost; the fault of one object uses up its message's attempts.
Two kinds of evidence:

    certain     no connection; keys, clock, region or bucket are wrong   an outage at once
    ambiguous   a broken response; a denied request; 500, 503, SlowDown  an outage when requests for several
                                                                         keys fail so and none succeeds
                                                                         for a while

Broken responses count together, since every request uses the same network. Answers that say no count for each
kind of request: PUT may be denied, or the disk full, where GET works. A success ends what it disproves.

An outage of ambiguous failures is known only after some of them, so it is dated back to the last success: the
failures that revealed it belong to it.

Where few requests are made, several keys would fail too late. So a worker that is about to hold failures
against a message has S3 *probed*, with a request that no object can spoil: if it fails, that is an outage.
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
    S3ServerError,
    S3ThrottledError,
    S3UnreachableError,
)

_CONNECTION, _BROKEN, _ACCESS, _PROBED, _FAILING = "connection", "broken", "access", "probed", "failing "
_MIN_KEYS = 3
_MIN_SECONDS = 0.3


@attrs.frozen
class Outage:
    """A present outage of S3 as a whole.

    Attributes:
        error: The reason.
        since: When it began, in the detector's clock; -inf if nothing has ever succeeded.
    """

    error: LoadtestError
    since: float


@attrs.define
class _Suspicion:
    """Ambiguous failures without a success in between.

    Attributes:
        watched_since: When the time starts that must pass without a success.
        began: Since when nothing has succeeded.
        keys: The keys of the requests that failed, up to as many as matter.
    """

    watched_since: float
    began: float
    keys: set[str] = attrs.field(factory=set)


class OutageDetector:
    """Watches the outcome of every request.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._succeeded_at: dict[str, float] = {}  # kind of request -> its last success
        self._suspicions: dict[str, _Suspicion] = {}
        self._outages: dict[str, Outage] = {}

    def observe(self, kind: str, key: str, error: LoadtestError | None) -> Outage | None:
        """Note the outcome of a request.

        Args:
            kind: ``GET``, ``PUT``, ``DELETE`` or ``LIST``.
            key: The object's key, or "" for a bucket operation.
            error: Why the request failed, or None.

        Returns:
            The present outage, or None.
        """
        now = self._clock()
        if error is None and not self._outages and not self._suspicions:  # nearly every request
            self._succeeded_at[kind] = now
            return None
        if getattr(error, "status", 0) and not isinstance(error, S3BrokenResponseError):
            self._clear(_CONNECTION, _BROKEN)  # any answer, such as 503, at least came from S3
        last = max(self._succeeded_at.values(), default=-inf)
        match error:
            case S3UnreachableError():
                self._outages[_CONNECTION] = Outage(error, now)
            case S3BrokenResponseError():
                self._suspect(_BROKEN, key, error, _Suspicion(last, last))
            case S3ServerError() | S3ThrottledError():
                self._suspect(_FAILING + kind, key, error, self._first(kind))
            case S3AccessError() | CredentialsError():
                self._note_denial(kind, key, error)
            case None | ObjectMissingError():
                self._succeeded_at[kind] = now
                self._clear(_CONNECTION, _BROKEN, _ACCESS, _PROBED, kind, _FAILING + kind)
        return self._present()

    def observe_probe(self, error: LoadtestError | None) -> Outage | None:
        """Note the outcome of a probe, which is a request for the bucket and for no object.

        Args:
            error: Why the probe failed, or None.

        Returns:
            The present outage, or None.
        """
        if error is None:
            self._clear(_CONNECTION, _BROKEN, _ACCESS, _PROBED)
        elif error.outage_symptom or isinstance(error, CredentialsError):
            since = max(self._succeeded_at.values(), default=-inf)
            self._outages.setdefault(_PROBED, Outage(error, since))
        return self._present()

    def _present(self) -> Outage | None:
        return next(iter(self._outages.values()), None)

    def _note_denial(self, kind: str, key: str, error: S3AccessError | CredentialsError) -> None:
        if not self._succeeded_at:
            return  # the start decides what it means: the bucket may be about to be created
        denied = type(error) is S3DeniedError
        if denied and key:
            self._suspect(kind, key, error, self._first(kind))
        else:
            self._outages[kind if denied else _ACCESS] = Outage(error, self._clock())

    def _first(self, kind: str) -> _Suspicion:
        return _Suspicion(self._clock(), self._succeeded_at.get(kind, -inf))

    def _suspect(self, condition: str, key: str, error: LoadtestError, first: _Suspicion) -> None:
        suspicion = self._suspicions.setdefault(condition, first)
        if len(suspicion.keys) < _MIN_KEYS:
            suspicion.keys.add(key)
        if len(suspicion.keys) >= _MIN_KEYS and self._clock() - suspicion.watched_since >= _MIN_SECONDS:
            self._outages[condition] = Outage(error, suspicion.began)

    def _clear(self, *conditions: str) -> None:
        for condition in conditions:
            self._suspicions.pop(condition, None)
            self._outages.pop(condition, None)
