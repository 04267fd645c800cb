"""Percentiles over a span come from merged histograms."""

import gc
from random import Random
from typing import Any

import pytest
from hdrh.histogram import HdrHistogram

from loadtest_trio.metrics.latencies import encoded
from loadtest_trio.report.histograms import MergedLatencies, merge


def test_merged_percentiles_are_those_of_all_values(make: Any) -> None:
    """Merging intervals gives the percentiles of the pooled values, within the histogram's 1 %."""
    rng = Random(1)
    spans = [[rng.lognormvariate(3, 1) for _ in range(n)] for n in (10, 500, 3000)]
    merged = merge([{"histograms": {"x": make.histogram(*span)}} for span in spans])["x"]
    pooled = sorted(value for span in spans for value in span)
    for percent in (50.0, 90.0, 99.0):
        exact = pooled[int(len(pooled) * percent / 100)]
        assert merged.percentile_ms(percent) == pytest.approx(exact, rel=0.02)
    assert merged.count == 3510
    assert merged.mean_ms == pytest.approx(sum(pooled) / len(pooled), rel=0.01)


def test_a_merged_percentile_is_no_average(make: Any) -> None:
    """One slow interval among a hundred moves the merged p50 not at all; an average it would double."""
    lines = [{"histograms": {"x": make.histogram(*[10.0] * 10)}}] * 99
    lines.append({"histograms": {"x": make.histogram(*[1000.0] * 10)}})
    assert merge(lines)["x"].percentile_ms(50) == pytest.approx(10, rel=0.01)


def test_damaged_histograms_are_counted(make: Any) -> None:
    """What cannot be decoded is left out and counted."""
    good = make.histogram(5)
    lines: list[dict[str, object]] = [
        {"histograms": {"x": bad}} for bad in (good, good[:-4], "garbage", 7, None)
    ]
    merged = merge([*lines, {"histograms": "none"}, {}])["x"]
    assert (merged.count, merged.damaged) == (1, 4)


def test_only_wanted_paths_are_merged(make: Any) -> None:
    """Other paths are not decoded."""
    assert list(merge([{"histograms": {"x": make.histogram(1), "y": "bad"}}], ["x"])) == ["x"]


def test_cumulative_steps_rise_to_one(make: Any) -> None:
    """The distribution's steps rise from the smallest value to all values."""
    steps = list(merge([{"histograms": {"x": make.histogram(1, 2, 2, 4)}}])["x"].steps())
    assert [share for _, share in steps] == [0.25, 0.75, 1.0]
    assert [round(ms) for ms, _ in steps] == [1, 2, 4]


def test_histograms_leave_nothing_to_the_garbage_collector() -> None:
    """Encoded or merged, they are freed at once: else 27 KB each pile up where the collector comes seldom."""
    merged = MergedLatencies()
    gc.collect()
    gc.disable()
    try:
        before = sum(isinstance(each, HdrHistogram) for each in gc.get_objects())
        for _ in range(20):
            merged.add(encoded({1000: 3, 2_000_000: 1}))
        left = sum(isinstance(each, HdrHistogram) for each in gc.get_objects()) - before
    finally:
        gc.enable()
    assert merged.count == 80
    assert left == 0
