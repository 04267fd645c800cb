"""The mix: exact in the long run, unpredictable in the short run."""

from collections import Counter
from itertools import islice
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest_trio.jobs.message import Operation
from loadtest_trio.scheduler.mix import Mix

NOMINAL = {Operation.READ: 50.0, Operation.UPDATE: 25.0, Operation.CREATE: 10.0, Operation.DELETE: 15.0}
weightings = st.dictionaries(
    st.sampled_from(Operation), st.floats(0, 1e6, allow_subnormal=False), min_size=1
).filter(lambda weights: max(weights.values()) > 0)


def furthest(weights: dict[Operation, float], seed: int, draws: int) -> float:
    """Return how far any running total ever is from nominal."""
    mix, counts, total = Mix(weights, Random(seed)), dict.fromkeys(Operation, 0), sum(weights.values())
    shares = {operation: weights.get(operation, 0.0) / total for operation in Operation}
    worst = 0.0
    for number in range(1, draws + 1):
        counts[mix.draw()] += 1
        worst = max(worst, *(abs(counts[o] - number * shares[o]) for o in Operation))
    return worst


def test_100_000_draws_stay_within_5() -> None:
    """At the nominal weights no running total ever deviates by 5 messages, over 100,000 draws."""
    assert furthest(NOMINAL, 1, 100_000) < 5


@settings(max_examples=60, deadline=None)
@given(weightings, st.integers(0, 2**32))
def test_any_weights_stay_within_5(weights: dict[Operation, float], seed: int) -> None:
    """For any weights, no running total ever deviates by 5 messages from nominal."""
    assert furthest(weights, seed, 2_000) < 5


@pytest.mark.parametrize("weights", [(1, 1, 1, 1), (97, 1, 1, 1), (1e6, 1, 0, 0), (1, 3, 0, 0), (0, 0, 0, 1)])
def test_extreme_weights_stay_within_5(weights: tuple[float, ...]) -> None:
    """Even, lopsided and degenerate mixes hold for 100,000 draws as well."""
    assert furthest(dict(zip(Operation, weights, strict=True)), 2, 100_000) < 5


def draws(seed: int, number: int) -> list[Operation]:
    """Return the first draws at the nominal weights."""
    mix = Mix(NOMINAL, Random(seed))
    return [mix.draw() for _ in range(number)]


def test_order_depends_on_the_seed() -> None:
    """The same seed repeats the order; another seed does not."""
    assert draws(1, 200) == draws(1, 200) != draws(2, 200)


def test_order_has_no_period() -> None:
    """The order does not repeat with any period up to 1,000."""
    order = draws(3, 4000)
    for period in range(1, 1001):
        agreement = sum(a == b for a, b in zip(order, islice(order, period, None), strict=False))
        assert agreement / (len(order) - period) < 0.5


def test_next_draw_is_unpredictable() -> None:
    """The last four operations predict the next one hardly better than its share does."""
    order = draws(4, 40_000)
    followers: dict[tuple[Operation, ...], Counter[Operation]] = {}
    for at in range(20_000):
        followers.setdefault(tuple(order[at : at + 4]), Counter())[order[at + 4]] += 1
    right = 0
    for at in range(20_000, 39_996):
        known = followers.get(tuple(order[at : at + 4]))
        guess = known.most_common(1)[0][0] if known else Operation.READ
        right += guess is order[at + 4]
    assert right / 19_996 < 0.62
