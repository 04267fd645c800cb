"""The table of results."""

import pytest

from benchmarks.measure import Result
from benchmarks.report import Report, table


def result(contender: str, cpu_us: float) -> Result:
    return Result(
        contender=contender,
        messages=100,
        rate=1e6 / cpu_us,
        cpu_us=cpu_us,
        cpu_us_whole=cpu_us,
        kernel=0.1,
        busy=1.0,
        rss_mb=50.0,
    )


@pytest.fixture
def report() -> Report:
    rounds = [
        [result("worker", 500.0), result("go-expert", 1000.0)],
        [result("worker", 900.0), result("go-expert", 2000.0)],
        [result("worker", 600.0)],
    ]
    machine: dict[str, str | int] = {"cpu": "C", "cores": 2, "python": "3", "commit": "abc"}
    return Report("nginx", "http", 100, "now", machine, rounds, {"threads": "boto3 is not installed\nmore"})


def test_ratios_are_taken_within_a_round(report: Report) -> None:
    """A slow round slows both sides; a round without one of them has no ratio."""
    assert report.ratios("worker", "go-expert") == [0.5, 0.45]


def test_cheapest_contender_comes_first(report: Report) -> None:
    """Rows are ordered by median CPU per message."""
    assert report.contenders == ["worker", "go-expert"]


def test_table_has_every_contender_and_reasons_for_the_missing(report: Report) -> None:
    """A measured contender has a row; a missing one has a reason in one line."""
    text = table(report)
    assert "| loadtest_trio: ROLES=worker | 1,667 (1,111–2,000) | 600 (500–900) |" in text
    assert text.endswith("Left out: threads: boto3 is not installed")
