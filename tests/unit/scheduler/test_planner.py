"""The planner: bounds are met without overshoot, the mix is exact, keys are valid."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest_trio.handlers.objects.payload import LINE_BYTES
from loadtest_trio.jobs.message import Message, Operation, Phase
from loadtest_trio.scheduler import FileSizes, Planner
from loadtest_trio.scheduler.inventory import Inventory
from loadtest_trio.scheduler.mix import Mix

WEIGHTS = {Operation.READ: 50.0, Operation.UPDATE: 25.0, Operation.CREATE: 10.0, Operation.DELETE: 15.0}


def planner(
    objects: int = 0, least: int = 100, most: int = 1000, weights: dict[Operation, float] | None = None
) -> tuple[Planner, Inventory]:
    """Return a planner over an inventory of so many objects."""
    rng = Random(1)
    inventory = Inventory(rng, lambda: 0.0)
    for i in range(objects):
        inventory.created(f"p/{i}")
    made = Planner(
        inventory=inventory,
        mix=Mix(weights or WEIGHTS, rng),
        draw_uuids=FileSizes(3, 9, rng).draw,
        prefix="p/",
        sender="me",
        min_objects=least,
        max_objects=most,
    )
    return made, inventory


def carry_out(messages: list[Message], inventory: Inventory) -> None:
    """Do what workers would have told the inventory."""
    for message in messages:
        if message.operation is Operation.CREATE:
            inventory.created(message.key)
        elif message.operation is Operation.DELETE:
            inventory.deleted(message.key)


def test_refills_fill_empty_bucket_to_minimum() -> None:
    """An empty bucket gets as many CREATEs as its minimum, marked as refills, with due time and size."""
    plan, _ = planner()
    messages = plan.refills(7.5, room=10_000)
    assert len(messages) == 100
    assert len({message.key for message in messages}) == len({message.id for message in messages}) == 100
    for message in messages:
        assert (message.operation, message.phase, message.created_at) == (
            Operation.CREATE,
            Phase.PRECONDITION,
            7.5,
        )
        assert message.key.startswith("p/")
        assert 3 <= message.params["uuids"] <= 9


def test_refills_do_not_overshoot() -> None:
    """Messages already on the queue count: before they are done, no further refills are planned."""
    plan, inventory = planner(40)
    first = plan.refills(0, room=1000)
    assert (len(first), plan.refills(0, room=1000)) == (60, [])
    assert not plan.met
    carry_out(first[:59], inventory)
    assert not plan.met
    carry_out(first[59:], inventory)
    assert plan.met


def test_refills_respect_queue_room() -> None:
    """A nearly full queue gets as many refills as fit, and the rest later."""
    plan, _ = planner()
    assert len(plan.refills(0, room=30)) == 30
    assert plan.refills(0, room=0) == plan.refills(0, room=-5) == []
    assert len(plan.refills(0, room=1000)) == 70


def test_surplus_is_deleted_down_to_maximum() -> None:
    """Above the maximum, objects are deleted, each once, down to it."""
    plan, inventory = planner(120, most=100)
    assert not plan.met
    messages = plan.refills(0, room=1000)
    assert [message.operation for message in messages] == [Operation.DELETE] * 20
    assert len({message.key for message in messages}) == 20
    assert plan.refills(0, room=1000) == []
    carry_out(messages, inventory)
    assert inventory.objects == 100
    assert plan.met


def test_dead_create_is_replaced() -> None:
    """A CREATE that failed permanently is planned again."""
    plan, inventory = planner(99)
    (message,) = plan.refills(0, room=10)
    inventory.not_created(message.key)
    assert len(plan.refills(0, room=10)) == 1


def test_steady_messages_follow_the_mix() -> None:
    """Ten thousand steady messages are within 5 of nominal, with unique ids and known keys."""
    plan, inventory = planner(1000)
    keys = {f"p/{i}" for i in range(1000)}
    messages: list[Message] = []
    for tick in range(100):
        batch = plan.steady(100, float(tick))
        for message in batch:
            assert (message.phase, message.created_at) == (Phase.STEADY, tick)
            assert (message.key in keys) is (message.operation is not Operation.CREATE)
        carry_out(batch, inventory)
        messages += batch
        keys |= {message.key for message in batch if message.operation is Operation.CREATE}
        keys -= {message.key for message in batch if message.operation is Operation.DELETE}
    assert len({message.id for message in messages}) == 10_000
    counts = Counter(message.operation for message in messages)
    assert all(abs(counts[operation] - 100 * share) < 5 for operation, share in WEIGHTS.items())


def test_key_of_planned_delete_is_not_used_again() -> None:
    """Once its DELETE is planned, no later message uses the key."""
    plan, _ = planner(500)
    gone: set[str] = set()
    for message in plan.steady(2000, 0):
        assert message.key not in gone
        if message.operation is Operation.DELETE:
            gone.add(message.key)


def test_mix_waits_for_available_objects() -> None:
    """Without an available object no operation overtakes: CREATEs stay bounded and the mix does not shift."""
    plan, inventory = planner()
    messages = [message for tick in range(100) for message in plan.steady(100, tick)]
    assert {message.operation for message in messages} <= {Operation.CREATE}
    assert len(messages) < 5
    for i in range(3000):
        inventory.created(f"p/{i}")
    messages += plan.steady(4000, 100)
    counts = Counter(message.operation for message in messages)
    assert sum(counts.values()) >= 4000
    assert all(
        abs(counts[operation] - len(messages) * share / 100) < 5 for operation, share in WEIGHTS.items()
    )


def test_met_compares_existing_with_minimum_and_planned_with_maximum() -> None:
    """The minimum applies to objects that exist; the maximum to those that will exist."""
    assert planner(100)[0].met
    assert not planner(99)[0].met
    assert planner(1000)[0].met
    assert not planner(1001)[0].met


@given(st.integers(37, 37_000_000), st.integers(0, 1_000_000), st.integers(0))
def test_byte_bounds_give_whole_lines(least: int, spread: int, seed: int) -> None:
    """Sizes in bytes become whole lines within the bounds, if a line fits between them."""
    most = least + spread
    size = FileSizes.in_bytes(least, most, Random(seed)).draw() * LINE_BYTES
    assert size <= most
    assert size >= least or most // LINE_BYTES * LINE_BYTES < least


def test_sizes_are_uniform() -> None:
    """Every number of lines between the bounds is equally likely: chi-square, 9 degrees of freedom."""
    sizes = FileSizes(1, 10, Random(3))
    counts = Counter(sizes.draw() for _ in range(10_000))
    assert set(counts) == set(range(1, 11))
    assert sum((count - 1000) ** 2 / 1000 for count in counts.values()) < 33.8  # probability of more: 1e-4


@pytest.mark.parametrize("number", [0, 1, 1000])
def test_all_due_messages_are_planned(number: int) -> None:
    """While there are objects, as many messages are planned as are due."""
    assert len(planner(1000)[0].steady(number, 0)) == number


def test_changed_mix_counts_from_the_next_message() -> None:
    """Also where an operation was postponed for want of an object."""
    plan, _ = planner(weights={Operation.DELETE: 1})
    assert plan.steady(5, 0.0) == []
    plan.change_mix(Mix({Operation.CREATE: 1}, Random(0)))
    assert Counter(message.operation for message in plan.steady(5, 0.0)) == {Operation.CREATE: 5}
