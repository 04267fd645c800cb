"""Compares two sides of one or more runs each: faster, slower, or no difference shown, and with what power.

A difference is shown when the 95 % confidence interval of the ratio B/A excludes 1. Figures are raw and,
where the speed of the core is known, normalised, so that runs on different machines or at different times can
be compared: by the probe that measured it during the runs, else by the calibration score of each run. The
uncertainty of the scores widens the interval of a single run a side; of several, it is part of what they
differ by.
"""

from collections.abc import Iterable, Sequence
from math import ceil, hypot
from pathlib import Path

import attrs

from loadtest_trio.report.histograms import merge
from loadtest_trio.report.markdown import Cell, duration, table
from loadtest_trio.report.power import Difference, difference, percent, runs_to_detect
from loadtest_trio.report.reader import UnreadableRunError
from loadtest_trio.report.sides import Figure, Side

_PATHS = ("end_to_end_ms", "READ.service_ms", "UPDATE.service_ms", "CREATE.service_ms", "DELETE.service_ms")
_RATE = Figure("messages a second", lambda each, _: each.done, lambda each, _: each.seconds, True)
_NORMAL_RATE = Figure(
    f"{_RATE.name}, normalised", _RATE.amount, lambda each, speed: speed * each.seconds, True, True
)
_CPU = Figure(
    "CPU ms a message", lambda each, _: 1000 * (each.cpu_seconds or 0.0), lambda each, _: each.done, False
)
_NORMAL_CPU = Figure(
    f"{_CPU.name}, normalised", lambda each, speed: speed * _CPU.amount(each, speed), _CPU.per, False, True
)


@attrs.frozen
class Comparison:
    """One figure of both sides.

    Attributes:
        figure: The figure.
        a: Its value of side A.
        b: Its value of side B.
        found: The ratio of both.
    """

    figure: Figure
    a: float
    b: float
    found: Difference

    @property
    def verdict(self) -> str:
        """``faster``, ``slower`` or ``no difference shown``, of B against A."""
        if self.found.low <= 1 <= self.found.high:
            return "no difference shown"
        return "faster" if (self.found.low > 1) == self.figure.more_is_better else "slower"


@attrs.frozen
class Pair:
    """Both sides, and how they can be compared.

    Attributes:
        a: Side A.
        b: Side B.
    """

    a: Side
    b: Side

    @classmethod
    def read(cls, a: Sequence[Path], b: Sequence[Path]) -> "Pair":
        """Read both sides; see `compare`."""
        if (len(a) > 1) != (len(b) > 1):
            raise UnreadableRunError(
                "one side has several runs and the other only one: give two or more of each, or one of each"
            )
        return cls(Side.read(a), Side.read(b))

    @property
    def by_run(self) -> bool:
        """Whether there are several runs a side, each of them a sample."""
        return len(self.a.runs) > 1

    @property
    def is_probed(self) -> bool:
        """Whether a probe measured the core's speed during all runs."""
        return self.a.is_probed and self.b.is_probed

    @property
    def is_scored(self) -> bool:
        """Whether all runs have a calibration score."""
        return self.a.is_scored and self.b.is_scored

    def samples(self, figure: Figure) -> tuple[list[float], list[float]]:
        """Return the samples of both sides."""
        first, second = (
            side.samples(figure, probed=self.is_probed, by_run=self.by_run) for side in (self.a, self.b)
        )
        return first, second

    def compare(self, figure: Figure) -> Comparison:
        """Compare one figure."""
        certain = self.is_probed or self.by_run or not figure.normalised
        spread = 0.0 if certain else hypot(self.a.spread, self.b.spread)
        means = [side.mean(figure, probed=self.is_probed) for side in (self.a, self.b)]
        return Comparison(figure, means[0], means[1], difference(*self.samples(figure), spread))

    def comparisons(self) -> list[Comparison]:
        """Compare all figures; the first one decides the verdict."""
        normal = self.is_probed or self.is_scored
        rates = (_NORMAL_RATE, _RATE) if normal else (_RATE,)
        costs = ((_NORMAL_CPU, _CPU) if normal else (_CPU,)) if self.a.knows_cpu and self.b.knows_cpu else ()
        return [self.compare(figure) for figure in (*rates, *costs)]


def compare(a: Sequence[Path], b: Sequence[Path], detect: float | None = None) -> str:
    """Compare the longest run of each place and return Markdown.

    Args:
        a: Places of the runs of side A: one, or two and more.
        b: The same for side B.
        detect: A difference, as a share, to say for how long one has to run to see it.

    Raises:
        UnreadableRunError: A place has no run with enough intervals in its steady phase, or only one side
            has several.
    """
    pair = Pair.read(a, b)
    found = pair.comparisons()
    parts = [
        _verdict(found[0]),
        _power(pair, found[0]),
        _wanted(pair, found[0], detect) if detect else "",
        _table(pair, found),
        f"{_normalisation(pair)} {_method(pair)}",
        _latencies(pair),
        _changed(pair),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _verdict(first: Comparison) -> str:
    found = first.found
    shown = first.verdict != "no difference shown"
    answer = f"**B is {first.verdict} than A**" if shown else "**B is not shown to differ**"
    return (
        f"{answer} in messages a second. B does {found.ratio:.3f} times as much as A: with 95 % confidence "
        f"{found.low:.3f} to {found.high:.3f} times."
    )


def _power(pair: Pair, first: Comparison) -> str:
    sides = (
        f"{len(pair.a.runs)} and {len(pair.b.runs)} runs"
        if pair.by_run
        else f"runs of {duration(pair.a.seconds)} and {duration(pair.b.seconds)}"
    )
    return (
        f"Such {sides} show a difference of {percent(first.found.detectable)} in four of five cases; "
        "a smaller one is likely to go unseen."
    )


def _wanted(pair: Pair, first: Comparison, detect: float) -> str:
    """Say for how long one has to run to see a difference."""
    goal = f"To see {percent(detect)} in four of five cases"
    if pair.by_run:
        runs = runs_to_detect(*pair.samples(first.figure), detect)
        needed = f"{runs} runs a side as long as these" if runs else "more than 1,000 runs a side"
        return f"{goal}, make {needed}."
    factor = first.found.factor_to_detect(detect)
    if factor is None:
        return f"{goal}, no run is long enough: the calibration scores are too uncertain. Make several runs."
    needed_seconds = ceil(factor * min(pair.a.seconds, pair.b.seconds))
    return (
        f"{goal}, run each side for {duration(needed_seconds)}. That counts what happens within these two "
        "runs; what further runs would differ by, only several runs a side show."
    )


def _table(pair: Pair, found: Iterable[Comparison]) -> str:
    rows: list[list[Cell]] = [
        [
            each.figure.name,
            *(each.a, each.b, each.found.ratio, each.found.low, each.found.high),
            percent(each.found.detectable),
            each.verdict,
        ]
        for each in found
    ]
    headings = ("", f"A: {pair.a.name}", f"B: {pair.b.name}", "B/A", "from", "to", "would show", "B is")
    return table(headings, rows)


def _normalisation(pair: Pair) -> str:
    if pair.is_probed:
        return "Normalised by the speed of the core, which a probe measured during the runs."
    if not pair.is_scored:
        return "Not normalised, because a calibration score is missing: the machines' speeds count too."
    if pair.by_run:
        return "Normalised by the calibration score of each run."
    return f"Normalised by the calibration scores ({_said(pair.a)} and {_said(pair.b)})."


def _said(side: Side) -> str:
    return f"{side.runs[0].score:.3g} ± {100 * side.spread:.1f} %"


def _method(pair: Pair) -> str:
    if pair.by_run:
        return "Confidence intervals of 95 %, by Welch's t-test over the runs."
    return (
        "Confidence intervals of 95 %, by Welch's t-test over ten batches of the steady phase's intervals: "
        "they hold for these two runs, and do not know what further runs would differ by."
    )


def _latencies(pair: Pair) -> str:
    merged = [merge([line for run in side.runs for line in run.steady], _PATHS) for side in (pair.a, pair.b)]
    rows: list[list[Cell]] = [
        [path, *(each[path].percentile_ms(share) for share in (50.0, 99.0) for each in merged)]
        for path in _PATHS
        if all(path in each for each in merged)
    ]
    return table(("milliseconds", "p50 A", "p50 B", "p99 A", "p99 B"), rows) if rows else ""


def _changed(pair: Pair) -> str:
    unknown = [
        name for name, side in (("A", pair.a), ("B", pair.b)) if not all(run.settings for run in side.runs)
    ]
    if unknown:
        who = " and ".join(unknown)
        return f"The settings of {who} are not among the lines, so whether they differ is not known."
    names = dict.fromkeys(name for side in (pair.a, pair.b) for run in side.runs for name in run.settings)
    rows = [(name, _values(pair.a, name), _values(pair.b, name)) for name in names]
    differing = [row for row in rows if row[1] != row[2] or " or " in row[1]]
    if not differing:
        return "All ran with the same settings." if pair.by_run else "Both ran with the same settings."
    return table(("setting that differs", "A", "B"), differing)


def _values(side: Side, name: str) -> str:
    return " or ".join(dict.fromkeys(run.settings.get(name, "–") for run in side.runs))
