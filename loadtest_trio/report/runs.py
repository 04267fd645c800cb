"""One run of the service: its settings, its course and its end, from its log lines."""

from collections import Counter
from typing import Any

import attrs

from loadtest_trio.report.details import LogLine

BEGINNINGS = frozenset({"service_started", "tune_started", "users_started"})
"""Events of the lines that carry a run's settings."""
ENDINGS = frozenset({"service_stopped", "tune_stopped", "users_stopped"})
_UNTIMED_SECONDS = 300.0  # that the last lines of a run, which tell no uptime, may come after one that does
_COUNTERS = ("messages_created", "messages_processed", "messages_missed", "messages_failed", "errors")


@attrs.define
class Run:
    """One run.

    Attributes:
        began: When it began, in Unix seconds, as far as is known.
        lines: All its lines except the metrics, by time.
        metrics: Its metrics lines, by the process's own clock.
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
        """The line with its settings; empty when that is missing."""
        return self.first(*BEGINNINGS)

    @property
    def stopped(self) -> LogLine:
        """Its last line; empty when it was killed, is still running, or the log was cut off."""
        return self.first(*ENDINGS)

    @property
    def is_tuning(self) -> bool:
        """Whether this is a saturation search."""
        return any(line["event"].startswith("tune_") for line in self.lines)

    @property
    def settings(self) -> dict[str, str]:
        """Its settings by name."""
        return mapping(self.started.get("settings"))

    @property
    def seconds(self) -> float:
        """Its length in seconds, as far as is known; where the clock was set, by the process's own."""
        if ended := number(self.stopped, "uptime_seconds"):
            return ended
        last = max((line["_at"] for line in (*self.lines[-1:], *self.metrics[-1:])), default=self.began)
        uptime = max(number(line, "uptime_seconds") for line in (*self.metrics[-1:], self.final))
        span = last - self.began
        return span if not uptime or uptime < span <= uptime + _UNTIMED_SECONDS else uptime

    def elapsed(self, line: LogLine) -> float:
        """Return when a line was written, in seconds since the run began; see `seconds`."""
        return number(line, "uptime_seconds") or float(line["_at"]) - self.began

    @property
    def final(self) -> LogLine:
        """The last line with totals; of a search, that of the stage it found, as stages have own totals."""
        if "ledger" in self.stopped:
            return self.stopped
        lines = self.steady if self.is_tuning else self.metrics
        return lines[-1] if lines else {}

    @property
    def operations(self) -> dict[str, LogLine]:
        """The counts of each operation at the last line with totals."""
        last = mapping(self.final.get("by_operation"))
        if not last and self.metrics and not self.is_tuning:
            last = mapping(self.metrics[-1].get("by_operation"))
        return {name: each for name, each in last.items() if isinstance(each, dict)}

    @property
    def steady(self) -> list[LogLine]:
        """The metrics lines of the steady phase; of a search, those at its saturation point."""
        steady = [line for line in self.metrics if line.get("phase", "steady") == "steady"]
        if not self.is_tuning:
            return steady
        stage = self.best_stage
        return [line for line in steady if stage is not None and line.get("stage") == stage]

    @property
    def best_stage(self) -> float | None:
        """The stage of the saturation point: the confirmed one, else the highest rate that passed."""
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
        """The uncertainty of the score, as a share, where it is known."""
        value = self.first("tune_calibrated").get("score_spread", self.started.get("score_spread"))
        return float(value) if isinstance(value, int | float) and value >= 0 else None

    @property
    def warnings(self) -> Counter[str]:
        """The number of warnings and errors of each kind, those that were held back included."""
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


def totals(run: Run) -> dict[str, int]:
    """Return the counters at the end of a run."""
    return {name: int(number(run.final, name)) for name in _COUNTERS}


def ledger(run: Run) -> dict[str, int]:
    """Return the ledger at the end of a run: created, every place, and the difference."""
    places = mapping(run.final.get("ledger"))
    return {place: int(count) for place, count in places.items() if isinstance(count, int | float)}


def unbalanced(run: Run) -> list[LogLine]:
    """Return the metrics lines whose ledger does not balance."""
    return [line for line in run.metrics if mapping(line.get("ledger")).get("difference", 0) != 0]


def mapping(value: object) -> dict[str, Any]:
    """Return a value that should be an object, or an empty one where it is something else."""
    return value if isinstance(value, dict) else {}
