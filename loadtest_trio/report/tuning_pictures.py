"""The pictures of a saturation search: the search itself, scaling, experiments, costs."""

from collections.abc import Sequence
from math import log
from pathlib import Path
from typing import Any

from loadtest_trio.report.canvas import (
    COLOURS,
    beside,
    figure,
    from_zero,
    logarithmic,
    note_across,
    note_upright,
    plain,
    save,
)
from loadtest_trio.report.details import LogLine
from loadtest_trio.report.runs import Run, number

_COMPONENTS = ("HTTP and TLS", "rest", "Redis", "generate", "sign", "metrics")
_RATE_KINDS = ("climb", "probe again", "bisect", "confirm")


def search(run: Run, folder: Path, name: str) -> str:
    """Offered against achieved rate, and latency, of every stage with an offered rate."""
    stages = [line for line in run.all("tune_stage") if line.get("kind") in _RATE_KINDS]
    if not stages:
        return ""
    drawn, (rates, delays) = figure(1, 2, height=3.8)
    offered = [number(line, "offered_per_second") for line in stages]
    ends = [min(offered), max(offered)]
    rates.plot(ends, ends, color=COLOURS[5], linewidth=1, linestyle=":", label="everything offered")
    for panel, field in ((rates, "goodput_per_second"), (delays, "p99_ms")):
        _scatter(panel, stages, field)
        panel.set_xlabel("offered messages/s")
    rates.set_ylabel("achieved messages/s")
    rates.legend(fontsize=8, loc="upper left")
    logarithmic(delays, "y")
    delays.set_ylabel("end-to-end p99, ms")
    _mark_limits(run, rates, delays)
    return save(drawn, folder, name, "The search: offered against achieved rate, and latency")


def _scatter(panel: Any, stages: Sequence[LogLine], field: str) -> None:
    looks = ((True, COLOURS[2], "o", "passed"), (False, COLOURS[3], "X", "failed"))
    for passed, colour, marker, meaning in looks:
        chosen = [line for line in stages if line.get("passed") is passed and number(line, field) > 0]
        panel.scatter(
            [number(line, "offered_per_second") for line in chosen],
            [number(line, field) for line in chosen],
            color=colour,
            marker=marker,
            label=meaning,
            s=26,
            linewidths=0,
        )


def _mark_limits(run: Run, rates: Any, delays: Any) -> None:
    """Mark the saturation point (refills included) with its interval, and the latency objective."""
    found = run.first("tune_saturation")
    rate, objective = number(found, "rate"), number(run.started, "objective_p99_ms")
    for panel in (rates, delays):
        low, high = number(found, "low"), number(found, "high")
        if rate and 0 < low < high:
            panel.axvspan(low, high, color=COLOURS[0], alpha=0.12, linewidth=0)
        if rate:
            note_upright(panel, f"saturation, {rate:,.0f}/s", rate, COLOURS[0])
    if objective > 0:
        note_across(delays, f"objective, {objective:,.0f} ms", objective, COLOURS[1])


def scaling(run: Run, folder: Path, name: str) -> str:
    """Throughput against concurrency with the fitted curve and its interval, both scales logarithmic."""
    fit = run.first("tune_scaling")
    points = [p for p in fit.get("points") or [] if number(p, "workers") >= 1 and number(p, "rate") > 0]
    if not points:
        return ""
    drawn, panel = figure(height=4, width=8)
    workers, rates = ([number(point, field) for point in points] for field in ("workers", "rate"))
    panel.errorbar(
        workers,
        rates,
        yerr=_reach(points, "rate"),
        fmt="o",
        color=COLOURS[0],
        capsize=3,
        markersize=5,
        label="measured, 95 % interval",
    )
    _draw_curve(panel, fit, max(workers))
    panel.set_xscale("log", base=2)
    panel.xaxis.set_major_formatter("{x:,.0f}")
    logarithmic(panel, "y")
    panel.set_ylim(0.8 * min(rates), 1.5 * max(rates))
    if fit.get("peak_reached"):
        peak = number(fit, "peak_workers")
        note_upright(panel, f"peak, {peak:,.0f} workers", peak, COLOURS[0])
    panel.set_xlabel("workers (closed loop)")
    panel.set_ylabel("messages/s")
    beside(panel)
    return save(drawn, folder, name, "Throughput against concurrency")


def _reach(points: Sequence[LogLine], middle: str) -> list[list[float]]:
    """Return the distances from each point's middle to the ends of its interval."""
    down = [number(p, middle) - number(p, "low", number(p, middle)) for p in points]
    up = [number(p, "high", number(p, middle)) - number(p, middle) for p in points]
    return [[max(0.0, each) for each in side] for side in (down, up)]


def _draw_curve(panel: Any, fit: LogLine, most: float) -> None:
    lam, sigma, kappa = (number(fit, key) for key in ("lambda", "sigma", "kappa"))
    if lam <= 0 or sigma < 0 or kappa < 0:
        return
    n = [most ** (step / 200) for step in range(201)]
    curve = [lam * k / (1 + sigma * (k - 1) + kappa * k * (k - 1)) for k in n]
    vanishing = fit.get("not_distinguishable_from_0") or []
    shown = {"sigma": f"{sigma:.3g}", "kappa": f"{kappa:.2g}"}
    shown |= {name: "0" for name in vanishing if name in shown}
    text = f"fit: λ={lam:.3g}\nσ={shown['sigma']}, κ={shown['kappa']}"
    panel.plot(n, curve, color=COLOURS[1], linewidth=1.5, label=text)
    panel.plot(n, [lam * k for k in n], color=COLOURS[5], linewidth=1, linestyle=":", label="linear")


def experiments(run: Run, folder: Path, name: str) -> str:
    """The elasticity of throughput to each resource."""
    lines = run.all("tune_experiment")
    if not lines:
        return ""
    drawn, panel = figure(height=0.6 + 0.45 * len(lines), width=8)
    lines.reverse()
    values = [number(line, "elasticity") for line in lines]
    places = range(len(lines))
    for place, line in enumerate(lines):
        single = _singles(line)
        panel.scatter(single, [place - 0.25] * len(single), color=COLOURS[5], s=9, alpha=0.6, linewidths=0)
    panel.errorbar(values, places, xerr=_reach(lines, "elasticity"), fmt="o", color=COLOURS[0], capsize=3)
    panel.set_yticks(places, [plain(line.get("change")) for line in lines])
    for at in (0, 1):
        panel.axvline(at, color=COLOURS[5], linewidth=1, linestyle=":")
    panel.set_ylim(-0.6, len(lines) - 0.5)
    panel.set_xlabel("elasticity of throughput (0 = irrelevant, 1 = fully limiting); grey: single windows")
    return save(drawn, folder, name, "Effect of each resource on throughput, 95 % intervals")


def _singles(line: LogLine) -> list[float]:
    """Return the elasticity that each window alone would show."""
    factor = number(line, "factor")
    windows = line.get("windows") or []
    return [float(each) / log(factor) for each in windows] if factor > 0 and factor != 1 else []


def host(run: Run, folder: Path, name: str) -> str:
    """Throughput of the windows of experiments, and the host's speed at the same time."""
    windows = [line for line in run.all("tune_window") if number(line, "per_second") > 0]
    if not windows:
        return ""
    drawn, (rates, speeds) = figure(2, 1, height=4.6, sharex=True)
    kinds = (("baseline", COLOURS[0], 22), ("", COLOURS[5], 9))
    for kind, colour, size in kinds:
        chosen = [line for line in windows if (line.get("experiment") == "baseline") == bool(kind)]
        rates.scatter(
            [number(line, "at_seconds") for line in chosen],
            [number(line, "per_second") for line in chosen],
            color=colour,
            s=size,
            linewidths=0,
            label=kind or "experiments",
        )
    rates.set_ylabel("messages/s")
    beside(rates)
    at = [number(line, "at_seconds") for line in windows]
    speeds.plot(at, [number(line, "speed") for line in windows], color=COLOURS[2], label="speed of the core")
    shares = [line.get("core_share") for line in windows]
    if all(isinstance(each, int | float) for each in shares):
        speeds.plot(at, shares, color=COLOURS[1], label="share of the core that\nthe probe got")
    beside(speeds)
    for panel in (rates, speeds):
        from_zero(panel)
    speeds.set_xlabel("seconds since the start")
    return save(drawn, folder, name, "The windows of the experiments, and the host meanwhile")


def costs(run: Run, folder: Path, name: str) -> str:
    """CPU per message, by operation and component."""
    components = run.first("tune_costs").get("components")
    if not isinstance(components, dict) or not components:
        return ""
    drawn, panel = figure(height=3.2, width=8)
    bottoms = dict.fromkeys(components, 0.0)
    names = dict.fromkeys(name for split in components.values() for name in split)
    known = {name: None for name in _COMPONENTS if name in names}  # the same colours in every report
    for component, colour in zip({**known, **names}, (*COLOURS, *COLOURS), strict=False):
        sizes = [number(split, component) for split in components.values()]
        panel.bar(
            list(map(plain, components)),
            sizes,
            bottom=list(bottoms.values()),
            label=plain(component),
            color=colour,
        )
        bottoms = {op: bottoms[op] + size for op, size in zip(bottoms, sizes, strict=True)}
    panel.set_ylabel("CPU µs a message")
    beside(panel)
    return save(drawn, folder, name, "CPU per message by operation and component")
