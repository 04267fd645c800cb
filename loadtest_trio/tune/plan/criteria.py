"""Judges whether the system kept up with the offered load. Pure.

A step fails if the generator falls behind its own schedule, the backlog grows with statistical confidence,
goodput is under 97 % of the offered rate, the end-to-end p99 exceeds the objective, or more than 1 % of the
attempts fail. Median latency and error rate can look perfect while a queue grows without bound, so the
backlog decides; while noise could explain its changes, the answer is "keep measuring".
"""

from statistics import fmean, stdev

import attrs

from loadtest_trio.report.extras import need
from loadtest_trio.tune.plan.observations import Observation

_ONE_SIDED = 0.95
_MIN_SLICES = 4
NEGLIGIBLE_GROWTH = 0.02  # share of the offered rate; a probe of a few seconds may ignore slower growth
_MIN_FOR_P99 = 100


@attrs.frozen
class Limits:
    """The criteria for a step to pass.

    Attributes:
        objective_p99_ms: Maximum end-to-end p99.
        goodput: Minimum goodput as a share of the offered rate.
        errors: Maximum share of failed attempts.
        schedule_lag_ms: Maximum lag of the scheduler.
    """

    objective_p99_ms: float = 1000.0
    goodput: float = 0.97
    errors: float = 0.01
    schedule_lag_ms: float = 500.0


@attrs.frozen
class Judgement:
    """The result of judging a step.

    Attributes:
        passed: None while noise could explain either answer.
        reasons: Why the step failed.
    """

    passed: bool | None
    reasons: tuple[str, ...] = ()


def judge(
    observation: Observation, limits: Limits, *, final: bool = False, looks: int = 1, growth: float = 0.0
) -> Judgement:
    """Judge one step.

    Args:
        observation: The measurement so far.
        limits: The criteria.
        final: Whether this is the last look; the best estimate then decides.
        looks: Total number of times that the step is judged. Repeated looks eventually see growth by
            chance, so each look needs more confidence (Bonferroni); all together they have 95 %.
        growth: Backlog growth up to this share of the offered rate is tolerated.
    """
    reasons = list(_broken(observation, limits))
    low, middle, high = deficit(observation, looks)
    if low > 0 and middle > growth:
        faster = middle * observation.offered
        reasons.append(f"the backlog grows by {_short(faster)} messages a second (95 % sure of growth)")
    if observation.goodput < limits.goodput * observation.offered and (final or reasons):
        share = observation.goodput / observation.offered
        reasons.append(f"goodput is {100 * share:.1f} % of what was offered")
    if reasons:
        return Judgement(False, tuple(reasons))
    return Judgement(True if final or high < 1 - limits.goodput else None)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _broken(observation: Observation, limits: Limits) -> list[str]:
    reasons = list(observation.faults)
    if observation.schedule_lag_ms > limits.schedule_lag_ms:
        reasons.append(f"the generator is {observation.schedule_lag_ms:.0f} ms behind its schedule")
    if observation.error_share > limits.errors:
        reasons.append(f"{100 * observation.error_share:.1f} % of the attempts fail")
    done = sum(each.done for each in observation.slices)
    p99 = observation.p99_ms
    if p99 is not None and p99 > limits.objective_p99_ms and done >= _MIN_FOR_P99:
        reasons.append(f"end-to-end p99 is {p99:.0f} ms, over the objective")
    return reasons


def deficit(observation: Observation, looks: int = 1) -> tuple[float, float, float]:
    """Return the growth of the backlog as a share of the offered rate: lower bound, mean, upper bound.

    Both bounds are one-sided, at 95 % over all looks (Student's t over the slices). In a stable queue,
    successive changes cancel out, so the bounds are wider than necessary and err towards more measuring.
    """
    changes = [(each.created - each.done) / each.seconds for each in observation.slices]
    offered = observation.offered
    if len(changes) < _MIN_SLICES or not offered:
        return -1.0, 0.0, 1.0
    middle = fmean(changes) / offered
    error = stdev(changes) / offered / len(changes) ** 0.5
    reach = float(need("scipy.stats").t.ppf(1 - (1 - _ONE_SIDED) / looks, len(changes) - 1)) * error
    return middle - reach, middle, middle + reach
