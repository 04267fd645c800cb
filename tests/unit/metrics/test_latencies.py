"""Latencies: percentiles against exact ones, histograms that merge, and a size that does not grow."""

from random import Random

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from loadtest_trio.metrics.latencies import LARGEST_MICROSECONDS, Latencies, histogram, summary
from tests.support.histograms import as_said


def exact(values: list[float], percent: float) -> float:
    """Return the percentile with its rank rounded to the nearest, as HdrHistogram defines it."""
    return sorted(values)[max(1, int(percent * len(values) / 100 + 0.5)) - 1]


def filled(values: list[float]) -> Latencies:
    """Return these latencies, recorded."""
    latencies = Latencies()
    for value in values:
        latencies.record(value)
    return latencies


@given(st.lists(st.floats(1e-6, 3000), min_size=1, max_size=300))
def test_percentiles_are_within_one_percent(values: list[float]) -> None:
    """Every reported percentile is within 1 % of the exact one, from microseconds to most of an hour."""
    found = summary(filled(values).collect())
    for name, percent in (("p50", 50), ("p95", 95), ("p99", 99), ("max", 100)):
        value = found[name]
        assert value is not None
        assert value == pytest.approx(1000 * exact(values, percent), rel=0.01, abs=0.0021)


@given(st.lists(st.floats(1e-6, 1e6) | st.floats(-1, 1)))
def test_percentiles_equal_those_of_the_histogram(values: list[float]) -> None:
    """What a line says is exactly what the histogram in the same line says."""
    counts = filled(values).collect()
    assert summary(counts) == as_said(histogram(counts))


@given(st.lists(st.floats(1e-6, 1e6) | st.floats(-1, 1), min_size=1))
def test_no_percentile_is_above_a_higher_one(values: list[float]) -> None:
    """Rounding never puts p99 above the largest value."""
    found = [value for value in summary(filled(values).collect()).values() if value is not None]
    assert found == sorted(found)


@pytest.mark.parametrize("fast", [100, 1000])
def test_one_outlier_is_the_largest_value_and_not_p99(fast: int) -> None:
    """Of 101 or 1,001 values one is slow: that is less than one in a hundred."""
    found = summary(filled([0.001] * fast + [10_000.0]).collect())
    assert found["p99"] == pytest.approx(1, rel=0.01)
    assert found["max"] == pytest.approx(3_600_000, rel=0.01), "an hour is the most that is told apart"


@given(st.lists(st.floats(1e-6, 1e3), max_size=100), st.lists(st.floats(1e-6, 1e3), max_size=100))
def test_merged_histograms_equal_one_of_all_values(one: list[float], other: list[float]) -> None:
    """Encoded histograms of two intervals, decoded and added, say what one of both would have said."""
    merged = HdrHistogram(1, LARGEST_MICROSECONDS, 2)
    for values in (one, other):
        if values:
            merged.decode_and_add(histogram(filled(values).collect()).encode())
    assert as_said(merged) == summary(filled(one + other).collect())


def test_empty_latencies_have_no_percentiles() -> None:
    """Without values there are no percentiles, and no zero that looks like one."""
    assert summary(Latencies().collect()) == {"p50": None, "p95": None, "p99": None, "max": None}


def test_collect_resets_the_latencies() -> None:
    """An interval's latencies are told once."""
    latencies = filled([1.0])
    assert sum(latencies.collect().values()) == 1
    assert latencies.collect() == {}


@pytest.mark.parametrize("seconds", [-5.0, 0.0, 1e-9, 3600.0, 1e7])
def test_negative_and_huge_latencies_are_counted(seconds: float) -> None:
    """Negative ones (two hosts' clocks), none at all and endless ones are counted at the edges."""
    assert histogram(filled([seconds]).collect()).get_total_count() == 1


def test_memory_of_latencies_is_bounded() -> None:
    """A hundred thousand latencies over ten decades take a few thousand places, and no more when repeated."""
    rng = Random(1)
    latencies = filled([10 ** rng.uniform(-6, 4) for _ in range(100_000)])
    assert len(latencies._counts) < 4500  # 128 an octave, 33 octaves, fewer in the first eight
    assert len(histogram(latencies.collect()).encode()) < 20_000
