"""Charts of a figure at several sizes, on logarithmic axes: medians with whiskers (minimum to maximum)."""

import statistics
from collections.abc import Sequence
from pathlib import Path

import attrs

COLOURS = ("#c44e52", "#55a868", "#8172b2", "#ccb974")


@attrs.frozen
class Series:
    """One panel of a chart.

    Attributes:
        title: Label of the vertical axis.
        values: One value per round, by size.
        levels: Horizontal lines by name; one value per round.
        ideal: Whether to draw the line that is proportional to the first size.
    """

    title: str
    values: dict[int, list[float]]
    levels: dict[str, list[float]] = attrs.field(factory=dict)
    ideal: bool = False


def draw(path: Path, title: str, sizes: str, panels: Sequence[Series]) -> None:
    """Draw the panels side by side.

    Args:
        path: The PNG file to write.
        title: Title above all panels.
        sizes: Label of the horizontal axis.
        panels: At least one.
    """
    import matplotlib as mpl  # slow to import

    mpl.use("Agg")
    from matplotlib import pyplot

    width = 1.5 + 5 * len(panels)
    figure, axes = pyplot.subplots(1, len(panels), figsize=(width, 4.2), squeeze=False, layout="constrained")
    for axis, panel in zip(axes.flat, panels, strict=True):
        _panel(axis, panel)
        axis.set_xlabel(sizes)
        axis.set_ylabel(panel.title)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=8)
    figure.suptitle(title)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def whiskers(series: Sequence[Sequence[float]]) -> tuple[list[float], list[list[float]]]:
    """Return the medians, and the distances from them to the minimum and the maximum."""
    middles = [statistics.median(values) for values in series]
    below = [middle - min(values) for middle, values in zip(middles, series, strict=True)]
    above = [max(values) - middle for middle, values in zip(middles, series, strict=True)]
    return middles, [below, above]


def limits(panel: Series) -> tuple[float, float]:
    """Return the ends of the vertical axis, which covers values and levels; the ideal may leave it."""
    everything = [value for values in (*panel.values.values(), *panel.levels.values()) for value in values]
    return min(everything) / 1.5, max(everything) * 1.5


def _panel(axis, panel: Series) -> None:  # type: ignore[no-untyped-def] # matplotlib's types are partial
    from matplotlib.ticker import LogLocator

    sizes = list(panel.values)
    middles, reach = whiskers(list(panel.values.values()))
    style = {"marker": "o", "capsize": 3, "color": "#4c72b0", "label": "median, minimum to maximum"}
    axis.errorbar(sizes, middles, yerr=reach, **style)
    if panel.ideal:
        line = [middles[0] * size / sizes[0] for size in sizes]
        axis.plot(sizes, line, ":", color="0.5", label="in proportion to the first")
    for (name, values), colour in zip(panel.levels.items(), COLOURS, strict=False):
        axis.axhline(statistics.median(values), linestyle="--", linewidth=1, color=colour, label=name)
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.set_ylim(limits(panel))
    axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axis.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axis.yaxis.set_major_formatter("{x:,g}")
    axis.yaxis.set_minor_formatter("{x:,g}")
