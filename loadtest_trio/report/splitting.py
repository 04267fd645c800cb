"""Tells the runs in a heap of log lines apart.

Every line carries the ``run_id`` of its process, and that decides. Lines of older versions have none; they
are followed in the order in which each file has them, because the clock may have been set and the machine
may have slept:

- ``service_starting`` begins a run, and so does ``service_started`` that follows no ``service_starting``.
- A line with ``uptime_seconds`` belongs to the run that began at its time minus that. Where no run did, it
  belongs to the run whose last uptime it continues by about an interval: the clock was set, or the machine
  slept. Otherwise its run's beginning is missing (a file that was rotated away), and a new one is begun.
- Any other line belongs to the run that was begun last.
"""

from collections.abc import Iterable

import attrs

from loadtest_trio.report.details import LogLine
from loadtest_trio.report.runs import BEGINNINGS, ENDINGS, Run, number

_SAME_START_SECONDS = 3.0
_USUAL_INTERVAL_SECONDS = 10.0
_LATE_INTERVALS = 3.0  # a line that comes later than so many intervals does not continue a run


def split(lines: Iterable[LogLine]) -> list[Run]:
    """Tell runs apart.

    Args:
        lines: Lines of any number of runs, by time; `_source` numbers the files that they are from.

    Returns:
        The runs by their beginning. Lines that belong to no known beginning make runs of their own.
    """
    runs: dict[str, Run] = {}
    older: list[LogLine] = []
    for line in lines:
        run_id = line.get("run_id")
        if isinstance(run_id, str):
            _add(line, runs.setdefault(run_id, Run(_began(line))))
        else:
            older.append(line)
    found = [*runs.values(), *_by_order(older)]
    for run in found:
        run.lines.sort(key=lambda line: line["_at"])
        run.metrics.sort(key=lambda line: number(line, "uptime_seconds"))
    return sorted(found, key=lambda run: run.began)


def _add(line: LogLine, run: Run) -> None:
    (run.metrics if line["event"] == "metrics" else run.lines).append(line)


def _began(line: LogLine) -> float:
    return float(line["_at"]) - number(line, "uptime_seconds")


@attrs.define
class _Followed:
    """A run without a run_id, followed line by line."""

    run: Run
    began: float  # by the clock of its latest line, which may have been set since
    uptime: float = 0.0
    interval: float = _USUAL_INTERVAL_SECONDS
    said: set[str] = attrs.field(factory=set)  # its lines of beginning and end

    def is_continued_by(self, uptime: float) -> bool:
        return 0 < uptime - self.uptime <= _LATE_INTERVALS * self.interval

    def take(self, line: LogLine) -> None:
        if "uptime_seconds" in line:
            uptime = number(line, "uptime_seconds")
            if uptime > self.uptime > 0:
                self.interval = uptime - self.uptime
            self.uptime, self.began = uptime, _began(line)
        self.said |= {line["event"]} & {"service_starting", *BEGINNINGS, *ENDINGS}
        _add(line, self.run)


def _by_order(lines: list[LogLine]) -> list[Run]:
    """Tell the runs of lines without a run_id apart."""
    sources: dict[int, list[LogLine]] = {}
    for line in lines:  # by time, so sources come by their earliest line
        sources.setdefault(line.get("_source", 0), []).append(line)
    followed: list[_Followed] = []
    for each in sources.values():
        for line in sorted(each, key=lambda line: line.get("_order", 0)):
            _owner(line, followed).take(line)
    return [each.run for each in followed]


def _owner(line: LogLine, followed: list[_Followed]) -> _Followed:
    """Return the run that a line belongs to, which may be a new one."""
    candidates = followed
    if line["event"] == "service_started":
        candidates = [each for each in followed if each.said == {"service_starting"}]
    elif line["event"] == "service_starting" or line["event"] in BEGINNINGS:
        candidates = []
    elif "uptime_seconds" in line:
        candidates = _by_uptime(line, [each for each in followed if not each.said & ENDINGS])
    if not candidates:
        followed.append(_Followed(Run(_began(line)), _began(line)))
        return followed[-1]
    return candidates[-1]


def _by_uptime(line: LogLine, candidates: list[_Followed]) -> list[_Followed]:
    """Return the runs that a line with an uptime may belong to, the likeliest last."""

    def distance(each: _Followed) -> float:
        return abs(each.began - _began(line))

    near = [each for each in candidates if distance(each) <= _SAME_START_SECONDS]
    uptime = number(line, "uptime_seconds")
    near = near or [each for each in candidates if each.is_continued_by(uptime)]
    return sorted(near, key=distance, reverse=True)
