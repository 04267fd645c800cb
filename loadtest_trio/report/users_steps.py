"""What `users` lines say, step by step: the same numbers live, in the report and in a search. Pure.

One interval of all generators together is a `Moment`. A step gathers its moments, and merges the histograms
in the lines; percentiles are never averaged. Moments in which users still arrived or left (`settling`) are
left out of a step's figures, unless it has no others.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from statistics import fmean, stdev
from typing import Any

import attrs

from loadtest_trio.report.histograms import MergedLatencies

Line = Mapping[str, Any]

DUE, SENT, DURATION, QUEUED = "all.due_ms", "all.sent_ms", "job.duration_ms", "job.queued_ms"
_LIMITED_SHARE = 0.25  # of a step's moments: more, and the generator limited the step


@attrs.frozen(kw_only=True)
class Moment:
    """One interval, all generators together.

    Attributes:
        at: Its end, in seconds since the run began.
        seconds: Its length.
        step: The step's number.
        level: Users that there should be in all; of an open profile, new users a second.
        settling: Users still arrive or leave.
        users: Users there are.
        requests: Replies and failures.
        failures: Of these.
        p50_ms: From when a request was due.
        p95_ms: The same.
        p99_ms: The same.
        submitted: Jobs accepted.
        finished: Jobs seen to end.
        job_failures: Of these: not succeeded.
        abandoned: Jobs given up by their users.
        open: Jobs not seen to end, at its end.
        statuses: Open jobs by state, at its end.
        target_cpu: Of the target, in % of a core; None where it is not known.
        target_wait: The target was ready to run and got no CPU, in % of the time.
        redis_cpu: Of the target's Redis, in % of a core.
        redis_ms: How much longer the target takes for an answer that needs Redis than for one that does not.
        load: Load average of the target's machine.
        fds: Descriptors of the target.
        memory_mb: Resident memory of the target.
        generator_cpu: The busiest generator's, in % of a core.
        lag_ms: p95 of how late the generators' users were woken.
        limited: Why the generator was the limit; empty when it was not.
    """

    at: float
    seconds: float
    step: int = 1
    level: float = 0.0
    settling: bool = False
    users: int = 0
    requests: int = 0
    failures: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    submitted: int = 0
    finished: int = 0
    job_failures: int = 0
    abandoned: int = 0
    open: int = 0
    statuses: Mapping[str, int] = attrs.field(factory=dict)
    target_cpu: float | None = None
    target_wait: float | None = None
    redis_cpu: float | None = None
    redis_ms: float | None = None
    load: float | None = None
    fds: float | None = None
    memory_mb: float | None = None
    generator_cpu: float | None = None
    lag_ms: float | None = None
    limited: tuple[str, ...] = ()

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    @property
    def finish_rate(self) -> float:
        """Jobs finished a second."""
        return self.finished / self.seconds

    @property
    def growth(self) -> float:
        """By how many jobs a second the open ones grow."""
        return (self.submitted - self.finished - self.abandoned) / self.seconds


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


def together(lines: Sequence[Line]) -> Moment:
    """Return the lines of one interval as one: counts add up, what is seen by each counts once."""
    first = lines[0]

    def whole(*path: str) -> int:
        return int(sum(_number(line, *path) or 0 for line in lines))

    def most(*path: str) -> float | None:
        return max((value for line in lines if (value := _number(line, *path)) is not None), default=None)

    if len(lines) == 1:
        p50, p95, p99 = (_number(first, name) for name in ("p50_ms", "p95_ms", "p99_ms"))
    else:
        merged = MergedLatencies()
        for line in lines:
            if encoded := (line.get("histograms") or {}).get(DUE):
                merged.add(encoded)
        p50, p95, p99 = (merged.percentile_ms(percent) for percent in (50, 95, 99))
    statuses: Counter[str] = Counter()
    for line in lines:
        statuses.update((line.get("jobs") or {}).get("statuses") or {})
    return Moment(
        at=max(_number(line, "uptime_seconds") or 0.0 for line in lines),
        seconds=max(max(_number(line, "seconds") or 0.0 for line in lines), 1e-3),
        step=int(_number(first, "step") or 1),
        level=_number(first, "wanted_level") or 0.0,
        settling=any(bool(line.get("settling")) for line in lines),
        users=whole("users"),
        requests=whole("requests"),
        failures=whole("failures"),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        submitted=whole("jobs", "submitted"),
        finished=whole("jobs", "finished"),
        job_failures=whole("jobs", "failed"),
        abandoned=whole("jobs", "abandoned"),
        open=whole("jobs", "open"),
        statuses=statuses,
        target_cpu=most("target", "cpu_percent"),
        target_wait=most("target", "cpu_wait_percent"),
        redis_cpu=most("target", "redis_cpu_percent"),
        redis_ms=_difference(most("target", "stats_ms"), most("target", "nothing_ms")),
        load=most("target", "load1"),
        fds=most("target", "open_fds"),
        memory_mb=most("target", "memory_mb"),
        generator_cpu=most("generator", "cpu_percent"),
        lag_ms=most("generator", "lag_p95_ms"),
        limited=tuple(str(why) for line in lines for why in line.get("limited") or ()),
    )


def _difference(whole: float | None, part: float | None) -> float | None:
    return None if whole is None or part is None else max(0.0, whole - part)


def _number(line: Line, *path: str) -> float | None:
    value: Any = line
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def read_steps(lines: Iterable[Line]) -> Steps:
    """Return the steps of a run.

    Args:
        lines: Its ``users`` lines, by time; of several generators where ``share`` differs. Those of one
            interval are put together by step and by their time in it.
    """
    found = Steps()
    numbered = sorted(lines, key=lambda line: line.get("step") or 0)
    for _, of_step in groupby(numbered, key=lambda line: line.get("step")):
        for bucket in _instants(list(of_step)):
            found.add(bucket)
    found.end()
    return found


def _instants(lines: Sequence[Line]) -> list[list[Line]]:
    """Put the n-th line of each generator in a step together."""
    series: dict[Any, list[Line]] = {}
    for line in sorted(lines, key=lambda line: _number(line, "uptime_seconds") or 0.0):
        series.setdefault((line.get("run_id"), line.get("share")), []).append(line)
    most = max(map(len, series.values()), default=0)
    return [[each[place] for each in series.values() if place < len(each)] for place in range(most)]
