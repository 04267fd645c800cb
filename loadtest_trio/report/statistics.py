"""Confidence intervals of time series, whose neighbouring values are alike."""

from collections.abc import Sequence
from typing import Any

from loadtest_trio.report.extras import need

RESAMPLES = 4000


def resampled_means(
    values: Sequence[float], weights: Sequence[float] | None = None, seed: int = 0, resamples: int = RESAMPLES
) -> Any:
    """Return means of resamples of a time series, by the moving block bootstrap.

    Neighbouring values are alike (a slow minute is slow throughout), so blocks of n^(1/3) neighbours are
    drawn instead of single values. Source: H. R. Künsch, "The Jackknife and the Bootstrap for General
    Stationary Observations", Annals of Statistics 17, 1989.

    Args:
        values: The series; at least one value.
        weights: When given, the mean is the sum of values over the sum of weights. With counts and seconds
            that is a rate.
        seed: Makes the result repeatable.
        resamples: The number of means.

    Returns:
        A numpy array of `resamples` means.
    """
    numpy = need("numpy")
    series = numpy.asarray(values, dtype=float)
    bases = numpy.ones_like(series) if weights is None else numpy.asarray(weights, dtype=float)
    block = max(1, round(len(series) ** (1 / 3)))
    blocks = -(-len(series) // block)
    rng = numpy.random.default_rng(seed)
    starts = rng.integers(0, len(series) - block + 1, size=(resamples, blocks))
    places = (starts[:, :, None] + numpy.arange(block)).reshape(resamples, -1)[:, : len(series)]
    return series[places].sum(axis=1) / bases[places].sum(axis=1)


def confidence_interval(samples: Any, confidence: float = 0.95) -> tuple[float, float]:
    """Return the ends of the middle share of bootstrap samples."""
    numpy = need("numpy")
    tail = 100 * (1 - confidence) / 2
    low, high = numpy.percentile(samples, [tail, 100 - tail])
    return float(low), float(high)
