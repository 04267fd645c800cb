"""The tables that `users` shows on a terminal: no number is cut, however narrow the terminal."""

import io

import pytest
from rich.console import Console

from loadtest_trio.users.tables import table

HEADINGS = ("route", "requests", "failed", "p50 ms", "p95 ms", "p95 from sent")
ROWS = [("GET /api/jobs/{id}", 1_234_567, 89, 0.739, 1234.0, 4.06), ("all", 2_345_678, 89, 12.6, 86.5, 4.58)]
NUMBERS = ("1,234,567", "89", "0.739", "1,234", "4.06")


def printed(width: int, spare: tuple[str, ...] = ()) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width).print(table(HEADINGS, ROWS, width, spare))
    return out.getvalue().splitlines()


def test_wide_terminal_shows_every_heading_in_one_line() -> None:
    lines = printed(100)
    assert len(lines) == 3
    assert all(heading in lines[0] for heading in HEADINGS)


def test_narrow_terminal_wraps_headings_and_cuts_no_number() -> None:
    lines = printed(56)
    assert max(map(len, lines)) <= 56
    [row] = [line for line in lines if line.startswith("GET")]
    assert row.split()[-5:] == list(NUMBERS)


def test_narrower_terminal_leaves_out_spare_columns() -> None:
    lines = printed(40, spare=("p95 from sent", "p50 ms"))
    [row] = [line for line in lines if line.startswith("GET")]
    assert row.split()[-3:] == ["1,234,567", "89", "1,234"]
    assert max(map(len, lines)) <= 40


@pytest.mark.parametrize("width", [80, 200])
def test_table_without_rows_shows_its_headings(width: int) -> None:
    out = io.StringIO()
    Console(file=out, width=width).print(table(HEADINGS, [], width))
    assert "p95 from sent" in out.getvalue()
