"""Latency distributions over any span of time, merged from the histograms in log lines.

Percentiles are never averaged: an average of percentiles is not a percentile of anything (G. Tene,
HdrHistogram).
"""

from collections.abc import Iterable, Iterator, Mapping

import attrs
from hdrh.histogram import HdrHistogram

from loadtest_trio.metrics.latencies import LARGEST_MICROSECONDS, SIGNIFICANT_FIGURES, release


@attrs.define
class MergedLatencies:
    """Merged latencies of one path, such as ``READ.service_ms``.

    Attributes:
        damaged: Histograms that could not be decoded.
    """

    _merged: HdrHistogram = attrs.field(
        factory=lambda: HdrHistogram(1, LARGEST_MICROSECONDS, SIGNIFICANT_FIGURES), init=False
    )
    damaged: int = 0

    def add(self, encoded: object) -> None:
        """Merge one histogram in HdrHistogram's compressed V2 form."""
        try:
            decoded = HdrHistogram.decode(encoded)
            self._merged.add(decoded)
            release(decoded)
        except Exception:  # the decoder raises anything that ctypes, zlib and base64 do, and bare Exception
            self.damaged += 1

    @property
    def count(self) -> int:
        """The number of recorded values."""
        return int(self._merged.get_total_count())

    @property
    def mean_ms(self) -> float:
        """The mean, in milliseconds; 0 when empty."""
        return float(self._merged.get_mean_value()) / 1000 if self.count else 0.0

    def percentile_ms(self, percent: float) -> float | None:
        """Return a percentile in milliseconds; None when empty."""
        return float(self._merged.get_value_at_percentile(percent)) / 1000 if self.count else None

    def steps(self) -> Iterator[tuple[float, float]]:
        """Yield (milliseconds, share of all values at most that) in rising order."""
        counted, total = 0, self.count
        for item in self._merged.get_recorded_iterator():
            counted += item.count_at_value_iterated_to
            yield item.value_iterated_to / 1000, counted / total


def merge(
    lines: Iterable[Mapping[str, object]], wanted: Iterable[str] | None = None
) -> dict[str, MergedLatencies]:
    """Merge the histograms of metrics lines, path by path.

    Args:
        lines: Metrics lines; one without histograms, or with damaged ones, adds nothing.
        wanted: Only these paths; every path when None.

    Returns:
        Path -> distribution.
    """
    paths = None if wanted is None else set(wanted)
    merged: dict[str, MergedLatencies] = {}
    for line in lines:
        histograms = line.get("histograms")
        if not isinstance(histograms, dict):
            continue
        for path, encoded in histograms.items():
            if paths is None or path in paths:
                merged.setdefault(path, MergedLatencies()).add(encoded)
    return merged
