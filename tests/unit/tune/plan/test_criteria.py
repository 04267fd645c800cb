"""A step fails for the right reasons, and noise alone does not decide."""

from random import Random
from typing import Any

import attrs
import pytest

from loadtest_trio.tune.plan.criteria import Limits, deficit, judge
from loadtest_trio.tune.plan.steps import Observation, Slice

LIMITS = Limits()


def _observation(done: list[int], offered: int = 100, **more: Any) -> Observation:
    backlog, slices = 0, []
    for each in done:
        backlog += offered - each
        slices.append(Slice(1.0, offered, each, backlog))
    return attrs.evolve(Observation(slices=tuple(slices), p99_ms=50.0), **more)


def test_keeps_up() -> None:
    """As much done as offered passes at once."""
    assert judge(_observation([100, 99, 101, 100]), LIMITS).passed is True


def test_growing_backlog() -> None:
    """A backlog that grows steadily fails, and the reason says how fast."""
    judgement = judge(_observation([90, 91, 89, 90]), LIMITS)
    assert judgement.passed is False
    assert judgement.reasons[0] == "the backlog grows by 10 messages a second (95 % sure of growth)"
    assert judgement.reasons[1] == "goodput is 90.0 % of what was offered"


def test_noise_asks_for_more() -> None:
    """Where noise could explain it, the answer is to measure on; at the end goodput decides."""
    noisy = _observation([60, 135, 70, 120])
    assert judge(noisy, LIMITS).passed is None
    assert judge(noisy, LIMITS, final=True).passed is False
    assert judge(_observation([60, 140, 75, 121]), LIMITS, final=True).passed is True


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"p99_ms": 1500.0}, "end-to-end p99 is 1500 ms, over the objective"),
        ({"errors": 20}, "4.8 % of the attempts fail"),
        ({"schedule_lag_ms": 900.0}, "the generator is 900 ms behind its schedule"),
    ],
)
def test_each_limit(more: dict[str, Any], reason: str) -> None:
    """Latency, errors and a late generator fail a step whose throughput looks perfect."""
    assert judge(_observation([100] * 4, **more), LIMITS).reasons == (reason,)


def test_error_rate_and_median_are_not_enough() -> None:
    """A queue that grows fails a step with low latency and no errors: seed 003's trap."""
    assert judge(_observation([50] * 4, p99_ms=20.0), LIMITS).passed is False


def test_few_messages_have_no_p99() -> None:
    """Under a hundred messages, one slow one is no percentile."""
    assert judge(_observation([10] * 4, offered=10, p99_ms=1500.0), LIMITS).passed is True


def test_confidence() -> None:
    """A stable system with 10 % noise is said to grow in at most 7 of 100 steps."""
    wrong = 0
    for seed in range(400):
        rng = Random(seed)
        low, _, _ = deficit(_observation([round(rng.gauss(100, 10)) for _ in range(8)]))
        wrong += low > 0
    assert wrong <= 28


def test_looking_again_and_again() -> None:
    """Looks at a stable system after every few seconds are, all together, wrong in at most 7 of 100 steps."""
    wrong = 0
    for seed in range(400):
        rng = Random(seed)
        done = [round(rng.gauss(100, 10)) for _ in range(24)]
        wrong += any(deficit(_observation(done[:upto]), looks=3)[0] > 0 for upto in (8, 16, 24))
    assert wrong <= 28


def test_slow_growth() -> None:
    """Growth of 1 % fails a confirmation that shows it, and not a probe that may ignore it."""
    slow = _observation([99] * 8)
    assert judge(slow, LIMITS, final=True).passed is False
    assert judge(slow, LIMITS, final=True, growth=0.02).passed is True
