"""KeyOrder: one item at a time per key, in order; nothing is kept for free keys."""

from hypothesis import given
from hypothesis import strategies as st

from loadtest_trio.worker.key_order import KeyOrder


def test_free_key_is_entered_at_once() -> None:
    """The first item of a key can be processed at once; the next one waits, regardless of other keys."""
    lanes = KeyOrder[int](lambda: 0.0)
    assert lanes.enter("a", 1)
    assert lanes.enter("b", 2)
    assert not lanes.enter("a", 3)
    assert lanes.waiting == 1
    assert lanes.leave("a") == 3
    assert lanes.leave("a") is None
    assert lanes.enter("a", 4)


def test_abandon_returns_waiting_items() -> None:
    """Waiting items are abandoned; current items still leave, and their lanes are removed."""
    lanes = KeyOrder[int](lambda: 0.0)
    for item in (1, 2, 3):
        lanes.enter("a", item)
    lanes.enter("b", 4)
    assert lanes.abandon() == [2, 3]
    assert lanes.waiting == 0
    assert lanes.leave("a") is None
    assert lanes.leave("b") is None
    assert lanes.enter("a", 5)


def test_abandon_considers_only_the_current_item() -> None:
    """The duration of a key's current item counts, not that of earlier ones."""
    now = 0.0
    lanes = KeyOrder[int](lambda: now)
    for key, item in (("slow", 1), ("slow", 2), ("quick", 3), ("quick", 4), ("quick", 5)):
        lanes.enter(key, item)
    now = 5.0
    assert lanes.leave("quick") == 4
    now = 6.0
    assert lanes.abandon(busy_seconds=2.0) == [2]
    assert lanes.waiting == 1
    assert lanes.leave("quick") == 5
    assert lanes.leave("slow") is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60))
def test_items_of_a_key_are_handed_out_once_and_in_order(steps: list[tuple[str, bool]]) -> None:
    """In any history the items of a key are handed out one at a time, in order, each once."""
    lanes, entered, left = (
        KeyOrder[int](lambda: 0.0),
        {key: [0] * 0 for key in "abc"},
        {key: [0] * 0 for key in "abc"},
    )
    at_work: dict[str, int] = {}
    for number, (key, leaves) in enumerate(steps):
        if leaves and key in at_work:
            left[key].append(at_work.pop(key))
            following = lanes.leave(key)
            if following is not None:
                at_work[key] = following
        else:
            entered[key].append(number)
            free = lanes.enter(key, number)
            assert free is (key not in at_work)
            if free:
                at_work[key] = number
    for key in "abc":
        present = [at_work[key]] if key in at_work else []
        handed_out = left[key] + present
        assert handed_out == entered[key][: len(handed_out)]
    assert lanes.waiting == sum(map(len, entered.values())) - sum(map(len, left.values())) - len(at_work)
