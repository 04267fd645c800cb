"""The pictures of a run of users: throughput against users, and everything over time."""

from collections.abc import Callable, Sequence
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
    note_upright,
    save,
    time_unit,
)
from loadtest_trio.report.users_findings import Findings
from loadtest_trio.report.users_moments import Moment
from loadtest_trio.report.users_steps import Step

_PRECISE = 1e-9


def throughput(all_steps: Sequence[Step], found: Findings, folder: Path, name: str) -> str:
    """Requests and jobs a second against users, a point a step; hollow where the generator was the limit."""
    if len(all_steps) < 2:
        return ""
    drawn, panels = figure(2, 1, height=6.2, sharex=True)
    climb = [each for each in all_steps if found.recovery is None or each.level <= _peak(all_steps)]
    for panel, rates, label in (
        (panels[0], (("rate", "requests"),), "requests/s"),
        (panels[1], (("finish_rate", "finished"), ("submit", "submitted")), "jobs/s"),
    ):
        for (field, meaning), colour in zip(rates, COLOURS, strict=False):
            values = [
                each.per_second("submitted") if field == "submit" else getattr(each, field) for each in climb
            ]
            panel.plot([each.users for each in climb], values, color=colour, linewidth=1, alpha=0.6)
            _points(panel, climb, values, colour, meaning)
        panel.set_ylabel(label)
        from_zero(panel)
        beside(panel)
    if found.knee is not None and found.gave_in is not None:
        note_upright(panels[0], "knee", found.knee.users, COLOURS[3])
    panels[1].set_xlabel("users")
    return save(drawn, folder, name, "Throughput against users")


def _peak(all_steps: Sequence[Step]) -> float:
    return max(each.level for each in all_steps)


def _points(panel: Any, climb: Sequence[Step], values: Sequence[float], colour: str, meaning: str) -> None:
    for hollow in (False, True):
        at = [place for place, each in enumerate(climb) if bool(each.limited) is hollow]
        if at:
            panel.scatter(
                [climb[place].users for place in at],
                [values[place] for place in at],
                facecolors="none" if hollow else colour,
                edgecolors=colour,
                label=f"{meaning}, generator limited" if hollow else meaning,
                zorder=3,
            )


def over_time(all_steps: Sequence[Step], folder: Path, name: str, uses: Sequence[float] = ()) -> str:
    """Users, rate, latency, queue and CPU over time; the steps are marked, and so are uses of controls.

    Args:
        all_steps: The steps in the order of time.
        folder: Where the picture goes.
        name: Of the picture, without its suffix.
        uses: When controls were used, in seconds since the start.
    """
    moments = [moment for each in all_steps for moment in each.all]
    if not moments:
        return ""
    drawn, panels = figure(5, 1, height=11, sharex=True)
    unit, since = time_unit(moments[-1].at)
    times = [each.at / unit for each in moments]
    _curves(
        panels[0], times, moments, "users", [("wanted", lambda m: m.level), ("actual", lambda m: m.users)]
    )
    rates: list[Curve] = [
        ("requests", lambda m: m.rate),
        ("jobs submitted", lambda m: m.submitted / m.seconds),
    ]
    _curves(panels[1], times, moments, "a second", [*rates, ("jobs finished", lambda m: m.finish_rate)])
    logarithmic(panels[2], "y")
    latencies: list[Curve] = [
        ("p99", lambda m: m.p99_ms),
        ("p95", lambda m: m.p95_ms),
        ("p50", lambda m: m.p50_ms),
    ]
    _curves(panels[2], times, moments, "ms from due", latencies)
    _queue(panels[3], times, moments)
    cpus: list[Curve] = [("target", lambda m: m.target_cpu), ("generator", lambda m: m.generator_cpu)]
    _curves(panels[4], times, moments, "CPU, % of a core", cpus)
    panels[4].set_xlabel(since)
    for step in all_steps[1:]:
        began = (step.all[0].at - step.all[0].seconds) / unit
        for panel in panels:
            panel.axvline(began, color=COLOURS[5], linewidth=0.6, linestyle=":")
    mark_uses(panels, [each / unit for each in uses])
    return save(drawn, folder, name, "Users, rate, latency, queue and CPU over time")


Curve = tuple[str, Callable[[Moment], float | None]]


def _curves(
    panel: Any, times: Sequence[float], moments: Sequence[Moment], label: str, curves: Sequence[Curve]
) -> None:
    for (name, value), colour in zip(curves, COLOURS, strict=False):
        values = [nan if (seen := value(each)) is None else max(seen, _PRECISE) for each in moments]
        panel.plot(times, values, label=name, color=colour, linewidth=1)
    panel.set_ylabel(label)
    if panel.get_yscale() == "linear":
        from_zero(panel)
    beside(panel)


def _queue(panel: Any, times: Sequence[float], moments: Sequence[Moment]) -> None:
    states = list(dict.fromkeys(state for each in moments for state in each.statuses))
    if states:
        layers = [[each.statuses.get(state, 0) for each in moments] for state in states]
        panel.stackplot(times, layers, labels=states, colors=COLOURS[: len(states)], alpha=0.6)
    panel.plot(times, [each.open for each in moments], color="#333333", linewidth=0.8, label="open")
    panel.set_ylabel("open jobs")
    from_zero(panel)
    beside(panel)
