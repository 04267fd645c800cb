"""What the results of all benchmarks have in common."""

import argparse
import json
from pathlib import Path

from benchmarks.charts import Series, limits, whiskers
from benchmarks.output import RESULTS, RunInfo, add_options, spread, table, write

ABOUT = RunInfo({"cpu": "C", "cores": 2, "python": "3.11", "commit": "abc"}, "2026-01-01T00:00:00Z", 5)


def test_five_rounds_and_the_results_folder_are_the_defaults() -> None:
    """Nothing has to be said to get comparable results where the others are."""
    parser = argparse.ArgumentParser()
    add_options(parser)
    assert vars(parser.parse_args([])) == {"rounds": 5, "results": RESULTS}


def test_the_heading_says_where_when_and_how_often() -> None:
    """Machine, Python, commit, date and rounds stand above every table."""
    text = ABOUT.heading("Title", "How.")
    assert text.startswith("### Title\n\nHow. Median (least–most) of 5 rounds")
    assert text.endswith("C, 2 cores; Python 3.11; commit abc, 2026-01-01T00:00:00Z.\n")


def test_results_are_written_side_by_side(tmp_path: Path) -> None:
    """The folder is made, and both files end with one newline."""
    write(tmp_path / "new", "name", "text\n\n", {"a": 1})
    assert (tmp_path / "new" / "name.md").read_text() == "text\n"
    assert json.loads((tmp_path / "new" / "name.json").read_text()) == {"a": 1}


def test_spread_shows_median_and_extremes() -> None:
    """Median, least and most; a dash when there is nothing."""
    assert spread([3.0, 1.0, 1000.0]) == "3 (1–1,000)"
    assert spread([]) == "–"


def test_a_table_is_markdown() -> None:
    """Heads, a rule, rows."""
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_whiskers_reach_from_least_to_most() -> None:
    """They are given as distances from the median."""
    assert whiskers([[1.0, 2.0, 5.0], [7.0]]) == ([2.0, 7.0], [[1.0, 0.0], [3.0, 0.0]])


def test_a_level_is_always_in_the_picture() -> None:
    """The axis reaches beyond every value and every line across."""
    low, high = limits(Series("CPU", {1: [5.0, 6.0]}, levels={"full": [100.0]}))
    assert low < 5.0
    assert high > 100.0
