"""A step fails for the right reasons, and never because of noise alone."""

from random import Random
from typing import Any

import attrs
import pytest

from loadtest_trio.tune.plan.criteria import Limits, deficit, judge
from loadtest_trio.tune.plan.observations import Observation, Slice

LIMITS = Limits()


def _observation(done: list[int], offered: int = 100, **more: Any) -> Observation:
    backlog, slices = 0, []
    for each in done:
        backlog += offered - each
        slices.append(Slice(1.0, offered, each, backlog))
    return attrs.evolve(Observation(slices=tuple(slices), p99_ms=50.0), **more)


def test_goodput_equal_to_offered_passes() -> None:
    """Goodput equal to the offered rate passes at once."""
    assert judge(_observation([100, 99, 101, 100]), LIMITS).passed is True


def test_growing_backlog_fails() -> None:
    """A steadily growing backlog fails, and the reason tells the rate of growth."""
    judgement = judge(_observation([90, 91, 89, 90]), LIMITS)
    assert judgement.passed is False
    assert judgement.reasons[0] == "the backlog grows by 10 messages a second (95 % sure of growth)"
    assert judgement.reasons[1] == "goodput is 90.0 % of what was offered"


def test_noise_asks_for_more_measurement() -> None:
    """If noise could explain the result, the step continues; on the last look goodput decides."""
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
def test_latency_errors_and_lag_each_fail_a_step(more: dict[str, Any], reason: str) -> None:
    """Latency, errors and a late generator fail a step whose throughput looks perfect."""
    assert judge(_observation([100] * 4, **more), LIMITS).reasons == (reason,)


def test_growing_queue_fails_despite_low_latency_and_no_errors() -> None:
    """A growing queue fails a step with low latency and no errors: the trap of seed 003."""
    assert judge(_observation([50] * 4, p99_ms=20.0), LIMITS).passed is False


def test_few_messages_have_no_p99() -> None:
    """With fewer than a hundred messages, a single slow one does not count as p99."""
    assert judge(_observation([10] * 4, offered=10, p99_ms=1500.0), LIMITS).passed is True


def test_stable_system_is_rarely_judged_growing() -> None:
    """A stable system with 10 % noise appears to grow in at most 7 of 100 steps."""
    wrong = 0
    for seed in range(400):
        rng = Random(seed)
        low, _, _ = deficit(_observation([round(rng.gauss(100, 10)) for _ in range(8)]))
        wrong += low > 0
    assert wrong <= 28


def test_repeated_looks_keep_confidence() -> None:
    """Repeated looks at a stable system are wrong, all together, in at most 7 of 100 steps."""
    wrong = 0
    for seed in range(400):
        rng = Random(seed)
        done = [round(rng.gauss(100, 10)) for _ in range(24)]
        wrong += any(deficit(_observation(done[:upto]), looks=3)[0] > 0 for upto in (8, 16, 24))
    assert wrong <= 28


def test_slow_growth_fails_confirmation_but_not_probe() -> None:
    """Growth of 1 % fails a confirmation, but not a probe that tolerates it."""
    slow = _observation([99] * 8)
    assert judge(slow, LIMITS, final=True).passed is False
    assert judge(slow, LIMITS, final=True, growth=0.02).passed is True
