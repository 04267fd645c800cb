"""Runs are told apart: by their run_id, and in older logs by the order of each process's lines."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loadtest_trio.report.compare import compare
from loadtest_trio.report.reader import read
from loadtest_trio.report.runs import Run, totals
from loadtest_trio.report.splitting import split

Write = Callable[..., Path]
Lines = list[dict[str, Any]]


def begun(make: Any, rates: list[int], start: float, run_id: str | None, **settings: str) -> Lines:
    """A whole run of the daemon, which says that it is starting seconds before it has started."""
    lines: Lines = make.run_lines(rates, start, interval=10.0, settings=settings)
    starting = {"timestamp": make.stamp(start), "level": "INFO", "event": "service_starting"}
    lines[0]["timestamp"] = make.stamp(start + 8)
    mark = {"run_id": run_id} if run_id else {}
    return [line | mark for line in (starting, *lines)]


def shifted(make: Any, lines: Lines, after: int, seconds: float) -> Lines:
    """Set the clock: the lines from a place on say another time; what the process counts goes on."""
    clock = {make.stamp(make.start + n / 10): make.stamp(make.start + n / 10 + seconds) for n in range(9000)}
    return [
        line | ({"timestamp": clock[line["timestamp"]]} if place >= after else {})
        for place, line in enumerate(lines)
    ]


def settings_of(runs: list[Run]) -> list[str]:
    return [run.settings.get("RATE", "") for run in runs]


RUN_IDS = pytest.mark.parametrize("run_id", ["5c1f", None], ids=["with run_id", "older log"])


@RUN_IDS
def test_a_plain_run_is_one_run(write: Write, make: Any, run_id: str | None) -> None:
    """`service_starting`, a slow start, `service_started`, the metrics: one run, with its settings."""
    (run,) = split(read([write(begun(make, [5] * 9, make.start, run_id, RATE="50"))]).lines)
    assert (run.settings, len(run.metrics), len(run.lines)) == ({"RATE": "50"}, 10, 3)
    assert run.began == make.start


@RUN_IDS
def test_compare_tells_settings_of_plain_runs_apart(write: Write, make: Any, run_id: str | None) -> None:
    """A run at 50 and one at 60 a second did not run with the same settings."""
    a = write(begun(make, [500] * 20, make.start, run_id, RATE="50"), "a.jsonl")
    b = write(begun(make, [600] * 20, make.start + 999, run_id, RATE="60"), "b.jsonl")
    said = compare([a], [b])
    assert "| RATE | 50 | 60 |" in said
    assert "same settings" not in said


def test_compare_does_not_guess_settings(write: Write, make: Any) -> None:
    """Where a run's settings are not among the lines, nothing is said about a difference."""
    whole = begun(make, [500] * 20, make.start, "a", RATE="50")
    a, b = write(whole, "a.jsonl"), write(whole[2:], "b.jsonl")
    assert "settings of B are not among the lines" in compare([a], [b])
    assert "same settings" not in compare([a], [b])


@RUN_IDS
@pytest.mark.parametrize("seconds", [5.0, -5.0, -70.0, 6 * 3600.0], ids=["+5s", "-5s", "-70s", "slept 6h"])
def test_a_clock_step_does_not_cut_a_run(write: Write, make: Any, run_id: str | None, seconds: float) -> None:
    """The clock is set, or the machine sleeps: uptime goes on, so the run does, and so do its counters."""
    lines = shifted(make, begun(make, [5] * 30, make.start, run_id, RATE="50"), 15, seconds)
    (run,) = split(read([write(lines)]).lines)
    assert (run.settings, len(run.metrics)) == ({"RATE": "50"}, 31)
    assert totals(run)["messages_processed"] == 150
    assert [line["uptime_seconds"] for line in run.metrics] == [10.0 * n for n in range(31)]


@RUN_IDS
def test_a_restart_within_seconds_is_another_run(write: Write, make: Any, run_id: str | None) -> None:
    """A service that crashes and comes back at once begins anew."""
    first = begun(make, [5] * 3, make.start, run_id and "1", RATE="50")[:-1]
    second = begun(make, [7] * 3, make.start + 31, run_id and "2", RATE="60")
    runs = split(read([write(first + second)]).lines)
    assert settings_of(runs) == ["50", "60"]
    assert [totals(run)["messages_processed"] for run in runs] == [15, 21]


@RUN_IDS
def test_a_rotated_log_is_one_run(write: Write, make: Any, run_id: str | None, tmp_path: Path) -> None:
    """The parts of one run's log in several files are one run, whatever the names sort like."""
    lines = begun(make, [5] * 30, make.start, run_id, RATE="50")
    write(lines[:10], "logs/z.log")
    write(lines[10:20], "logs/run.log")
    write(lines[20:], "logs/a.log")
    (run,) = split(read([tmp_path / "logs"]).lines)
    assert (settings_of([run]), totals(run)["messages_processed"]) == (["50"], 150)


@RUN_IDS
def test_processes_side_by_side_in_one_file(write: Write, make: Any, run_id: str | None) -> None:
    """Two workers that log to one stream are two runs."""
    a = begun(make, [5] * 30, make.start, run_id and "a", RATE="50")
    b = begun(make, [7] * 30, make.start + 14, run_id and "b", RATE="60")
    mixed = sorted(a + b, key=lambda line: line["timestamp"])
    runs = split(read([write(mixed)]).lines)
    assert [totals(run)["messages_processed"] for run in runs] == [150, 210]
    assert settings_of(runs) == ["50", "60"]


def test_a_slowly_drifting_clock_does_not_cut_an_older_run(write: Write, make: Any) -> None:
    """NTP slows a clock by 20 ms an interval, for hours: each line is compared with the one before."""
    lines = begun(make, [5] * 800, make.start, None, RATE="50")
    drifting = [
        line | {"timestamp": make.stamp(make.start + 9.98 * line.get("uptime_seconds", 0) / 10)}
        for line in lines
    ]
    (run,) = split(read([write(drifting)]).lines)
    assert len(run.metrics) == 801
