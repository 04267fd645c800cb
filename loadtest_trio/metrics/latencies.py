"""Latency distributions: fixed in size, mergeable, cheap to record.

A distribution covers one log interval and starts again after each `collect`. Percentiles over longer spans
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
_NARROWEST, _WIDEST = 8, 27  # 2^8 µs is 0.26 ms, 2^27 µs are 134 s
_BOUNDS = (*((1 << bits) / 1e6 for bits in range(_NARROWEST, _WIDEST + 1)), float("inf"))
_PERCENTILES = {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}


class Latencies:
    """One latency distribution: values are counted by their leading eight bits, so its size is bounded.

    That is the precision of an HdrHistogram with two significant figures, which would cost about 3 µs a value
    in Python, and milliseconds of the event loop for its percentiles.
    """

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._buckets = [0] * len(_BOUNDS)
        self._micros = 0

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
        """Return the count of each value in microseconds since the last call, and start again."""
        counts, self._counts = self._counts, {}
        self._micros += _fill(self._buckets, counts)
        return counts

    def since_start(self) -> tuple[list[tuple[float, int]], float]:
        """Return all values since the start as cumulative buckets, for Prometheus.

        Returns:
            Upper bounds in seconds, each with the number of values below it, and the sum in seconds. The
            bounds are powers of two of a microsecond, where buckets end, so the numbers are exact.
        """
        buckets = [*self._buckets]
        micros = self._micros + _fill(buckets, self._counts)
        return list(zip(_BOUNDS, accumulate(buckets), strict=True)), micros / 1e6


def _fill(buckets: list[int], counts: Mapping[int, int]) -> int:
    """Add counts of microseconds to buckets, and return their sum."""
    total = 0
    for micros, count in counts.items():
        bits = micros.bit_length()
        buckets[0 if bits <= _NARROWEST else min(bits - _NARROWEST, len(buckets) - 1)] += count
        total += micros * count
    return total


def histogram(counts: Mapping[int, int]) -> HdrHistogram:
    """Return counts of microseconds (see `Latencies.collect`) as a histogram."""
    filled = HdrHistogram(1, LARGEST_MICROSECONDS, SIGNIFICANT_FIGURES)
    for micros, count in counts.items():
        filled.record_value(micros, count)
    return filled


def encoded(counts: Mapping[int, int]) -> str:
    """Return counts of microseconds in HdrHistogram's compressed V2 form."""
    filled = histogram(counts)
    text = str(filled.encode().decode("ascii"))
    release(filled)
    return text


def release(used: HdrHistogram) -> None:
    """Make a histogram free its memory as soon as the last reference goes.

    It and its encoder refer to each other, and its 27 KB are few objects: a collector that counts objects
    comes late, in `users` after hundreds of megabytes.
    """
    used.encoder = None


def summary(counts: Mapping[int, int]) -> dict[str, float | None]:
    """Return p50, p95, p99 and max of counts of microseconds (see `Latencies.collect`).

    Returns:
        Milliseconds, as an HdrHistogram gives them: the upper end of the bucket at the nearest rank. None
        when nothing was recorded.
    """
    if not counts:
        return dict.fromkeys(_PERCENTILES)
    values = sorted(counts)
    reached = list(accumulate(counts[value] for value in values))
    ranks = {name: max(1, int(percent * reached[-1] / 100 + 0.5)) for name, percent in _PERCENTILES.items()}
    found = {name: values[bisect_left(reached, rank)] for name, rank in ranks.items()}
    return {name: upper_end(value) / 1000 for name, value in found.items()}


def upper_end(micros: int) -> int:
    """Return the largest value that is counted as this one, in microseconds."""
    return micros + (1 << max(0, micros.bit_length() - _KEPT_BITS)) - 1
