"""Tracks which objects exist, from the results of operations. Pure.

A key is in one of five states, and only an *available* one is ever chosen:

    expected ──created──► available ──taken──► leaving ──deleted──► (unknown)
        └─────failed────► (unknown)   ◄─failed──┘
                              └── dead because of the object ──► set aside for an hour

A LIST only reconciles: it takes seconds, and its report about a key that changed meanwhile is stale. So a
reconciliation records which keys were touched after it began, and leaves those unchanged.
"""

from collections.abc import Callable, Iterable
from random import Random

from loadtest_trio.errors import (
    CredentialsError,
    LoadtestError,
    S3ServerError,
    S3ThrottledError,
    S3UnreachableError,
)
from loadtest_trio.jobs.delivery import Outcome
from loadtest_trio.jobs.message import Message, Operation

EXPECTATION_SECONDS = 1200.0
"""After this time without a result, a planned CREATE or DELETE is given up: another process lost its message.

Longer than the wait on a full queue at the default rate (100,000 messages at 100 per second)."""

SET_ASIDE_SECONDS = 3600.0
"""An object whose message died is not chosen again for this long; its owner may repair it meanwhile."""

_S3_FAILURES = (CredentialsError, S3ServerError, S3ThrottledError, S3UnreachableError)


class Inventory:
    """The known keys, with random choice in constant time.

    Args:
        rng: Chooses keys.
        clock: Monotonic seconds.
    """

    def __init__(self, rng: Random, clock: Callable[[], float]) -> None:
        self._rng = rng
        self._clock = clock
        self._keys: list[str] = []  # the available keys, for choosing
        self._places: dict[str, int] = {}  # key -> its place in _keys
        self._expected: dict[str, float] = {}  # key -> when its CREATE was enqueued
        self._leaving: dict[str, float] = {}  # key -> when its DELETE was enqueued
        self._set_aside: dict[str, float] = {}  # key -> when its message died
        self._touched: set[str] | None = None  # since a reconciliation began

    @property
    def objects(self) -> int:
        """Number of objects known to exist."""
        return len(self._keys) + len(self._leaving)

    @property
    def set_aside(self) -> int:
        """Number of objects not chosen because a message for them died."""
        return len(self._set_aside)

    @property
    def planned(self) -> int:
        """Number of objects that will exist once everything on the queue is done."""
        return len(self._keys) + len(self._expected)

    def choose(self) -> str | None:
        """Return a random available key, or None when there is none."""
        return self._rng.choice(self._keys) if self._keys else None

    def take(self) -> str | None:
        """Return a random available key for a DELETE; it is not chosen again."""
        key = self.choose()
        if key is not None:
            self._discard(key)
            self._leaving[key] = self._clock()
            self._touch(key)
        return key

    def expect(self, key: str) -> None:
        """Record that a CREATE of this key is about to be enqueued."""
        self._expected[key] = self._clock()
        self._touch(key)

    def created(self, key: str) -> None:
        """Record that the object exists: its CREATE was acknowledged."""
        self._expected.pop(key, None)
        if key not in self._leaving:
            self._add(key)
        self._touch(key)

    def deleted(self, key: str) -> None:
        """Record that the object is gone: its DELETE was acknowledged, or it was found missing."""
        self._leaving.pop(key, None)
        self._set_aside.pop(key, None)
        self._discard(key)
        self._touch(key)

    def not_created(self, key: str) -> None:
        """Record that a CREATE will not happen: its message is dead or was never enqueued."""
        self._expected.pop(key, None)
        self._touch(key)

    def not_deleted(self, key: str) -> None:
        """Record that a DELETE will not happen, so the object stays."""
        if self._leaving.pop(key, None) is not None:
            self._add(key)
        self._touch(key)

    def completed(self, message: Message, outcome: Outcome, error: LoadtestError | None = None) -> None:
        """Apply the outcome of a delivery; the worker calls this for every delivery."""
        key, done = message.key, outcome is Outcome.PROCESSED
        if outcome is Outcome.DEAD and error is not None and not isinstance(error, _S3_FAILURES):
            self._set_key_aside(key)
            return
        if outcome is Outcome.RETRY:
            return
        if outcome is Outcome.MISSED:
            self.deleted(key)
        elif message.operation == Operation.CREATE:
            (self.created if done else self.not_created)(key)
        elif message.operation == Operation.DELETE:
            (self.deleted if done else self.not_deleted)(key)

    def _set_key_aside(self, key: str) -> None:
        """Stop choosing the key for a while: the next message for it would die as well."""
        self._expected.pop(key, None)
        known = key in self._places or self._leaving.pop(key, None) is not None
        self._discard(key)
        self._touch(key)
        if known:
            self._set_aside[key] = self._clock()

    def cancel_plans(self) -> None:
        """Record that the queue was lost, so no pending operation will happen."""
        for key in list(self._expected):
            self.not_created(key)
        for key in list(self._leaving):
            self.not_deleted(key)

    def assume_completed(self, before: float) -> None:
        """Assume that every pending operation has completed, possibly in another process.

        If one of them failed there, the next use of its key or the next LIST corrects the inventory.

        Args:
            before: Only operations planned before this time of the clock.
        """
        for key in [key for key, at in self._expected.items() if at < before]:
            self.created(key)
        for key in [key for key, at in self._leaving.items() if at < before]:
            self.deleted(key)

    def reconcile(self) -> "Reconciliation":
        """Begin a comparison with a LIST; only one at a time."""
        self._touched = set()
        return Reconciliation(self, {*self._keys, *self._leaving})

    def _touch(self, key: str) -> None:
        if self._touched is not None:
            self._touched.add(key)

    def _add(self, key: str) -> None:
        if key not in self._places:
            self._places[key] = len(self._keys)
            self._keys.append(key)

    def _discard(self, key: str) -> None:
        place = self._places.pop(key, None)
        if place is None:
            return
        last = self._keys.pop()
        if last != key:
            self._keys[place] = last
            self._places[last] = place


class Reconciliation:
    """One comparison with a LIST, page by page."""

    def __init__(self, inventory: Inventory, known: set[str]) -> None:
        self._inventory = inventory
        self._unseen = known

    def add_page(self, keys: Iterable[str]) -> int:
        """Add the keys of one page of a LIST.

        Args:
            keys: Keys that exist in S3.

        Returns:
            Number of keys that were unknown.
        """
        inventory, found = self._inventory, 0
        for key in keys:
            self._unseen.discard(key)
            touched = inventory._touched is None or key in inventory._touched
            if key in inventory._set_aside:
                continue
            if key not in inventory._places and key not in inventory._leaving and not touched:
                inventory._expected.pop(key, None)
                inventory._add(key)
                found += 1
        return found

    def finish(self) -> int:
        """Remove keys that the complete LIST did not contain, and give up old plans.

        Returns:
            Number of known keys that do not exist.
        """
        inventory = self._inventory
        touched, inventory._touched = inventory._touched or set(), None
        gone = self._unseen - touched
        for key in gone:
            inventory.deleted(key)
        inventory._set_aside = {
            key: at for key, at in inventory._set_aside.items() if at > inventory._clock() - SET_ASIDE_SECONDS
        }
        oldest = inventory._clock() - EXPECTATION_SECONDS
        for key in [key for key, at in inventory._expected.items() if at < oldest]:
            inventory.not_created(key)
        for key in [key for key, at in inventory._leaving.items() if at < oldest and key not in touched]:
            inventory.not_deleted(key)
        return len(gone)
