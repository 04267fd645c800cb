"""By how much throughput follows a resource, and how sure that is. Pure.

The elasticity is the relative change of throughput over the relative change of the resource, in
logarithms. 1: it is all that counts. 0: it does not count.
"""

from collections.abc import Iterable, Sequence
from math import log, sqrt
from statistics import stdev
from typing import Any

import attrs

from loadtest_trio.report.extras import need
from loadtest_trio.report.statistics import interval, resampled_means
from loadtest_trio.tune.plan.steps import Slice

_SURE = 0.975  # one end of a two-sided 95 %


@attrs.frozen
class Elasticity:
    """What an experiment showed.

    Attributes:
        value: The elasticity.
        low: Lower end of its 95 % interval.
        high: Upper end.
    """

    value: float
    low: float
    high: float


UNKNOWN = Elasticity(0.0, 0.0, 0.0)


def elasticity(
    before: Sequence[Slice], after: Sequence[Slice], factor: float, drift: float = 0.0
) -> Elasticity:
    """Return the elasticity with its interval.

    Args:
        before: Slices of the baseline.
        after: Slices of the experiment.
        factor: By what the resource changed.
        drift: See `drift_of`; the interval is at least this wide either way.
    """
    numpy = need("numpy")
    samples: list[Any] = [numpy.log(_means(part, seed)) for seed, part in enumerate((before, after))]
    low, high = interval((samples[1] - samples[0]) / log(factor))
    value, reach = log(mean_rate(after) / mean_rate(before)) / log(factor), drift / abs(log(factor))
    return Elasticity(value, min(low, value - reach), max(high, value + reach))


def drift_of(baselines: Sequence[float], rounds: int) -> float:
    """Return by how much the baseline's wandering alone may explain a change, in logarithms, at 95 %.

    Slices of one step say nothing about how steps differ from one another; the baselines do. There are
    few of them, so their spread is not well known itself: Student's t, not the normal distribution.

    Args:
        baselines: Messages a second of each baseline step.
        rounds: How many steps the experiment's mean is made of.
    """
    if len(baselines) < 2:
        return 0.0
    spread = stdev(log(max(rate, 0.5)) for rate in baselines)
    student = float(need("scipy.stats").t.ppf(_SURE, len(baselines) - 1))
    return student * spread * sqrt(1 / rounds + 1 / len(baselines))


def mean_rate(slices: Iterable[Slice]) -> float:
    """Return messages done a second; never 0, so that it has a logarithm."""
    parts = list(slices)
    return max(0.5, sum(each.done for each in parts)) / sum(each.seconds for each in parts)


def _means(slices: Sequence[Slice], seed: int) -> Any:
    done = [max(0.5, each.done) for each in slices]
    return resampled_means(done, [each.seconds for each in slices], seed)
