"""Latency distributions: fixed in size, mergeable, cheap to record.

A distribution covers one log interval and starts anew after each `collect`. Percentiles over longer spans
come from merging the encoded histograms of several lines, never from averaging percentiles.
"""

from bisect import bisect_left
from collections.abc import Mapping
from itertools import accumulate

from hdrh.histogram import HdrHistogram

LARGEST_MICROSECONDS = 3_600_000_000
SIGNIFICANT_FIGURES = 2
_KEPT_BITS = 8  # an HdrHistogram of two significant figures keeps as many
_LARGEST_COUNTED = LARGEST_MICROSECONDS >> 24 << 24  # it has 32 bits
_PERCENTILES = {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}


class Latencies:
    """One latency distribution: values are counted by their leading eight bits, so its size is bounded.

    That is as fine as an HdrHistogram of two significant figures. One of those would cost about 3 µs a
    value in Python, and milliseconds of the event loop to be asked for its percentiles.
    """

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def record(self, seconds: float, times: int = 1) -> None:
        """Count a latency, in seconds; negative ones (clocks of two hosts) count as the smallest."""
        micros = int(seconds * 1e6)
        if micros < 1:
            micros = 1
        excess = micros.bit_length() - _KEPT_BITS
        if excess > 0:
            micros = micros >> excess << excess if micros < LARGEST_MICROSECONDS else _LARGEST_COUNTED
        self._counts[micros] = self._counts.get(micros, 0) + times

    def collect(self) -> dict[int, int]:
        """Return how often each value was recorded since the last call, in microseconds; start anew."""
        counts, self._counts = self._counts, {}
        return counts


def histogram(counts: Mapping[int, int]) -> HdrHistogram:
    """Return what `Latencies.collect` returned as a histogram of microseconds."""
    filled = HdrHistogram(1, LARGEST_MICROSECONDS, SIGNIFICANT_FIGURES)
    for micros, count in counts.items():
        filled.record_value(micros, count)
    return filled


def summary(counts: Mapping[int, int]) -> dict[str, float | None]:
    """Return p50, p95, p99 and max of what `Latencies.collect` returned, as its histogram would.

    Returns:
        Milliseconds: the upper end of the value's bucket, at the rank rounded to the nearest. None when
        nothing was recorded.
    """
    if not counts:
        return dict.fromkeys(_PERCENTILES)
    values = sorted(counts)
    reached = list(accumulate(counts[value] for value in values))
    ranks = {name: max(1, int(percent * reached[-1] / 100 + 0.5)) for name, percent in _PERCENTILES.items()}
    found = {name: values[bisect_left(reached, rank)] for name, rank in ranks.items()}
    return {name: _upper_end(value) / 1000 for name, value in found.items()}


def _upper_end(micros: int) -> int:
    return micros + (1 << max(0, micros.bit_length() - _KEPT_BITS)) - 1
