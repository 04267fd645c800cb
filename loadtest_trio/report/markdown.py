"""Markdown tables and lists, with numbers formatted for people."""

from collections.abc import Iterable, Sequence

Cell = str | float | int | None


def text(value: Cell) -> str:
    """Return a table cell: three significant figures for fractions, grouped digits for large numbers."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value.replace("|", "\\|").replace("\n", " ")
    if isinstance(value, int):
        return f"{value:,}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def table(headings: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Return a table; the first column to the left, the others to the right."""
    lines = ["| " + " | ".join(headings) + " |", "|---" + "|---:" * (len(headings) - 1) + "|"]
    lines += ["| " + " | ".join(map(text, row)) + " |" for row in rows]
    return "\n".join(lines)


def facts(pairs: Iterable[tuple[str, Cell]]) -> str:
    """Return a list of named values; unknown ones are left out."""
    return "\n".join(f"- {name}: {text(value)}" for name, value in pairs if value not in (None, ""))


def duration(seconds: float) -> str:
    """Return a length of time, such as ``23 h 59 min``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
