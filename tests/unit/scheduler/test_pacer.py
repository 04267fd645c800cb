"""The pacer: the schedule is exact, however late it is read."""

from itertools import pairwise
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest_trio.scheduler import Pacer


def test_ticks_are_exact() -> None:
    """Tick k is at start + k * interval, without accumulated rounding errors."""
    pacer = Pacer(10, 0.1, 1000.0)
    ticks = [at for at, _ in pacer.due(1000.0 + 8640)]
    assert ticks[-1] == 1000.0 + 86400 * 0.1
    assert all(at == 1000.0 + k * 0.1 for k, at in enumerate(ticks))


def test_first_messages_are_due_at_start() -> None:
    """The first messages do not wait for an interval."""
    pacer = Pacer(50, 1, 7.0)
    assert pacer.next_tick == 7.0
    assert list(pacer.due(7.0)) == [(7.0, 50)]
    assert list(pacer.due(7.999)) == []
    assert list(pacer.due(8.0)) == [(8.0, 50)]


def test_late_reader_gets_every_missed_tick() -> None:
    """After a pause every missed tick is due, with its own time and count."""
    pacer = Pacer(2.5, 1, 0.0)
    assert list(pacer.due(3.5)) == [(0.0, 2), (1.0, 3), (2.0, 2), (3.0, 3)]


@pytest.mark.parametrize("rate", [0.001, 0.3, 1 / 3, 7, 99.9, 100, 12_345.678])
def test_day_total_is_rate_times_time(rate: float) -> None:
    """In a day of one-second ticks the number of messages is rate times time, rounded down, exactly."""
    pacer = Pacer(rate, 1.0, 5.0)
    assert sum(count for _, count in pacer.due(5.0 + 86_399)) == floor(rate * 86_400 + 1e-6)


@given(
    st.floats(0.01, 10_000),
    st.floats(0.01, 60),
    st.lists(st.floats(0, 100), min_size=1, max_size=20),
)
def test_any_pauses_give_the_same_schedule(rate: float, interval: float, pauses: list[float]) -> None:
    """The times of reading do not influence the schedule, and counts never deviate from the rate."""
    broken, whole, now = Pacer(rate, interval, 0.0), Pacer(rate, interval, 0.0), 0.0
    asked: list[tuple[float, int]] = []
    for pause in pauses:
        now += pause
        asked += broken.due(now)
        assert broken.next_tick > now
    assert asked == list(whole.due(now))
    total = 0
    for at, count in asked:
        total += count
        assert count >= 0
        assert abs(total - rate * (at + interval)) <= 1.001
    assert all(later > earlier for (earlier, _), (later, _) in pairwise(asked))
