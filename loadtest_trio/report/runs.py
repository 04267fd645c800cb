"""Runs: the lines of one life of the service, told apart and made sense of.

A run begins with ``service_started`` or ``tune_started``. Lines of several processes may be mixed, and
the beginning may be missing (a file that was rotated away), so a line that says its ``uptime_seconds``
belongs to the run that began at its time minus that; every other line to the run begun last.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import attrs

from loadtest_trio.report.reader import LogLine

BEGINNINGS = frozenset({"service_started", "tune_started"})
ENDINGS = frozenset({"service_stopped", "tune_stopped"})
_SAME_START_SECONDS = 3.0
_COUNTERS = ("messages_created", "messages_processed", "messages_missed", "messages_failed", "errors")


@attrs.define
class Run:
    """One run.

    Attributes:
        began: When it began, in Unix seconds, as far as is known.
        lines: All its lines but the metrics, by time.
        metrics: Its metrics lines, by time.
    """

    began: float
    lines: list[LogLine] = attrs.field(factory=list)
    metrics: list[LogLine] = attrs.field(factory=list)

    def first(self, *events: str) -> LogLine:
        """Return the first line of one of these events, or an empty one."""
        return next((line for line in self.lines if line["event"] in events), {})

    def all(self, event: str) -> list[LogLine]:
        """Return the lines of one event."""
        return [line for line in self.lines if line["event"] == event]

    @property
    def started(self) -> LogLine:
        """The line it began with; empty when that is missing."""
        return self.first(*BEGINNINGS)

    @property
    def stopped(self) -> LogLine:
        """The line it ended with; empty when it was killed, still runs, or was cut off."""
        return self.first(*ENDINGS)

    @property
    def is_tuning(self) -> bool:
        """Whether this is a saturation search, not the service itself."""
        return any(line["event"].startswith("tune_") for line in self.lines)

    @property
    def settings(self) -> dict[str, str]:
        """The settings it was started with, by name."""
        return mapping(self.started.get("settings"))

    @property
    def seconds(self) -> float:
        """How long it is known to have run."""
        last = max((line["_at"] for line in (*self.lines[-1:], *self.metrics[-1:])), default=self.began)
        return max(number(self.final, "uptime_seconds"), last - self.began)

    @property
    def final(self) -> LogLine:
        """The last line that carries totals; of a search, of the stage it found: each counts anew."""
        if "ledger" in self.stopped:
            return self.stopped
        lines = self.steady if self.is_tuning else self.metrics
        return lines[-1] if lines else {}

    @property
    def operations(self) -> dict[str, LogLine]:
        """What was counted for each operation, as of the last line that carries totals."""
        last = mapping(self.final.get("by_operation"))
        if not last and self.metrics and not self.is_tuning:
            last = mapping(self.metrics[-1].get("by_operation"))
        return {name: each for name, each in last.items() if isinstance(each, dict)}

    @property
    def steady(self) -> list[LogLine]:
        """The metrics lines after the preconditions were met; of a search, those at its saturation point."""
        steady = [line for line in self.metrics if line.get("phase", "steady") == "steady"]
        if not self.is_tuning:
            return steady
        stage = self.best_stage
        return [line for line in steady if stage is not None and line.get("stage") == stage]

    @property
    def best_stage(self) -> float | None:
        """The stage of the saturation point: confirmed, else the one with the highest rate that passed."""
        stages = [line for line in self.all("tune_stage") if line.get("stage") is not None]
        if self.first("tune_saturation").get("confirmed", True):
            windows = [line["stage"] for line in stages if line.get("kind") == "confirm"]
            if windows:
                return float(windows[-1])
        passed = [line for line in stages if line.get("passed") and line.get("kind") != "confirm"]
        best = max(passed, key=lambda line: number(line, "offered_per_second"), default={})
        return best.get("stage")

    @property
    def score(self) -> float | None:
        """The machine's calibration score, where one was measured."""
        value = self.first("tune_calibrated").get("score", self.started.get("score"))
        return float(value) if isinstance(value, int | float) and value > 0 else None

    @property
    def score_spread(self) -> float | None:
        """By how much the score may be off, as a share, where that is known."""
        value = self.first("tune_calibrated").get("score_spread", self.started.get("score_spread"))
        return float(value) if isinstance(value, int | float) and value >= 0 else None

    @property
    def troubles(self) -> Counter[str]:
        """How often each kind of warning or error was written, held back ones included."""
        counts: Counter[str] = Counter()
        for line in self.lines:
            if line["event"] == "failures_summarised":
                counts[str(line.get("kind"))] += int(number(line, "held_back"))
            elif line.get("level") in ("WARNING", "ERROR"):
                kind = " ".join(str(line[key]) for key in ("operation", "error_type") if key in line)
                counts[kind or line["event"]] += 1
        return counts


def number(line: LogLine, name: str, default: float = 0.0) -> float:
    """Return a numeric field, or the default where it is missing, null or something else."""
    value = line.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else default


def split(lines: Iterable[LogLine]) -> list[Run]:
    """Tell runs apart.

    Args:
        lines: Lines of any number of runs, by time.

    Returns:
        The runs by their beginning; lines before any of them begin a run of their own.
    """
    runs: list[Run] = []
    for line in lines:
        if line["event"] in BEGINNINGS:
            runs.append(Run(line["_at"]))
        run = _owner(line, runs)
        (run.metrics if line["event"] == "metrics" else run.lines).append(line)
    return runs


def _owner(line: LogLine, runs: list[Run]) -> Run:
    if line["event"] not in BEGINNINGS and "uptime_seconds" in line:
        began = line["_at"] - number(line, "uptime_seconds")
        close = [run for run in runs if abs(run.began - began) <= _SAME_START_SECONDS]
        if close:
            return min(close, key=lambda run: abs(run.began - began))
        runs.append(Run(began))
    if not runs:
        runs.append(Run(line["_at"]))
    return runs[-1]


@attrs.frozen
class Interval:
    """What happened between two metrics lines.

    Attributes:
        at: Its end, in seconds since the run began.
        seconds: Its length.
        done: Messages processed or missed in it.
        cpu_seconds: CPU the process used in it; None where the line does not say.
    """

    at: float
    seconds: float
    done: int
    cpu_seconds: float | None

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.done / self.seconds


def intervals(lines: Sequence[LogLine], began: float = 0.0) -> list[Interval]:
    """Turn running counters into intervals, over lost lines and counters that began anew.

    Args:
        lines: Metrics lines of one run, by time.
        began: What `Interval.at` counts from, in Unix seconds.
    """
    result = []
    for before, after in pairwise(lines):
        seconds = number(after, "uptime_seconds") - number(before, "uptime_seconds")
        done = sum(
            number(after, name) - number(before, name) for name in ("messages_processed", "messages_missed")
        )
        if seconds <= 0 or done < 0 or before.get("stage") != after.get("stage"):
            continue
        percent = after.get("cpu_percent")
        cpu = seconds * float(percent) / 100 if isinstance(percent, int | float) else None
        result.append(Interval(after["_at"] - began, seconds, int(done), cpu))
    return result


def totals(run: Run) -> dict[str, int]:
    """Return the counters at the end of a run."""
    return {name: int(number(run.final, name)) for name in _COUNTERS}


def ledger(run: Run) -> dict[str, int]:
    """Return the books at the end of a run: created, every place, and the difference."""
    books = mapping(run.final.get("ledger"))
    return {place: int(count) for place, count in books.items() if isinstance(count, int | float)}


def unbalanced(run: Run) -> list[LogLine]:
    """Return the metrics lines whose ledger does not add up."""
    return [line for line in run.metrics if mapping(line.get("ledger")).get("difference", 0) != 0]


def mapping(value: object) -> dict[str, Any]:
    """Return a value that should be an object, or an empty one where it is something else."""
    return value if isinstance(value, dict) else {}
