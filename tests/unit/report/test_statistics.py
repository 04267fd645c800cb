"""Intervals cover what they promise, also for series whose neighbours are alike."""

from random import Random

import pytest

from loadtest_trio.report.statistics import confidence_interval, resampled_means


def test_intervals_of_independent_values_cover_the_mean() -> None:
    """Of 200 intervals of 95 %, at least 88 % hold the true mean of 40 independent values."""
    held = 0
    for seed in range(200):
        rng = Random(seed)
        low, high = confidence_interval(resampled_means([rng.gauss(100, 10) for _ in range(40)], seed=seed))
        held += low <= 100 <= high
    assert held >= 176


def test_correlated_neighbours_widen_the_interval() -> None:
    """A series that wanders has a wider interval than the same values shuffled."""
    rng, value, series = Random(3), 100.0, []
    for _ in range(125):
        value = 100 + 0.9 * (value - 100) + rng.gauss(0, 3)
        series.append(value)
    shuffled = rng.sample(series, len(series))
    wandering, independent = (confidence_interval(resampled_means(each)) for each in (series, shuffled))
    assert wandering[1] - wandering[0] > 1.3 * (independent[1] - independent[0])


def test_weighted_means_are_rates() -> None:
    """Counts over seconds: the mean of 10 in 1 s and 60 in 2 s lies between 10/s and 30/s."""
    low, high = confidence_interval(resampled_means([10, 60] * 20, [1, 2] * 20))
    assert low == pytest.approx(70 / 3, rel=0.2)
    assert low < 70 / 3 < high
