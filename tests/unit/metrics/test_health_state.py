"""Vitals: stuck is not the same as waiting."""

import pytest

from loadtest_trio.errors import S3UnreachableError
from loadtest_trio.metrics.health_state import Vitals

ERROR = S3UnreachableError("no answer")


class Clock:
    """Monotonic seconds that pass when told to."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock at 0."""
    return Clock()


@pytest.fixture
def vitals(clock: Clock) -> Vitals:
    """Vitals that call a task stuck after 60 s."""
    return Vitals(clock, 60)


def test_a_task_without_progress_is_stuck(vitals: Vitals, clock: Clock) -> None:
    """A task is named, with its seconds, once its last beat lies further back than the limit."""
    vitals.beat("worker")
    clock.now = 60
    assert vitals.read().alive
    clock.now = 61
    vitals.beat("scheduler")
    assert vitals.read().stuck == {"worker": 61}
    assert not vitals.read().alive
    vitals.beat("worker")
    assert vitals.read().alive


def test_a_task_that_ended_is_not_stuck(vitals: Vitals, clock: Clock) -> None:
    """Whoever finished on purpose is no longer watched; ending twice is fine."""
    vitals.beat("worker")
    vitals.ended("worker")
    vitals.ended("worker")
    clock.now = 1000
    assert vitals.read().alive


def test_an_outage_is_not_a_stall(vitals: Vitals, clock: Clock) -> None:
    """While a backend is away nobody counts as stuck, and the time of the outage counts for nobody."""
    vitals.beat("worker")
    assert vitals.backend("s3", ERROR)
    clock.now = 1000
    assert vitals.read().alive
    assert vitals.read().degraded == {"s3": "no answer"}
    assert vitals.backend("s3", None)
    assert vitals.read() == vitals.read().__class__({}, {})
    clock.now = 1061
    assert vitals.read().stuck == {"worker": 61}


def test_a_backend_that_comes_and_goes_hides_nobody(vitals: Vitals, clock: Clock) -> None:
    """A task that is stuck is found though every second is half an outage: the other halves count."""
    vitals.beat("worker")
    for second in range(130):
        clock.now = second
        vitals.backend("s3", ERROR)
        clock.now = second + 0.5
        vitals.backend("s3", None)
    assert vitals.read().stuck == {"worker": 64.5}


def test_a_beat_within_an_outage_is_not_moved_into_the_future(vitals: Vitals, clock: Clock) -> None:
    """Time left out never makes a beat later than now."""
    vitals.backend("s3", ERROR)
    clock.now = 90
    vitals.beat("worker")
    clock.now = 100
    vitals.backend("s3", None)
    clock.now = 161
    assert vitals.read().stuck == {"worker": 61}


def test_an_outage_is_said_once(vitals: Vitals, clock: Clock) -> None:
    """Only the calls that begin and end an outage say so, and its length counts from its beginning."""
    assert not vitals.backend("redis", None)
    clock.now = 10
    assert vitals.backend("redis", ERROR)
    clock.now = 15
    assert not vitals.backend("redis", ERROR)
    assert vitals.outage_since("redis") == 10
    assert vitals.outage_since("s3") is None
    assert vitals.backend("redis", None)
    assert not vitals.backend("redis", None)
    assert vitals.outage_since("redis") is None


def test_outages_overlap(vitals: Vitals, clock: Clock) -> None:
    """Two backends may be away at once; the service is degraded until both are back."""
    vitals.backend("redis", ERROR)
    vitals.backend("s3", ERROR)
    assert vitals.read().degraded.keys() == {"redis", "s3"}
    vitals.backend("redis", None)
    assert vitals.read().degraded.keys() == {"s3"}
