"""The pictures of every run: figures over time, latencies, mix."""

from collections.abc import Sequence
from itertools import groupby
from math import nan
from pathlib import Path
from typing import Any

from loadtest_trio.report.canvas import (
    COLOURS,
    beside,
    figure,
    from_zero,
    logarithmic,
    mark_uses,
    plain,
    save,
    time_unit,
)
from loadtest_trio.report.histograms import MergedLatencies
from loadtest_trio.report.intervals import intervals
from loadtest_trio.report.runs import Run, number

_OPERATIONS = ("READ", "UPDATE", "CREATE", "DELETE")
_LEAST_ROOM = 0.025  # of the width, for the name of a stage
_TICKS = (0, 50, 90, 99, 99.9, 99.99)


def over_time(run: Run, folder: Path, name: str) -> str:
    """Queue length, rate, CPU and memory over time, with the stages of a search and uses of controls."""
    if not run.metrics:
        return ""
    drawn, panels = figure(4, 1, height=8.2, sharex=True)
    unit, label = time_unit(run.seconds)
    places = (("queue_length", "waiting"), ("in_flight", "in flight"), ("delayed", "delayed"))
    for (field, meaning), colour in zip(places, COLOURS, strict=False):
        panels[0].plot(*_curve(run, unit, field), label=meaning, color=colour, linewidth=1)
    panels[0].set_ylabel("messages")
    beside(panels[0])
    panels[1].plot(*_rates(run, unit), color=COLOURS[0], linewidth=1)
    panels[1].set_ylabel("messages/s done")
    panels[2].plot(*_curve(run, unit, "cpu_percent"), color=COLOURS[3], linewidth=1)
    panels[2].set_ylabel("CPU, % of a core")
    panels[3].plot(*_curve(run, unit, "memory_mb"), color=COLOURS[4], linewidth=1)
    panels[3].set_ylabel("memory, MB")
    panels[3].set_xlabel(label)
    for panel in panels:
        from_zero(panel)
    _shade_stages(run, panels, unit)
    mark_uses(panels, [(line["_at"] - run.began) / unit for line in run.all("control_used")])
    return save(drawn, folder, name, "Queue, rate, CPU and memory over time")


def _curve(run: Run, unit: float, field: str) -> tuple[list[float], list[float]]:
    """Return a field over time, with a gap between stages, where nothing was measured."""
    at: list[float] = []
    values: list[float] = []
    for before, line in zip([{}, *run.metrics], run.metrics, strict=False):
        if before and before.get("stage") != line.get("stage"):
            at.append(nan)
            values.append(nan)
        at.append(run.elapsed(line) / unit)
        values.append(number(line, field, nan))
    return at, values


def _rates(run: Run, unit: float) -> tuple[list[float], list[float]]:
    """Return messages done a second at the middle of each interval, with a gap between stages."""
    at: list[float] = []
    values: list[float] = []
    for _, lines in groupby(run.metrics, lambda line: line.get("stage")):
        for each in intervals(list(lines)):
            at.append((each.at - each.seconds / 2) / unit)
            values.append(each.rate)
        at.append(nan)
        values.append(nan)
    return at, values


def latency(distributions: dict[str, MergedLatencies], folder: Path, name: str) -> str:
    """Latency by percentile, both scales logarithmic, for messages and for S3 requests."""
    groups = (
        ("end to end, from due to done", [(op, f"{op}.end_to_end_ms") for op in _OPERATIONS]),
        ("service, in the worker", [(op, f"{op}.service_ms") for op in _OPERATIONS]),
        (
            "S3 requests",
            [(path.split(".")[1], path) for path in sorted(distributions) if path.startswith("s3.")],
        ),
        (
            "Redis calls, in their thread",
            [(f, f"redis.{f}.latency_ms") for f in ("claim", "settle", "enqueue")],
        ),
    )
    if not any(path in distributions for _, curves in groups for _, path in curves):
        return ""
    drawn, panels = figure(2, 2, height=7)
    drawn.get_layout_engine().set(wspace=0.06)  # p99.99 of one panel beside p0 of the next
    for panel, (title, curves) in zip(panels, groups, strict=True):
        shown = [
            (label, distributions[path])
            for label, path in curves
            if path in distributions and "first_byte" not in path
        ]
        _percentile_curves(panel, shown)
        panel.set_title(title, fontsize=9)
    return save(drawn, folder, name, "Latency distributions")


def _percentile_curves(panel: Any, curves: Sequence[tuple[str, MergedLatencies]]) -> None:
    for (label, each), colour in zip(curves, COLOURS, strict=False):
        steps = [(100 * share, ms) for ms, share in each.steps()]
        tails = [100 / max(100 - percent, 1e-3) for percent, _ in steps]
        panel.step(tails, [ms for _, ms in steps], where="pre", label=label, color=colour, linewidth=1.2)
    panel.set_xscale("log")
    logarithmic(panel, "y")
    panel.set_xlim(1, 100 / (100 - _TICKS[-1]))
    panel.set_xticks([100 / (100 - tick) for tick in _TICKS], [f"p{tick:g}" for tick in _TICKS])
    panel.minorticks_off()
    panel.set_ylabel("milliseconds")
    if curves:
        panel.legend(fontsize=8, loc="lower right")


def mix(run: Run, folder: Path, name: str) -> str:
    """Nominal against achieved shares."""
    operations = run.operations
    if not operations:
        return ""
    drawn, panel = figure(height=2.8, width=6.5)
    for shift, (field, meaning) in zip(
        (-0.2, 0.2), (("share_nominal", "nominal"), ("share_actual", "achieved")), strict=True
    ):
        shares = [number(each, field) for each in operations.values()]
        bars = panel.bar(
            [place + shift for place in range(len(shares))],
            shares,
            width=0.38,
            label=meaning,
            color=COLOURS[shift > 0],
        )
        panel.bar_label(bars, fmt="%.1f", fontsize=8)
    panel.set_xticks(range(len(operations)), list(map(plain, operations)))
    panel.set_ylabel("% of steady messages")
    beside(panel)
    return save(drawn, folder, name, "Nominal against achieved mix")


def _shade_stages(run: Run, panels: Sequence[Any], unit: float) -> None:
    """Shade every second kind of stage, and name those above the first panel that have room."""
    spans = _spans(run, unit)
    room = _LEAST_ROOM * max((end for _, _, end in spans), default=0.0)
    free = -room
    for place, (kind, begin, end) in enumerate(spans):
        for panel in panels:
            if place % 2:
                panel.axvspan(begin, end, color="#000000", alpha=0.05, linewidth=0)
        if begin - free >= room or place == 0:
            free = begin
            panels[0].annotate(
                plain(kind),
                (begin, 1),
                xycoords=("data", "axes fraction"),
                fontsize=7,
                rotation=45,
                verticalalignment="bottom",
            )


def _spans(run: Run, unit: float) -> list[tuple[str, float, float]]:
    """Return each stretch of stages of one kind, with its beginning and end."""
    staged = [line for line in run.metrics if "stage" in line]
    spans = []
    for kind, group in groupby(staged, lambda line: str(line.get("stage_kind") or "")):
        at = [run.elapsed(line) / unit for line in group]
        spans.append((kind, at[0], at[-1]))
    return spans
