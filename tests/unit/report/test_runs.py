"""Runs are told apart, and their counters become intervals."""

from typing import Any

import pytest

from loadtest_trio.report.intervals import intervals
from loadtest_trio.report.runs import ledger, totals, unbalanced
from loadtest_trio.report.splitting import split


def _at(lines: list[dict[str, Any]], start: float) -> list[dict[str, Any]]:
    return [line | {"_at": start + line.get("uptime_seconds", 0.0)} for line in lines]


def test_two_runs_in_one_file_are_told_apart(make: Any) -> None:
    """Two lives in one file are two runs."""
    later = make.start + 100
    runs = split(_at(make.run_lines([5, 6]), make.start) + _at(make.run_lines([7], later), later))
    assert [len(run.metrics) for run in runs] == [3, 2]
    assert [totals(run)["messages_processed"] for run in runs] == [11, 7]
    assert [run.stopped["reason"] for run in runs] == ["the run's duration is over"] * 2


def test_interleaved_processes_are_told_apart(make: Any) -> None:
    """Lines of two processes that ran side by side are told apart by when each began."""
    later = make.start + 10
    lines = _at(make.run_lines([5] * 30), make.start) + _at(make.run_lines([7] * 30, later), later)
    runs = split(sorted(lines, key=lambda line: line["_at"]))
    assert [totals(run)["messages_processed"] for run in runs] == [150, 210]


def test_a_run_without_its_beginning_is_one_run(make: Any) -> None:
    """Without its first line a run is still one run, with nothing known of its settings."""
    (run,) = split(_at(make.run_lines([5, 6, 7])[2:], make.start))
    assert (run.settings, run.is_tuning, run.seconds) == ({}, False, 3)
    assert run.began == pytest.approx(make.start)


def test_a_lost_line_makes_a_longer_interval(make: Any) -> None:
    """Rates come from counters over uptime, so a lost line costs resolution and nothing else."""
    lines = _at([make.metrics(at, done) for at, done in ((0, 0), (1, 10), (4, 70))], make.start)
    spans = intervals(lines)
    assert [(each.at, each.seconds, each.done, each.rate) for each in spans] == [
        (1, 1, 10, 10),
        (4, 3, 60, 20),
    ]
    assert [each.cpu_seconds for each in spans] == [0.5, 1.5]


def test_there_is_no_interval_over_a_reset_counter(make: Any) -> None:
    """Where a counter or the clock steps back, or a stage ends, there is no interval."""
    lines = _at([make.metrics(at, done) for at, done in ((5, 100), (6, 3), (6, 4))], make.start)
    assert intervals(lines) == []
    stages = _at([make.metrics(at, 5, stage=at) for at in (1, 2)], make.start)
    assert intervals(stages) == []


def test_the_ledger_of_a_run_is_that_of_its_last_line(make: Any) -> None:
    """The books are those of the last line; lines that do not balance are found."""
    bad = make.metrics(2, 5, ledger={"created": 5, "processed": 4, "difference": 1})
    (run,) = split(_at([make.metrics(1, 5), bad], make.start))
    assert ledger(run) == {"created": 5, "processed": 4, "difference": 1}
    assert unbalanced(run) == [run.metrics[1]]


def test_warnings_that_were_held_back_count(make: Any) -> None:
    """Warnings are counted by kind, those that a flood guard summarised included."""
    failed = {"event": "operation_failed", "level": "WARNING", "operation": "READ", "error_type": "S3Error"}
    flood = {"event": "failures_summarised", "level": "WARNING", "kind": "READ S3Error", "held_back": 7}
    (run,) = split([line | {"_at": 1.0} for line in (failed, failed, flood)])
    assert run.warnings == {"READ S3Error": 9}


@pytest.mark.parametrize("step", [-1_600_000_000.0, -3600.0, 200.0, 299.0, 3600.0, 1_600_000_000.0])
def test_a_clock_that_was_set_changes_neither_length_nor_moments(make: Any, step: float) -> None:
    """A machine that boots in 1970 and then learns the time did not run for fifty years."""
    lines = [line | {"run_id": "a"} for line in _at(make.run_lines([5] * 10), make.start)]
    lines[-1] |= {"_at": make.start + 10}
    lines = [line if place < 5 else line | {"_at": line["_at"] + step} for place, line in enumerate(lines)]
    (run,) = split(sorted(lines, key=lambda line: line["_at"]))
    assert run.seconds == pytest.approx(10, abs=1)
    assert [run.elapsed(line) for line in run.metrics[1:]] == list(range(1, 11))
    assert [each.at for each in intervals(run.metrics)] == list(range(1, 11))
