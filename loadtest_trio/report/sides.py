"""The two sides of a comparison: their runs, and independent samples of a figure from them. Pure.

With several runs a side, each run is one sample: what runs differ by is in the interval. With one run a side,
its batches are: neighbouring log intervals are alike (a slow minute is slow throughout), but batches much
longer than such a minute are independent. Ten of them are enough for a t-test. Source: B. Schmeiser, "Batch
Size Effects in the Analysis of Simulation Output", Operations Research 30, 1982.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import attrs

from loadtest_trio.report.extras import need
from loadtest_trio.report.intervals import Interval, intervals
from loadtest_trio.report.power import log_rate
from loadtest_trio.report.reader import UnreadableRunError, read
from loadtest_trio.report.runs import Run
from loadtest_trio.report.splitting import split

FEWEST_INTERVALS = 5
_BATCHES = 10
_UNKNOWN_SPREAD = 0.05  # of the scores in older logs, which were measured in a few milliseconds
Amount = Callable[[Interval, float], float]
"""Returns a quantity of an interval, from the interval and the speed of the core."""


@attrs.frozen
class Figure:
    """A figure to compare: one quantity over another.

    Attributes:
        name: Its name for people.
        amount: The numerator.
        per: The denominator.
        more_is_better: Whether a ratio above 1 is good.
        normalised: Whether it takes account of the core's speed.
    """

    name: str
    amount: Amount
    per: Amount
    more_is_better: bool
    normalised: bool = False


@attrs.frozen
class Side:
    """The runs of one side.

    Attributes:
        name: For headings.
        runs: The longest run of each place.
    """

    name: str
    runs: tuple[Run, ...]

    @classmethod
    def read(cls, places: Sequence[Path]) -> "Side":
        """Read the longest run of each place.

        Raises:
            UnreadableRunError: One has no run with enough intervals in its steady phase.
        """
        more = f" and {len(places) - 1} more" if len(places) > 1 else ""
        return cls(f"{places[0].name}{more}", tuple(_longest(place) for place in places))

    @cached_property
    def spans(self) -> list[list[Interval]]:
        """The intervals of each run's steady phase."""
        return [intervals(run.steady) for run in self.runs]

    @property
    def seconds(self) -> float:
        """Mean length of a run's steady phase."""
        return sum(each.seconds for span in self.spans for each in span) / len(self.runs)

    @property
    def is_probed(self) -> bool:
        """Whether a probe measured the core's speed in every interval."""
        return all(each.host_speed for span in self.spans for each in span)

    @property
    def is_scored(self) -> bool:
        """Whether every run has a calibration score."""
        return all(run.score for run in self.runs)

    @property
    def knows_cpu(self) -> bool:
        """Whether the CPU time of every interval is known."""
        return all(each.cpu_seconds is not None for span in self.spans for each in span)

    @property
    def spread(self) -> float:
        """The uncertainty of the first run's score, as a share."""
        spread = self.runs[0].score_spread
        return _UNKNOWN_SPREAD if spread is None else spread

    def mean(self, figure: Figure, *, probed: bool) -> float:
        """Return a figure over all runs.

        Args:
            figure: The figure.
            probed: Whether speeds come from the probe; else from the scores.
        """
        sums = [_sums(figure, self._with_speeds(place, probed)) for place in range(len(self.runs))]
        return sum(amount for amount, _ in sums) / sum(per for _, per in sums)

    def samples(self, figure: Figure, *, probed: bool, by_run: bool) -> list[float]:
        """Return logarithms of independent samples of a figure.

        Args:
            figure: The figure.
            probed: Whether speeds come from the probe; else from the scores.
            by_run: Whether each run is a sample; else the batches of the first run are.
        """
        if by_run:
            parts = [self._with_speeds(place, probed) for place in range(len(self.runs))]
        else:
            span = self._with_speeds(0, probed)
            places = need("numpy").array_split(range(len(span)), min(_BATCHES, len(span)))
            parts = [[span[place] for place in batch] for batch in places]
        return [log_rate(*_sums(figure, part)) for part in parts]

    def _with_speeds(self, place: int, probed: bool) -> list[tuple[Interval, float]]:
        score = self.runs[place].score or 1.0
        return [(each, (each.host_speed or 1.0) if probed else score) for each in self.spans[place]]


def _sums(figure: Figure, part: Sequence[tuple[Interval, float]]) -> tuple[float, float]:
    return sum(figure.amount(*each) for each in part), sum(figure.per(*each) for each in part)


def _longest(place: Path) -> Run:
    runs = split(read([place]).lines)
    best = max(runs, key=lambda run: len(run.steady))
    found = intervals(best.steady)
    if len(found) < FEWEST_INTERVALS or not sum(each.done for each in found):
        raise UnreadableRunError(
            f"{place}: {len(found)} intervals of the steady phase; {FEWEST_INTERVALS} with work are needed"
        )
    return best
