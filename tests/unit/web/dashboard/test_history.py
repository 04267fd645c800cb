"""The run's history: bounded, whole where it is recent, and never without its beginning."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest_trio.web.dashboard.history import Entry, History


def filled(samples: int, lines: int) -> History:
    """Return a history that took a number of metrics lines in."""
    history = History(samples=samples)
    for number in range(1, lines + 1):
        history.add("metrics", Entry(number, f"{number}"))
    return history


@given(st.integers(2, 50), st.integers(0, 2000))
def test_memory_is_bounded(samples: int, lines: int) -> None:
    """However long the run, no more than asked for is kept, in order, the latest and the first among it."""
    numbers = [entry.number for entry in filled(samples, lines).after()]
    assert len(numbers) <= samples
    assert numbers == sorted(set(numbers))
    assert not lines or (numbers[0], numbers[-1]) == (1, lines)


def test_recent_lines_stay_whole() -> None:
    """Of a day's 8,640 lines the latest 300 are all there, and the past reaches back to the start."""
    numbers = [entry.number for entry in filled(720, 8640).after()]
    assert numbers[-300:] == list(range(8341, 8641))
    assert numbers[0] == 1


def test_a_viewer_that_returns_gets_what_it_missed() -> None:
    """After a number come exactly the later lines of all kinds, in the order they were written."""
    history = History()
    for number, event in enumerate(("service_started", "metrics", "backend_unavailable", "metrics"), 1):
        history.add(event, Entry(number, event))
    assert [entry.number for entry in history.after(1)] == [2, 3, 4]
    assert history.after(4) == []


@pytest.mark.parametrize("event", ["service_started", "tune_started", "precondition_met"])
def test_a_flood_of_events_does_not_push_out_the_beginning(event: str) -> None:
    """What says what kind of run this is stays, however much else happens."""
    history = History(events=10)
    history.add(event, Entry(1, event))
    for number in range(2, 100):
        history.add("operation_failed", Entry(number, "x"))
    numbers = [entry.number for entry in history.after()]
    assert numbers == [1, *range(90, 100)]
