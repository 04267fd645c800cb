"""Which objects exist, kept from events. Pure.

A key is in one of five states, and only an *available* one is ever chosen:

    expected ──created──► available ──taken──► leaving ──deleted──► (unknown)
        └─────failed────► (unknown)   ◄─failed──┘
                              └── dead because of the object ──► set aside for an hour

A LIST only reconciles: it takes seconds, and what it reports about a key that changed meanwhile is
stale. So a reconciliation notes which keys were touched after it began, and leaves those alone.
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
"""A plan that no LIST shows carried out for this long will not be: its message died with somebody else.

Longer than a message waits on a full queue at the default rate (100,000 messages, 100 a second)."""

SET_ASIDE_SECONDS = 3600.0
"""An object whose message died is not chosen again for this long; then its owner may have mended it."""

_FAULTS_OF_S3 = (CredentialsError, S3ServerError, S3ThrottledError, S3UnreachableError)


class Inventory:
    """The known keys, with a random choice in constant time.

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
        """How many objects exist, as far as is known."""
        return len(self._keys) + len(self._leaving)

    @property
    def set_aside(self) -> int:
        """How many objects are not chosen because a message for them died."""
        return len(self._set_aside)

    @property
    def planned(self) -> int:
        """How many objects will exist once everything on the queue is done."""
        return len(self._keys) + len(self._expected)

    def choose(self) -> str | None:
        """Return a random available key, or None when there is none."""
        return self._rng.choice(self._keys) if self._keys else None

    def take(self) -> str | None:
        """Choose a key whose DELETE is about to be enqueued; it is not chosen again."""
        key = self.choose()
        if key is not None:
            self._discard(key)
            self._leaving[key] = self._clock()
            self._touch(key)
        return key

    def expect(self, key: str) -> None:
        """Note that a CREATE of this key is about to be enqueued."""
        self._expected[key] = self._clock()
        self._touch(key)

    def created(self, key: str) -> None:
        """Note that the object exists: its CREATE was acknowledged."""
        self._expected.pop(key, None)
        if key not in self._leaving:
            self._add(key)
        self._touch(key)

    def deleted(self, key: str) -> None:
        """Note that the object is gone: its DELETE was acknowledged, or it was found missing."""
        self._leaving.pop(key, None)
        self._set_aside.pop(key, None)
        self._discard(key)
        self._touch(key)

    def not_created(self, key: str) -> None:
        """Note that a CREATE will not happen: its message is dead or was never enqueued."""
        self._expected.pop(key, None)
        self._touch(key)

    def not_deleted(self, key: str) -> None:
        """Note that a DELETE will not happen, so the object stays."""
        if self._leaving.pop(key, None) is not None:
            self._add(key)
        self._touch(key)

    def completed(self, message: Message, outcome: Outcome, error: LoadtestError | None = None) -> None:
        """Note how the delivery of a message ended; the worker publishes every one of them."""
        key, done = message.key, outcome is Outcome.PROCESSED
        if outcome is Outcome.DEAD and error is not None and not isinstance(error, _FAULTS_OF_S3):
            self._put_aside(key)
            return
        if outcome is Outcome.RETRY:
            return
        if outcome is Outcome.MISSED:
            self.deleted(key)
        elif message.operation == Operation.CREATE:
            (self.created if done else self.not_created)(key)
        elif message.operation == Operation.DELETE:
            (self.deleted if done else self.not_deleted)(key)

    def _put_aside(self, key: str) -> None:
        """Choose the key no more: the next message for it would die as well."""
        self._expected.pop(key, None)
        known = key in self._places or self._leaving.pop(key, None) is not None
        self._discard(key)
        self._touch(key)
        if known:
            self._set_aside[key] = self._clock()

    def forget_plans(self) -> None:
        """Note that the queue was lost: nothing that was enqueued will happen."""
        for key in list(self._expected):
            self.not_created(key)
        for key in list(self._leaving):
            self.not_deleted(key)

    def conclude_plans(self, before: float) -> None:
        """Note that all that was enqueued has happened, by whoever: what was not heard of, elsewhere.

        If one of them has failed there, the next use of its key, or the next LIST, will tell.

        Args:
            before: Only plans made before this moment, by the clock.
        """
        for key in [key for key, at in self._expected.items() if at < before]:
            self.created(key)
        for key in [key for key, at in self._leaving.items() if at < before]:
            self.deleted(key)

    def reconcile(self) -> "Reconciliation":
        """Begin to compare with a LIST; at most one at a time."""
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

    def see(self, keys: Iterable[str]) -> int:
        """Take in one page of a LIST.

        Args:
            keys: Keys that S3 says exist.

        Returns:
            How many of them were not known.
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
        """Forget what the complete LIST did not show, and plans that have grown old.

        Returns:
            How many known keys turned out not to exist.
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
