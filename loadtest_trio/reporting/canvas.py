"""One look for all pictures: matplotlib without its global state, sizes, colours, saving."""

from pathlib import Path
from typing import Any

from loadtest_trio.reporting.extras import need

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
