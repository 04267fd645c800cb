"""The elasticity of throughput to a resource, with its confidence interval. Pure.

Elasticity is the change of log throughput per change of the log resource: 1 means that the resource is fully
limiting, 0 that it is irrelevant.
"""

from collections.abc import Iterable, Sequence
from math import log, sqrt
from statistics import stdev
from typing import Any

import attrs

from loadtest_trio.report.extras import need
from loadtest_trio.report.statistics import confidence_interval, resampled_means
from loadtest_trio.tune.plan.observations import Slice

_QUANTILE = 0.975  # one end of a two-sided 95 % interval


@attrs.frozen
class Elasticity:
    """The result of an experiment.

    Attributes:
        value: The elasticity.
        low: Lower end of its 95 % interval.
        high: Upper end of the interval.
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
        factor: Factor by which the resource changed.
        drift: Minimum half-width of the interval, before scaling by the factor; see `drift_of`.
    """
    numpy = need("numpy")
    samples: list[Any] = [numpy.log(_means(part, seed)) for seed, part in enumerate((before, after))]
    low, high = confidence_interval((samples[1] - samples[0]) / log(factor))
    value, reach = log(mean_rate(after) / mean_rate(before)) / log(factor), drift / abs(log(factor))
    return Elasticity(value, min(low, value - reach), max(high, value + reach))


def drift_of(baselines: Sequence[float], rounds: int) -> float:
    """Return the change (in logarithms, at 95 %) that drift between baseline steps alone may explain.

    The slices of one step do not show how steps differ from one another; repeated baselines do. They are
    few, so their spread is uncertain too: hence Student's t and not the normal distribution.

    Args:
        baselines: Messages per second of each baseline step.
        rounds: Number of steps in the experiment's mean.
    """
    if len(baselines) < 2:
        return 0.0
    spread = stdev(log(max(rate, 0.5)) for rate in baselines)
    student = float(need("scipy.stats").t.ppf(_QUANTILE, len(baselines) - 1))
    return student * spread * sqrt(1 / rounds + 1 / len(baselines))


def mean_rate(slices: Iterable[Slice]) -> float:
    """Return messages done per second; never 0, so that it has a logarithm."""
    parts = list(slices)
    return max(0.5, sum(each.done for each in parts)) / sum(each.seconds for each in parts)


def _means(slices: Sequence[Slice], seed: int) -> Any:
    done = [max(0.5, each.done) for each in slices]
    return resampled_means(done, [each.seconds for each in slices], seed)
