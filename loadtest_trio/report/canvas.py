"""The common look of all pictures: sizes, colours, axes and saving, without matplotlib's global state."""

from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Any

from loadtest_trio.report.extras import need

COLOURS = ("#1f6fb4", "#d9822b", "#2c9a5b", "#c2412d", "#7a5bb0", "#8a8f98")
_DPI = 110


def figure(rows: int = 1, columns: int = 1, *, height: float = 3.6, width: float = 9.5, **grid: Any) -> Any:
    """Return a figure and its axes (one, or a list of them, row by row).

    Args:
        rows: Panels from top to bottom.
        columns: Panels from left to right.
        height: Of the whole figure, in inches.
        width: Of the whole figure, in inches.
        grid: As for `matplotlib.figure.Figure.subplots`.
    """
    new = need("matplotlib.figure").Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    axes = new.subplots(rows, columns, squeeze=False, **grid).flatten().tolist()
    for axis in axes:
        axis.grid(visible=True, alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    return new, axes[0] if len(axes) == 1 else axes


def plain(text: object) -> str:
    """Return a text from a log line as a label, with matplotlib's formula characters escaped."""
    return str(text).replace("$", r"\$")


def logarithmic(panel: Any, axis: str) -> None:
    """Make the ``x`` or ``y`` axis of a panel logarithmic, with ticks at 1, 2 and 5 that do not collide."""
    getattr(panel, f"set_{axis}scale")("log")
    scale, ticker = getattr(panel, f"{axis}axis"), need("matplotlib.ticker")
    scale.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0), numticks=30))
    scale.set_minor_locator(ticker.NullLocator())
    scale.set_major_formatter("{x:,.4g}")


def time_unit(seconds: float) -> tuple[float, str]:
    """Return the unit of a time axis, in seconds, and its label, for a run of so many seconds."""
    if seconds > 3 * 3600:
        return 3600, "hours since the start"
    return (60, "minutes since the start") if seconds > 600 else (1, "seconds since the start")


def from_zero(panel: Any) -> None:
    """Begin a panel's y axis at 0, with some room above the highest curve; up to 1 when all of them are 0."""
    highest = panel.dataLim.y1
    panel.set_ylim(bottom=0, top=1.05 * highest if 0 < highest < inf else 1)


def beside(panel: Any) -> None:
    """Put a panel's legend to its right, beside the curves."""
    panel.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)


def note_across(panel: Any, text: str, at: float, colour: str) -> None:
    """Draw a horizontal dashed line with a text on it."""
    panel.axhline(at, color=colour, linewidth=1, linestyle="--")
    panel.text(0.01, at, text, transform=panel.get_yaxis_transform(), fontsize=7, color=colour, va="bottom")


def note_upright(panel: Any, text: str, at: float, colour: str) -> None:
    """Draw a vertical dashed line with a text above the panel."""
    panel.axvline(at, color=colour, linewidth=1, linestyle="--")
    panel.text(
        at,
        1.0,
        text,
        transform=panel.get_xaxis_transform(),
        fontsize=7,
        color=colour,
        ha="center",
        va="bottom",
    )


def mark_uses(panels: Sequence[Any], moments: Sequence[float]) -> None:
    """Draw a dashed line through all panels wherever a control was used, and say so above the first."""
    for at in moments:
        for panel in panels:
            panel.axvline(at, color=COLOURS[1], linewidth=0.8, linestyle="--")
    if moments:
        note = "dashed: a control was used"
        panels[0].set_title(note, fontsize=7, color=COLOURS[1], loc="right")


def save(drawn: Any, folder: Path, name: str, title: str) -> str:
    """Write a figure as PNG and return the Markdown that shows it.

    Args:
        drawn: A matplotlib figure.
        folder: Where the report is written.
        name: Of the file, without its suffix.
        title: What the picture shows.
    """
    drawn.suptitle(title, fontsize=11)
    drawn.savefig(folder / f"{name}.png", metadata={"Software": None})
    return f"![{title}]({name}.png)"
