"""Compares two runs: faster, slower, or no difference shown.

A difference is shown when the 95 % confidence interval of the ratio B/A excludes 1. The interval comes from a
block bootstrap over the runs' log intervals. When both runs have a calibration score, rates are divided by it
and CPU times multiplied, so that runs on different machines can be compared; the scores' uncertainty widens
the interval.
"""

from collections.abc import Callable, Sequence
from math import hypot
from pathlib import Path
from typing import Any

import attrs

from loadtest_trio.report.extras import need
from loadtest_trio.report.histograms import merge
from loadtest_trio.report.intervals import Interval, intervals
from loadtest_trio.report.markdown import Cell, table
from loadtest_trio.report.reader import UnreadableRunError, read
from loadtest_trio.report.runs import Run
from loadtest_trio.report.splitting import split
from loadtest_trio.report.statistics import confidence_interval, resampled_means

FEWEST_INTERVALS = 5
_UNKNOWN_SPREAD = 0.05  # of the scores in older logs, which were measured in a few milliseconds
_SEED = 11
_PATHS = ("end_to_end_ms", "READ.service_ms", "UPDATE.service_ms", "CREATE.service_ms", "DELETE.service_ms")


@attrs.frozen
class Ratio:
    """One figure of both runs.

    Attributes:
        name: The figure's name.
        a: Its value in run A.
        b: Its value in run B.
        low: Lower end of the 95 % confidence interval of b / a.
        high: Upper end.
        more_is_better: Whether a ratio above 1 is good.
    """

    name: str
    a: float
    b: float
    low: float
    high: float
    more_is_better: bool

    @property
    def verdict(self) -> str:
        """``faster``, ``slower`` or ``no difference shown``, of B against A."""
        if self.low <= 1 <= self.high:
            return "no difference shown"
        return "faster" if (self.low > 1) == self.more_is_better else "slower"


def compare(a: Path, b: Path) -> str:
    """Compare the longest run of each place and return Markdown.

    Raises:
        UnreadableRunError: One of them has no run with enough intervals in its steady phase.
    """
    runs = [_longest(place) for place in (a, b)]
    ratios, normalised = ratios_of(*runs)
    rows: list[list[Cell]] = [
        [each.name, each.a, each.b, each.b / each.a, each.low, each.high, each.verdict] for each in ratios
    ]
    headings = ("", f"A: {a.name}", f"B: {b.name}", "B/A", "from", "to", "B is")
    how = (
        f"Normalised by the calibration scores ({_said(runs[0])} and {_said(runs[1])})."
        if normalised
        else "Not normalised, because a calibration score is missing: the machines' speeds count too."
    )
    parts = [
        f"**B is {ratios[0].verdict if ratios[0].verdict != 'no difference shown' else 'not shown to differ'}"
        f"{'' if ratios[0].verdict == 'no difference shown' else ' than A'}** in messages a second.",
        table(headings, rows),
        f"{how} Confidence intervals of 95 %, by block bootstrap over the log intervals of the steady phase.",
        _latencies(*runs),
        _changed(*runs),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def ratios_of(a: Run, b: Run) -> tuple[list[Ratio], bool]:
    """Return the figures of two runs, and whether they are normalised."""
    scores = (a.score, b.score)
    scale_a, scale_b = (s for s in scores if s) if all(scores) else (1.0, 1.0)
    spread = hypot(_spread(a), _spread(b)) if all(scores) else 0.0
    spans = [intervals(run.steady, run.began) for run in (a, b)]
    scales = (1 / scale_a, 1 / scale_b)
    ratios = [_ratio("messages a second", spans, scales, spread, _done, _seconds, more_is_better=True)]
    if all(each.cpu_seconds is not None for span in spans for each in span):
        scales = (1000 * scale_a, 1000 * scale_b)
        ratios.append(_ratio("CPU ms a message", spans, scales, spread, _cpu, _done, more_is_better=False))
    return ratios, all(scores)


def _spread(run: Run) -> float:
    return _UNKNOWN_SPREAD if run.score_spread is None else run.score_spread


def _said(run: Run) -> str:
    return f"{run.score:.3g} ± {100 * _spread(run):.1f} %"


def _done(each: Interval) -> float:
    return each.done


def _seconds(each: Interval) -> float:
    return each.seconds


def _cpu(each: Interval) -> float:
    return each.cpu_seconds or 0.0


def _ratio(
    name: str,
    spans: Sequence[Sequence[Interval]],
    scales: tuple[float, float],
    spread: float,
    of: Callable[[Interval], float],
    per: Callable[[Interval], float],
    *,
    more_is_better: bool,
) -> Ratio:
    samples: list[Any] = []
    means = []
    for seed, (span, scale) in enumerate(zip(spans, scales, strict=True)):
        values, weights = [of(each) for each in span], [per(each) for each in span]
        samples.append(scale * resampled_means(values, weights, seed))
        means.append(scale * sum(values) / sum(weights))
    numpy = need("numpy")
    with numpy.errstate(divide="ignore", invalid="ignore"):
        scores = numpy.exp(numpy.random.default_rng(_SEED).normal(0, spread, len(samples[0])))
        low, high = confidence_interval(samples[1] / samples[0] * scores)
    return Ratio(name, means[0], means[1], low, high, more_is_better)


def _longest(place: Path) -> Run:
    runs = split(read([place]).lines)
    best = max(runs, key=lambda run: len(run.steady))
    found = intervals(best.steady)
    if len(found) < FEWEST_INTERVALS or not sum(each.done for each in found):
        raise UnreadableRunError(
            f"{place}: {len(found)} intervals of the steady phase; {FEWEST_INTERVALS} with work are needed"
        )
    return best


def _latencies(a: Run, b: Run) -> str:
    merged = [merge(run.steady, _PATHS) for run in (a, b)]
    rows: list[list[Cell]] = [
        [path, *(each[path].percentile_ms(percent) for percent in (50.0, 99.0) for each in merged)]
        for path in _PATHS
        if all(path in each for each in merged)
    ]
    return table(("milliseconds", "p50 A", "p50 B", "p99 A", "p99 B"), rows) if rows else ""


def _changed(a: Run, b: Run) -> str:
    if not (a.settings and b.settings):
        unknown = " and ".join(name for name, run in (("A", a), ("B", b)) if not run.settings)
        return f"The settings of {unknown} are not among the lines, so whether they differ is not known."
    names = [name for name in {**a.settings, **b.settings} if a.settings.get(name) != b.settings.get(name)]
    rows = [(name, a.settings.get(name, "–"), b.settings.get(name, "–")) for name in names]
    return table(("setting that differs", "A", "B"), rows) if rows else "Both ran with the same settings."
