"""Whether two samples differ, how large a difference they could have shown, and how much more would show one.

All on logarithms, so that differences are ratios. Welch's t-test allows for sides that scatter differently
(B. L. Welch, Biometrika 34, 1947); the power of a t-test comes from the noncentral t distribution (J. Cohen,
"Statistical Power Analysis for the Behavioral Sciences", 1988).

Few samples show their own scatter only roughly. Advice on how many more are needed therefore takes the upper
80 % confidence limit of their variance, so that mostly the promise holds (R. H. Browne, "On the Use of a
Pilot Sample for Sample Size Determination", Statistics in Medicine 14, 1995).
"""

from collections.abc import Sequence
from math import expm1, hypot, log, log1p, sqrt
from statistics import fmean, variance

import attrs

from loadtest_trio.report.extras import need

CONFIDENCE, POWER = 0.95, 0.8
_MOST_RUNS = 1000
_FURTHEST = 1000.0  # in standard errors: further than any power of 80 % is reached


@attrs.frozen
class Difference:
    """The ratio of two sides and what limits its certainty.

    Attributes:
        ratio: B over A.
        low: Lower end of its 95 % confidence interval.
        high: Upper end.
        error: Standard error of the ratio's logarithm, from the samples.
        freedom: Degrees of freedom of that error.
        spread: Further uncertainty of the logarithm that no larger sample reduces.
    """

    ratio: float
    low: float
    high: float
    error: float
    freedom: float
    spread: float = 0.0

    @property
    def detectable(self) -> float:
        """The difference, as a share, that such samples show in 80 % of all cases."""
        return expm1(hypot(_distance(self.freedom) * self.error, _distance(float("inf")) * self.spread))

    def factor_to_detect(self, difference: float) -> float | None:
        """Return by what factor both samples must grow to show a difference in 80 % of all cases.

        Args:
            difference: As a share: 0.05 is 5 %.

        Returns:
            The factor; below 1 if smaller samples do. None if the spread alone hides such a difference.
        """
        left = log1p(difference) ** 2 - (_distance(float("inf")) * self.spread) ** 2
        needed = (_distance(self.freedom) * self.error) ** 2 * _caution(self.freedom)
        return needed / left if left > 0 else None


def difference(a: Sequence[float], b: Sequence[float], spread: float = 0.0) -> Difference:
    """Compare two sides.

    Args:
        a: Logarithms of independent samples of side A; at least two.
        b: The same for side B.
        spread: Further uncertainty, as a standard deviation.
    """
    stats = need("scipy.stats")
    middle, error = fmean(b) - fmean(a), sqrt(variance(a) / len(a) + variance(b) / len(b))
    reach, freedom = 0.0, float(len(a) + len(b) - 2)
    if error > 1e-12:  # identical samples have no t
        test = stats.ttest_ind(b, a, equal_var=False)
        ends = test.confidence_interval(CONFIDENCE)
        reach, freedom = float(ends.high - ends.low) / 2, float(test.df)
    reach = hypot(reach, float(stats.norm.ppf(0.5 + CONFIDENCE / 2)) * spread)
    ratio, low, high = (expm1(each) + 1 for each in (middle, middle - reach, middle + reach))
    return Difference(ratio, low, high, error, freedom, spread)


def runs_to_detect(a: Sequence[float], b: Sequence[float], difference: float) -> int | None:
    """Return how many runs a side show a difference in 80 % of all cases, if they scatter as these do.

    Args:
        a: Logarithms of the runs of side A; at least two.
        b: The same for side B.
        difference: As a share: 0.05 is 5 %.

    Returns:
        The number; None if it is over 1,000.
    """
    scatter = sqrt((variance(a) + variance(b)) / 2 * _caution(len(a) + len(b) - 2))
    return next(
        (
            runs
            for runs in range(2, _MOST_RUNS + 1)
            if _distance(2.0 * (runs - 1)) * scatter * sqrt(2 / runs) <= log1p(difference)
        ),
        None,
    )


def _distance(freedom: float) -> float:
    """Return the true difference, in standard errors, that a two-sided t-test shows with a power of 80 %."""
    stats, optimize = need("scipy.stats"), need("scipy.optimize")
    if freedom > _FURTHEST:
        return float(stats.norm.ppf(0.5 + CONFIDENCE / 2) + stats.norm.ppf(POWER))
    limit = stats.t.ppf(0.5 + CONFIDENCE / 2, freedom)
    return float(optimize.brentq(lambda true: stats.nct.sf(limit, freedom, true) - POWER, 0.0, _FURTHEST))


def _caution(freedom: float) -> float:
    """Return the upper 80 % confidence limit of a variance, as a multiple of its estimate."""
    return freedom / float(need("scipy.stats").chi2.ppf(1 - POWER, freedom))


def percent(share: float) -> str:
    """Return a share for people: ``3.2 %``."""
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def log_rate(amount: float, per: float) -> float:
    """Return the logarithm of a rate; 0 counts as a half on either side, so that it has one.

    A batch in which nothing was done, as in an outage, has no cost per message.
    """
    return log(max(amount, 0.5) / (per if per > 0 else 0.5))
