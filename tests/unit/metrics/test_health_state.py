"""HealthState: stuck is not the same as waiting."""

import pytest

from loadtest_trio.errors import S3UnreachableError
from loadtest_trio.metrics.health_state import HealthState

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
def health_state(clock: Clock) -> HealthState:
    """HealthState that call a task stuck after 60 s."""
    return HealthState(clock, 60)


def test_a_task_without_progress_is_stuck(health_state: HealthState, clock: Clock) -> None:
    """A task is named, with its seconds, once its last beat lies further back than the limit."""
    health_state.beat("worker")
    clock.now = 60
    assert health_state.read().alive
    clock.now = 61
    health_state.beat("scheduler")
    assert health_state.read().stuck == {"worker": 61}
    assert not health_state.read().alive
    health_state.beat("worker")
    assert health_state.read().alive


def test_a_task_that_ended_is_not_stuck(health_state: HealthState, clock: Clock) -> None:
    """Whoever finished on purpose is no longer watched; ending twice is fine."""
    health_state.beat("worker")
    health_state.ended("worker")
    health_state.ended("worker")
    clock.now = 1000
    assert health_state.read().alive


def test_an_outage_is_not_a_stall(health_state: HealthState, clock: Clock) -> None:
    """While a backend is away nobody counts as stuck, and the time of the outage counts for nobody."""
    health_state.beat("worker")
    assert health_state.backend("s3", ERROR)
    clock.now = 1000
    assert health_state.read().alive
    assert health_state.read().degraded == {"s3": "no answer"}
    assert health_state.backend("s3", None)
    assert health_state.read() == health_state.read().__class__({}, {})
    clock.now = 1061
    assert health_state.read().stuck == {"worker": 61}


def test_a_flapping_backend_does_not_hide_a_stuck_task(health_state: HealthState, clock: Clock) -> None:
    """A task that is stuck is found though every second is half an outage: the other halves count."""
    health_state.beat("worker")
    for second in range(130):
        clock.now = second
        health_state.backend("s3", ERROR)
        clock.now = second + 0.5
        health_state.backend("s3", None)
    assert health_state.read().stuck == {"worker": 64.5}


def test_stale_heartbeat_does_not_extend_outage(health_state: HealthState, clock: Clock) -> None:
    """Time left out never makes a beat later than now."""
    health_state.backend("s3", ERROR)
    clock.now = 90
    health_state.beat("worker")
    clock.now = 100
    health_state.backend("s3", None)
    clock.now = 161
    assert health_state.read().stuck == {"worker": 61}


def test_an_outage_is_reported_once(health_state: HealthState, clock: Clock) -> None:
    """Only the calls that begin and end an outage say so, and its length counts from its beginning."""
    assert not health_state.backend("redis", None)
    clock.now = 10
    assert health_state.backend("redis", ERROR)
    clock.now = 15
    assert not health_state.backend("redis", ERROR)
    assert health_state.outage_since("redis") == 10
    assert health_state.outage_since("s3") is None
    assert health_state.backend("redis", None)
    assert not health_state.backend("redis", None)
    assert health_state.outage_since("redis") is None


def test_overlapping_outages_are_both_reported(health_state: HealthState, clock: Clock) -> None:
    """Two backends may be away at once; the service is degraded until both are back."""
    health_state.backend("redis", ERROR)
    health_state.backend("s3", ERROR)
    assert health_state.read().degraded.keys() == {"redis", "s3"}
    health_state.backend("redis", None)
    assert health_state.read().degraded.keys() == {"s3"}


def test_long_work_is_not_a_stall(health_state: HealthState, clock: Clock) -> None:
    """A task that announced 300 quiet seconds is stuck after these and the limit, whatever beats follow."""
    health_state.beat("worker", quiet_for=300)
    clock.now = 5
    health_state.beat("worker")
    clock.now = 360
    assert health_state.read().alive
    clock.now = 361
    assert health_state.read().stuck == {"worker": 61}


def test_an_outage_does_not_shorten_announced_work(health_state: HealthState, clock: Clock) -> None:
    """The announcement still holds after an outage in the middle of it."""
    health_state.beat("worker", quiet_for=300)
    health_state.backend("redis", ERROR)
    clock.now = 10
    health_state.backend("redis", None)
    clock.now = 359
    assert health_state.read().alive
