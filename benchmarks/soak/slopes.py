"""The slope of a noisy series with a confidence interval: does something grow?

Samples ten seconds apart are not independent: memory rises and falls in waves of minutes. Ordinary least
squares on all samples would underestimate its error and report every wave as a trend. So the samples are
averaged over blocks longer than most waves, and the line is fitted through the means of the blocks. If these
are still correlated (a positive autocorrelation r of the residuals at lag one), the number of blocks is
reduced to the effective number n (1 - r) / (1 + r), both for the standard error and for the degrees of
freedom (G. V. Bayley, J. M. Hammersley, "The 'Effective' Number of Independent Observations in an
Autocorrelated Time Series", 1946, for a first-order process).
"""

from collections.abc import Sequence

import attrs
import numpy as np
from scipy import stats

BLOCK_SECONDS = 180.0
CONFIDENCE = 0.95
FEWEST_BLOCKS = 4


@attrs.frozen
class Slope:
    """A line fitted through a series.

    Attributes:
        mean: Mean of the series.
        per_hour: Slope per hour.
        low: Lower end of the confidence interval of the slope.
        high: Upper end of the interval.
        intercept: Value of the line at second 0.
        blocks: Number of blocks.
        autocorrelation: Autocorrelation of the blocks' residuals at lag one.
    """

    mean: float
    per_hour: float
    low: float
    high: float
    intercept: float
    blocks: int
    autocorrelation: float

    @property
    def verdict(self) -> str:
        """``grows``, ``shrinks``, or ``flat`` if neither can be told."""
        if self.low > 0:
            return "grows"
        return "shrinks" if self.high < 0 else "flat"


def fit(seconds: Sequence[float], values: Sequence[float], block_seconds: float = BLOCK_SECONDS) -> Slope:
    """Fit a line through the means of blocks.

    Args:
        seconds: Ascending times of the samples.
        values: One value per sample.
        block_seconds: Length of a block.

    Returns:
        The slope with its interval.

    Raises:
        ValueError: There are fewer than four blocks.
    """
    at, means = _blocks(np.asarray(seconds, float), np.asarray(values, float), block_seconds)
    number = len(at)
    if number < FEWEST_BLOCKS:
        raise ValueError(f"{number} blocks of {block_seconds:g} s are too few for a slope")
    if np.ptp(means) == 0:  # a constant, such as the number of threads, has no uncertainty
        return Slope(float(means[0]), 0.0, 0.0, 0.0, float(means[0]), number, 0.0)
    line = stats.linregress(at, means)
    residuals = means - (line.intercept + line.slope * at)
    correlation = _lag_one(residuals)
    effective = max(3.0, number * (1 - correlation) / (1 + correlation))
    # The usual standard error divides by n - 2 and assumes n blocks; both use the effective number here.
    widening = np.sqrt((number - 2) / (effective - 2)) if correlation > 0 else 1.0
    freedom = effective - 2 if correlation > 0 else number - 2
    reach = stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * line.stderr * widening
    return Slope(
        mean=float(np.mean(values)),
        per_hour=float(line.slope * 3600),
        low=float((line.slope - reach) * 3600),
        high=float((line.slope + reach) * 3600),
        intercept=float(line.intercept),
        blocks=number,
        autocorrelation=float(correlation),
    )


def _blocks(seconds: np.ndarray, values: np.ndarray, length: float) -> tuple[np.ndarray, np.ndarray]:
    number = ((seconds - seconds[0]) // length).astype(int)
    # A last block that is less than half full would count as much as a complete one.
    whole = [index for index in np.unique(number) if np.sum(number == index) >= np.sum(number == 0) / 2]
    at = np.array([seconds[number == index].mean() for index in whole])
    return at, np.array([values[number == index].mean() for index in whole])


def _lag_one(residuals: np.ndarray) -> float:
    power = float(np.sum(residuals**2))
    return float(np.clip(np.sum(residuals[1:] * residuals[:-1]) / power, -0.99, 0.99)) if power else 0.0
