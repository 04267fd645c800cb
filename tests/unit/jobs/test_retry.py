"""Backoff: bounded, growing, and drawn from the full range."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest_trio.jobs.retry import IN_PLACE, PUT_BACK, RECONNECT, Backoff, job_put_back


@given(st.integers(1, 10**9), st.integers(0), st.floats(0.001, 10), st.floats(10, 1000))
def test_delay_is_within_its_ceiling(attempt: int, seed: int, base: float, cap: float) -> None:
    """No delay is negative or above its ceiling, and no ceiling is above the cap."""
    backoff = Backoff(base, cap)
    assert 0 <= backoff.delay(attempt, Random(seed)) <= backoff.ceiling(attempt) <= cap


@pytest.mark.parametrize("backoff", [IN_PLACE, PUT_BACK, RECONNECT])
def test_ceilings_double_up_to_the_cap(backoff: Backoff) -> None:
    """The first ceiling is the base; each is twice the previous one, up to the cap."""
    ceilings = [backoff.ceiling(attempt) for attempt in range(1, 20)]
    assert ceilings[0] == backoff.base
    assert all(later == min(2 * earlier, backoff.cap) for earlier, later in pairwise(ceilings))
    assert ceilings[-1] == backoff.cap


def test_delays_use_the_full_range() -> None:
    """Delays spread over the full range, so that many clients do not return at once."""
    rng = Random(1)
    delays = [IN_PLACE.delay(3, rng) / IN_PLACE.ceiling(3) for _ in range(10_000)]
    deciles = [sum(i / 10 <= delay < (i + 1) / 10 for delay in delays) for i in range(10)]
    assert all(900 < count < 1100 for count in deciles)


def test_same_seed_gives_same_delays() -> None:
    """Delays depend only on the attempt and the generator."""
    assert [PUT_BACK.delay(i, Random(3)) for i in (1, 2)] == [PUT_BACK.delay(i, Random(3)) for i in (1, 2)]


@pytest.mark.parametrize(
    ("base", "ceilings"), [(2.0, [2, 4, 8]), (0.0, [0, 0, 0]), (150.0, [150, 300, 300]), (400.0, [400] * 3)]
)
def test_jobs_are_put_back_for_twice_as_long_each_time(base: float, ceilings: list[float]) -> None:
    """The base is the setting's; five minutes is the longest delay, unless the base is longer."""
    assert [job_put_back(base).ceiling(attempt) for attempt in (1, 2, 3)] == ceilings
