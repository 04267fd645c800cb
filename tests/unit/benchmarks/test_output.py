"""What the results of all benchmarks have in common."""

import argparse
import json
from pathlib import Path

from benchmarks.charts import Series, limits, whiskers
from benchmarks.output import RESULTS, RunInfo, add_options, spread, table, write

ABOUT = RunInfo({"cpu": "C", "cores": 2, "python": "3.11", "commit": "abc"}, "2026-01-01T00:00:00Z", 5)


def test_defaults_are_five_rounds_and_the_results_folder() -> None:
    """Without options, results are comparable and lie beside the others."""
    parser = argparse.ArgumentParser()
    add_options(parser)
    assert vars(parser.parse_args([])) == {"rounds": 5, "results": RESULTS}


def test_heading_names_machine_date_and_rounds() -> None:
    """Machine, Python, commit, date and rounds are above every table."""
    text = ABOUT.heading("Title", "How.")
    assert text.startswith("### Title\n\nHow. Median (least–most) of 5 rounds")
    assert text.endswith("C, 2 cores; Python 3.11; commit abc, 2026-01-01T00:00:00Z.\n")


def test_result_is_written_as_markdown_and_json(tmp_path: Path) -> None:
    """The folder is created, and both files end with one newline."""
    write(tmp_path / "new", "name", "text\n\n", {"a": 1})
    assert (tmp_path / "new" / "name.md").read_text() == "text\n"
    assert json.loads((tmp_path / "new" / "name.json").read_text()) == {"a": 1}


def test_spread_shows_median_minimum_and_maximum() -> None:
    """Without values there is a dash."""
    assert spread([3.0, 1.0, 1000.0]) == "3 (1–1,000)"
    assert spread([]) == "–"


def test_table_is_markdown() -> None:
    """Heads, a rule, rows."""
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_whiskers_reach_from_minimum_to_maximum() -> None:
    """They are distances from the median."""
    assert whiskers([[1.0, 2.0, 5.0], [7.0]]) == ([2.0, 7.0], [[1.0, 0.0], [3.0, 0.0]])


def test_chart_includes_every_level() -> None:
    """The axis extends beyond every value and every level."""
    low, high = limits(Series("CPU", {1: [5.0, 6.0]}, levels={"full": [100.0]}))
    assert low < 5.0
    assert high > 100.0
