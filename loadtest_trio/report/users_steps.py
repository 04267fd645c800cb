"""What `users` lines say, step by step: the same numbers live, in the report and in a search. Pure.

A step gathers its moments, and merges the histograms in the lines; percentiles are never averaged. Moments in
which users still arrived or left (`settling`) are left out of a step's figures, unless it has no others.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from statistics import fmean, stdev
from typing import Any

import attrs

from loadtest_trio.report.histograms import MergedLatencies
from loadtest_trio.report.users_moments import DUE, DURATION, QUEUED, SENT, Line, Moment, number, together

LEAVING = "leaving"
"""The phase of a line that tells what users did while they left, after the last step."""

_LIMITED_SHARE = 0.25  # of a step's moments: more, and the generator limited the step


@attrs.define
class Step:
    """One step.

    Attributes:
        number: From 1.
        level: Users wanted in all; of an open profile, new users a second.
        all: Every moment of it.
        over: It has ended: nothing will be added.
    """

    number: int
    level: float
    all: list[Moment] = attrs.field(factory=list)
    over: bool = False
    _merged: dict[str, MergedLatencies] = attrs.field(factory=dict)

    def add(self, moment: Moment, histograms: Iterable[Mapping[str, Any]] = ()) -> None:
        """Add an interval, and the histograms of its lines."""
        first_measured = not moment.settling and all(each.settling for each in self.all)
        if first_measured:
            self._merged.clear()  # of the settling before
        self.all.append(moment)
        self.level = moment.level
        if moment.settling and not all(each.settling for each in self.all):
            return
        for paths in histograms:
            for path in (DUE, SENT, DURATION, QUEUED):
                if path in paths:
                    self._merged.setdefault(path, MergedLatencies()).add(paths[path])

    def distribution(self, path: str) -> MergedLatencies:
        """Return one of the merged distributions: DUE, SENT, DURATION or QUEUED."""
        return self._merged.get(path, MergedLatencies())

    @property
    def moments(self) -> list[Moment]:
        """Those that count."""
        return [each for each in self.all if not each.settling] or self.all

    @property
    def seconds(self) -> float:
        """How long was measured."""
        return sum(each.seconds for each in self.moments)

    def total(self, field: str) -> int:
        """Return a counter's sum."""
        return sum(getattr(each, field) for each in self.moments)

    def per_second(self, field: str) -> float:
        """Return a counter a second."""
        return self.total(field) / self.seconds if self.seconds else 0.0

    def mean(self, field: str) -> float | None:
        """Return a gauge's mean over the moments that know it."""
        known = [value for each in self.moments if (value := getattr(each, field)) is not None]
        return fmean(known) if known else None

    def error(self, rate: str) -> float:
        """Return the standard error of the mean of a rate; infinity for less than three moments."""
        values = [getattr(each, rate) for each in self.moments]
        return stdev(values) / len(values) ** 0.5 if len(values) >= 3 else float("inf")

    @property
    def users(self) -> float:
        """Mean users."""
        return self.mean("users") or 0.0

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.per_second("requests")

    @property
    def finish_rate(self) -> float:
        """Jobs finished a second."""
        return self.per_second("finished")

    @property
    def failed_share(self) -> float:
        """Failures over requests."""
        return self.total("failures") / max(1, self.total("requests"))

    @property
    def p95_ms(self) -> float | None:
        """From when a request was due: of the merged histograms; without any, the median of the moments."""
        merged = self.distribution(DUE)
        if merged.count:
            return merged.percentile_ms(95)
        known = sorted(each.p95_ms for each in self.moments if each.p95_ms is not None)
        return known[len(known) // 2] if known else None

    @property
    def job_seconds(self) -> float | None:
        """How long a job takes, by Little's law: open jobs over those that finish a second."""
        open_jobs, rate = self.mean("open"), self.finish_rate
        if not open_jobs:
            return 0.0 if rate else None
        return open_jobs / rate if rate else float("inf")

    @property
    def limited(self) -> tuple[str, ...]:
        """Why the generator limited this step; empty when it did not."""
        reasons = Counter(why.split(":")[0] for each in self.moments for why in each.limited[:1])
        if not reasons or reasons.total() <= _LIMITED_SHARE * len(self.moments):
            return ()
        last = {why.split(":")[0]: why for each in self.moments for why in each.limited}
        return tuple(last[name] for name, _ in reasons.most_common())


@attrs.define
class Steps:
    """All steps of a run, in order.

    Attributes:
        steps: So far; the last may be under way.
    """

    steps: list[Step] = attrs.field(factory=list)

    def add(self, lines: Sequence[Line]) -> Moment:
        """Add the lines of one interval, one of each generator."""
        moment = together(lines)
        if not self.steps or self.steps[-1].number != moment.step:
            if self.steps:
                self.steps[-1].over = True
            self.steps.append(Step(moment.step, moment.level))
        self.steps[-1].add(moment, [line.get("histograms") or {} for line in lines])
        return moment

    def end(self) -> None:
        """Nothing will be added."""
        if self.steps:
            self.steps[-1].over = True


def read_steps(lines: Iterable[Line]) -> Steps:
    """Return the steps of a run.

    Args:
        lines: Its ``users`` lines, by time; of several generators where ``share`` differs. Those of one
            interval are put together by step and by their time in it.
    """
    found = Steps()
    of_steps = [line for line in lines if line.get("phase") != LEAVING]
    numbered = sorted(of_steps, key=lambda line: line.get("step") or 0)
    for _, of_step in groupby(numbered, key=lambda line: line.get("step")):
        for bucket in _instants(list(of_step)):
            found.add(bucket)
    found.end()
    return found


def _instants(lines: Sequence[Line]) -> list[list[Line]]:
    """Put the n-th line of each generator in a step together."""
    series: dict[Any, list[Line]] = {}
    for line in sorted(lines, key=lambda line: number(line, "uptime_seconds") or 0.0):
        series.setdefault((line.get("run_id"), line.get("share")), []).append(line)
    most = max(map(len, series.values()), default=0)
    return [[each[place] for each in series.values() if place < len(each)] for place in range(most)]
