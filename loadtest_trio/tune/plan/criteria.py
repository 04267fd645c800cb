"""Did the system keep up with what it was offered? Pure.

A step fails when the generator falls behind its own schedule, the backlog grows with statistical
confidence, goodput is under 97 % of what was offered, the end-to-end p99 passes the objective, or errors
pass 1 %. Median latency and error rate can look perfect while a queue grows without end, so the backlog
decides, and as long as noise could explain what it does, the answer is "measure on".
"""

from statistics import fmean, stdev

import attrs

from loadtest_trio.report.extras import need
from loadtest_trio.tune.plan.steps import Observation

_ONE_SIDED = 0.95
_FEWEST_SLICES = 4
GROWTH_WORTH_A_NAME = 0.02  # of the offered rate; what a probe of a few seconds may ignore
_FEWEST_FOR_P99 = 100


@attrs.frozen
class Limits:
    """What a step has to keep.

    Attributes:
        objective_p99_ms: End to end.
        goodput: Least share of what was offered.
        errors: Largest share of attempts that fail.
        schedule_lag_ms: The scheduler may be this late.
    """

    objective_p99_ms: float = 1000.0
    goodput: float = 0.97
    errors: float = 0.01
    schedule_lag_ms: float = 500.0


@attrs.frozen
class Judgement:
    """The answer.

    Attributes:
        passed: None while noise could explain either.
        reasons: Why it failed, in words.
    """

    passed: bool | None
    reasons: tuple[str, ...] = ()


def judge(
    observation: Observation, limits: Limits, *, final: bool = False, looks: int = 1, growth: float = 0.0
) -> Judgement:
    """Judge one step.

    Args:
        observation: What it showed so far.
        limits: What it has to keep.
        final: Whether there is no more time: then the best guess counts.
        looks: How often the step is judged in all. Who looks again and again sees growth by chance in
            the end, so each look has to be surer (Bonferroni), and all of them together are 95 % sure.
        growth: Slower growth of the backlog, as a share of what was offered, is let pass.
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
    if p99 is not None and p99 > limits.objective_p99_ms and done >= _FEWEST_FOR_P99:
        reasons.append(f"end-to-end p99 is {p99:.0f} ms, over the objective")
    return reasons


def deficit(observation: Observation, looks: int = 1) -> tuple[float, float, float]:
    """Return the growth of the backlog as a share of what was offered: lower bound, mean, upper bound.

    Both bounds are one-sided, at 95 % over all looks (Student's t over the slices). The changes of a
    stable queue undo one another, so for it the bounds are wider than needed: errors are on the side of
    measuring on.
    """
    changes = [(each.created - each.done) / each.seconds for each in observation.slices]
    offered = observation.offered
    if len(changes) < _FEWEST_SLICES or not offered:
        return -1.0, 0.0, 1.0
    middle = fmean(changes) / offered
    error = stdev(changes) / offered / len(changes) ** 0.5
    reach = float(need("scipy.stats").t.ppf(1 - (1 - _ONE_SIDED) / looks, len(changes) - 1)) * error
    return middle - reach, middle, middle + reach
