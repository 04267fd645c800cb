"""The inventory against a model of sets, and its guarantees about time and randomness."""

from collections import Counter
from random import Random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from loadtest_trio.scheduler.inventory import EXPECTATION_SECONDS, Inventory, Reconciliation


class Clock:
    """Monotonic seconds that pass when told to."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def stocked(*keys: str, seed: int = 1, clock: Clock | None = None) -> Inventory:
    """Return an inventory of these keys."""
    inventory = Inventory(Random(seed), clock or Clock())
    for key in keys:
        inventory.created(key)
    return inventory


def found(inventory: Inventory, *pages: list[str]) -> tuple[int, int]:
    """Reconcile with a LIST and return how many keys were new and how many gone."""
    reconciliation = inventory.reconcile()
    return sum(reconciliation.add_page(page) for page in pages), reconciliation.finish()


class InventoryMachine(RuleBasedStateMachine):
    """Any history of events, with a LIST under way at any time, against three sets.

    The bucket is modelled too: `real` is what exists, and every page of a LIST shows what existed at some
    moment since the LIST began.
    """

    keys = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.inventory = Inventory(Random(1), self.clock)
        self.available: set[str] = set()
        self.leaving: dict[str, float] = {}
        self.expected: dict[str, float] = {}
        self.real: set[str] = set()
        self.listing: Reconciliation | None = None
        self.listed: set[str] = set()
        self.known: set[str] = set()
        self.touched: set[str] = set()

    @rule(target=keys, number=st.integers(0, 9))
    def name(self, number: int) -> str:
        """Make up a key."""
        return f"k{number}"

    @rule(key=keys)
    def expect(self, key: str) -> None:
        """A CREATE is enqueued."""
        self.inventory.expect(key)
        self.expected[key] = self.clock.now
        self.touched.add(key)

    @rule(key=keys)
    def create(self, key: str) -> None:
        """A CREATE is acknowledged."""
        self.real.add(key)
        self.inventory.created(key)
        self.expected.pop(key, None)
        if key not in self.leaving:
            self.available.add(key)
        self.touched.add(key)

    @rule(key=keys)
    def create_fails(self, key: str) -> None:
        """A CREATE's message is dead."""
        self.inventory.not_created(key)
        self.expected.pop(key, None)
        self.touched.add(key)

    @rule()
    def take(self) -> None:
        """A DELETE is enqueued."""
        key = self.inventory.take()
        assert (key is None) is (not self.available)
        if key is not None:
            assert key in self.available
            self.available.remove(key)
            self.leaving[key] = self.clock.now
            self.touched.add(key)

    @rule(key=keys)
    def delete(self, key: str) -> None:
        """A DELETE is acknowledged, or the object was found missing."""
        self.real.discard(key)
        self.inventory.deleted(key)
        self.available.discard(key)
        self.leaving.pop(key, None)
        self.touched.add(key)

    @rule(key=keys)
    def delete_fails(self, key: str) -> None:
        """A DELETE's message is dead."""
        self.inventory.not_deleted(key)
        if self.leaving.pop(key, None) is not None:
            self.available.add(key)
        self.touched.add(key)

    @rule()
    def redis_forgets(self) -> None:
        """The queue is lost."""
        self.inventory.cancel_plans()
        self.touched |= {*self.expected, *self.leaving}
        self.available |= self.leaving.keys()
        self.expected.clear()
        self.leaving.clear()

    @rule(age=st.sampled_from([0.5, 5.0]))
    def queue_is_empty(self, age: float) -> None:
        """Nothing is queued any more: old plans were carried out by somebody else."""
        before = self.clock.now - age
        self.inventory.assume_completed(before)
        done = {key for key, at in self.expected.items() if at < before}
        self.expected = {key: at for key, at in self.expected.items() if key not in done}
        self.available |= done - self.leaving.keys()
        gone = {key for key, at in self.leaving.items() if at < before}
        self.leaving = {key: at for key, at in self.leaving.items() if key not in gone}
        self.available -= gone
        self.touched |= done | gone

    @rule(key=keys)
    def stranger_creates(self, key: str) -> None:
        """Somebody else puts an object there: only a LIST shows it."""
        self.real.add(key)

    @rule(key=keys)
    def stranger_deletes(self, key: str) -> None:
        """Somebody else removes an object."""
        self.real.discard(key)

    @rule(seconds=st.sampled_from([1.0, EXPECTATION_SECONDS + 1]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.now += seconds

    @precondition(lambda self: self.listing is None)
    @rule()
    def list_begins(self) -> None:
        """A LIST is sent: its pages show the bucket of this moment, however late they are read."""
        self.listing = self.inventory.reconcile()
        self.listed, self.known = set(self.real), self.available | self.leaving.keys()
        self.touched = set()

    @precondition(lambda self: self.listing is not None)
    @rule(data=st.data())
    def list_shows(self, data: Any) -> None:
        """A page arrives."""
        assert self.listing is not None
        page = data.draw(st.sets(st.sampled_from(sorted(self.listed)), max_size=4)) if self.listed else set()
        self._page(page)

    @precondition(lambda self: self.listing is not None)
    @rule()
    def list_ends(self) -> None:
        """The last page arrives."""
        assert self.listing is not None
        self._page(self.listed)
        gone = self.known - self.listed - self.touched
        assert self.listing.finish() == len(gone)
        self.available -= gone
        oldest = self.clock.now - EXPECTATION_SECONDS
        self.leaving = {key: at for key, at in self.leaving.items() if key not in gone}
        stays = {key for key, at in self.leaving.items() if at < oldest and key not in self.touched}
        self.available |= stays
        self.leaving = {key: at for key, at in self.leaving.items() if key not in stays}
        self.expected = {key: at for key, at in self.expected.items() if at >= oldest}
        self.listing = None

    def _page(self, page: set[str]) -> None:
        assert self.listing is not None
        new = {key for key in page - self.touched if key not in self.available | self.leaving.keys()}
        assert self.listing.add_page(page) == len(new)
        self.available |= new
        for key in new:
            self.expected.pop(key, None)

    @invariant()
    def agrees(self) -> None:
        """Inventory and model agree, and what is chosen is available."""
        assert self.inventory.objects == len(self.available) + len(self.leaving)
        assert self.inventory.planned == len(self.available) + len(self.expected)
        chosen = self.inventory.choose()
        assert chosen in self.available if self.available else chosen is None


InventoryMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestInventory = InventoryMachine.TestCase


def test_list_does_not_undo_operations_in_flight() -> None:
    """A LIST that began before a CREATE, a planned DELETE or a finished DELETE does not change their keys."""
    inventory = stocked("old", "taken")
    reconciliation = inventory.reconcile()
    inventory.expect("coming")
    inventory.created("new")
    inventory.deleted("old")
    while inventory.take() != "taken":
        inventory.not_deleted("new")
    reconciliation.add_page(["old", "taken", "coming"])
    assert reconciliation.finish() == 0
    assert (inventory.objects, inventory.planned) == (2, 2)  # new, taken; new, coming


def test_list_finds_foreign_objects_and_removals() -> None:
    """The next LIST adds objects that others created, and removes those that others deleted."""
    inventory = stocked("kept", "removed")
    assert found(inventory, ["kept"], ["put"]) == (1, 1)
    assert {inventory.choose() for _ in range(50)} == {"kept", "put"}


def test_create_without_result_is_given_up() -> None:
    """A CREATE without a result for twenty minutes is no longer expected."""
    clock = Clock()
    inventory = stocked(clock=clock)
    inventory.expect("a")
    clock.now = EXPECTATION_SECONDS - 1
    found(inventory, [])
    assert inventory.planned == 1
    clock.now = EXPECTATION_SECONDS + 1
    found(inventory, [])
    assert inventory.planned == 0


def test_delete_without_result_is_given_up() -> None:
    """A key whose DELETE has no result for twenty minutes, and which still exists, is available again."""
    clock = Clock()
    inventory = stocked("a", clock=clock)
    assert inventory.take() == "a"
    clock.now = EXPECTATION_SECONDS - 1
    found(inventory, ["a"])
    assert (inventory.choose(), inventory.planned) == (None, 0)
    clock.now = EXPECTATION_SECONDS + 1
    found(inventory, ["a"])
    assert (inventory.choose(), inventory.planned) == ("a", 1)


def test_empty_inventory_returns_no_key() -> None:
    """Without keys, `choose` and `take` return None."""
    assert stocked().choose() is None
    assert stocked().take() is None


def test_choice_is_uniform() -> None:
    """After many additions and removals each key is equally likely: chi-square, 99 degrees of freedom."""
    inventory = stocked(*(f"k{i}" for i in range(300)))
    for i in range(0, 300, 3):
        inventory.deleted(f"k{i}")
    for i in range(1, 300, 3):
        inventory.deleted(f"k{i}")
    counts = Counter(inventory.choose() for _ in range(50_000))
    assert set(counts) == {f"k{i}" for i in range(2, 300, 3)}
    assert sum((count - 500) ** 2 / 500 for count in counts.values()) < 161  # probability of more: 1e-4


class CountingList(list[str]):
    """A list that counts how often it is looked into, and cannot be scanned."""

    steps = 0

    def __getitem__(self, at: Any) -> Any:
        self.steps += 1
        return super().__getitem__(at)

    def __setitem__(self, at: Any, key: Any) -> None:
        self.steps += 1
        super().__setitem__(at, key)

    def __iter__(self) -> Any:
        raise AssertionError("scanned")

    def __contains__(self, key: object) -> bool:
        raise AssertionError("scanned")

    def index(self, *_: Any) -> int:
        """Refuse."""
        raise AssertionError("scanned")


def test_choice_is_constant_time() -> None:
    """At 1,000,000 keys a choice reads one element, and a take three at most."""
    inventory = stocked(*(f"k{i}" for i in range(1_000_000)))
    inventory._keys = counting = CountingList(inventory._keys)
    for _ in range(1000):
        counting.steps = 0
        inventory.choose()
        assert counting.steps == 1
        inventory.take()
        assert counting.steps <= 3
    assert inventory.objects == 1_000_000
    assert inventory.planned == 999_000


def test_listing_may_repeat_a_key() -> None:
    """Some stores list a key twice, on one page or at the border of two."""
    inventory = Inventory(Random(1), lambda: 0.0)
    reconciliation = inventory.reconcile()
    assert reconciliation.add_page(["a", "b", "a"]) == 2
    assert reconciliation.add_page(["b", "c"]) == 1
    assert reconciliation.finish() == 0
    assert inventory.objects == 3
