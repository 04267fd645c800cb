"""The elasticity of throughput to a resource, with its confidence interval. Pure.

Elasticity is the change of log throughput per change of the log resource: 1 means that the resource is fully
limiting, 0 that it is irrelevant.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import inf, log, sqrt
from statistics import fmean, stdev

import attrs

from loadtest_trio.report.extras import need

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

    @property
    def half_width(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2


UNKNOWN = Elasticity(0.0, 0.0, 0.0)


def elasticity(contrasts: Sequence[float], factor: float, first: int) -> Elasticity:
    """Return the elasticity that repeated contrasts show, with an interval that allows early stopping.

    Measuring until the interval is narrow favours samples whose spread looks small by chance. Stein's
    interval takes the spread from the first contrasts only, the number of which is fixed in advance, and
    Student's t of their degrees of freedom; its coverage is exact however the spread decides when to stop (C.
    Stein, "A Two-Sample Test for a Linear Hypothesis Whose Power Is Independent of the Variance", Annals of
    Mathematical Statistics 16, 1945). The spread may also grow later, so the ordinary interval of all
    contrasts is calculated too, and the wider one counts.

    Args:
        contrasts: Difference of log throughput to the baseline, of each window.
        factor: Factor by which the resource changed.
        first: Number of contrasts in the first stage.
    """
    value, number = fmean(contrasts) / log(factor), len(contrasts)
    if number < 2:
        return Elasticity(value, -inf, inf)
    stein = _quantile(min(first, number) - 1) * stdev(contrasts[:first])
    ordinary = _quantile(number - 1) * stdev(contrasts)
    reach = max(stein, ordinary) / sqrt(number) / abs(log(factor))
    return Elasticity(value, value - reach, value + reach)


@lru_cache
def _quantile(freedom: int) -> float:
    return float(need("scipy.stats").t.ppf(_QUANTILE, freedom))
