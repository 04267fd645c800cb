"""The pictures of a saturation search: the search itself, scaling, experiments, costs."""

from pathlib import Path

from loadtest_trio.reporting.canvas import COLOURS, figure, save
from loadtest_trio.reporting.reader import Line
from loadtest_trio.reporting.runs import Run, number

_RATE_KINDS = ("climb", "probe again", "bisect", "confirm")


def search(run: Run, folder: Path, name: str) -> str:
    """Offered against achieved rate, and latency, of every stage with an offered rate."""
    stages = [line for line in run.all("tune_stage") if line.get("kind") in _RATE_KINDS]
    if not stages:
        return ""
    drawn, (rates, delays) = figure(1, 2, height=3.8)
    for passed, colour, meaning in ((True, COLOURS[2], "passed"), (False, COLOURS[3], "failed")):
        chosen = [line for line in stages if line.get("passed") is passed]
        offered = [number(line, "offered_per_second") for line in chosen]
        rates.scatter(
            offered, [number(x, "goodput_per_second") for x in chosen], color=colour, label=meaning, s=22
        )
        with_p99 = [line for line in chosen if line.get("p99_ms")]
        delays.scatter(
            [number(line, "offered_per_second") for line in with_p99],
            [number(line, "p99_ms") for line in with_p99],
            color=colour,
            s=22,
        )
    top = max(number(line, "offered_per_second") for line in stages)
    rates.plot([0, top], [0, top], color=COLOURS[5], linewidth=1, linestyle=":", label="all that was offered")
    _mark_saturation(run, (rates, delays))
    rates.set_ylabel("achieved messages/s")
    rates.legend(fontsize=8)
    delays.set_yscale("log")
    delays.set_ylabel("end-to-end p99, ms")
    objective = number(run.started, "objective_p99_ms")
    if objective:
        delays.axhline(objective, color=COLOURS[1], linewidth=1, linestyle="--")
    for panel in (rates, delays):
        panel.set_xlabel("offered messages/s")
    return save(drawn, folder, name, "The search: offered against achieved rate, and latency")


def _mark_saturation(run: Run, panels: tuple[object, object]) -> None:
    rate = number(run.first("tune_saturation"), "rate")
    for panel in panels:
        if rate:
            panel.axvline(rate, color=COLOURS[0], linewidth=1, linestyle="--")  # type: ignore[attr-defined] # an Axes


def scaling(run: Run, folder: Path, name: str) -> str:
    """Throughput against concurrency with the fitted curve and its interval."""
    fit = run.first("tune_scaling")
    points = [(number(p, "workers"), p) for p in fit.get("points") or []]
    if not points:
        return ""
    drawn, panel = figure(height=4, width=8)
    for key, (workers, point) in enumerate(points):
        middle = number(point, "rate")
        error = [
            [max(0.0, middle - number(point, "low", middle))],
            [max(0.0, number(point, "high", middle) - middle)],
        ]
        label = "measured, 95 % interval" if key == 0 else None
        panel.errorbar(
            [workers], [middle], yerr=error, fmt="o", color=COLOURS[0], capsize=3, markersize=5, label=label
        )
    _draw_curve(panel, fit, max(workers for workers, _ in points))
    panel.set_xscale("log", base=2)
    panel.set_xticks([workers for workers, _ in points], [f"{workers:g}" for workers, _ in points])
    panel.minorticks_off()
    panel.set_ylim(0, 1.35 * max(number(point, "rate") for _, point in points))
    panel.set_xlabel("workers (closed loop)")
    panel.set_ylabel("messages/s")
    panel.legend(fontsize=8, loc="lower right")
    return save(drawn, folder, name, "Throughput against concurrency")


def _draw_curve(panel: object, fit: Line, most: float) -> None:
    lam, sigma, kappa = (number(fit, key) for key in ("lambda", "sigma", "kappa"))
    if not lam:
        return
    n = [most ** (step / 200) for step in range(201)]
    curve = [lam * k / (1 + sigma * (k - 1) + kappa * k * (k - 1)) for k in n]
    text = f"fit: λ={lam:.3g}, σ={sigma:.3g}, κ={kappa:.2g}"
    panel.plot(n, curve, color=COLOURS[1], linewidth=1.5, label=text)  # type: ignore[attr-defined] # an Axes
    panel.plot(  # type: ignore[attr-defined] # an Axes
        n, [lam * k for k in n], color=COLOURS[5], linewidth=1, linestyle=":", label="linear"
    )


def experiments(run: Run, folder: Path, name: str) -> str:
    """The elasticity of throughput to each resource."""
    lines = run.all("tune_experiment")
    if not lines:
        return ""
    drawn, panel = figure(height=0.6 + 0.45 * len(lines), width=8)
    for place, line in enumerate(reversed(lines)):
        middle = number(line, "elasticity")
        error = [
            [max(0.0, middle - number(line, "low", middle))],
            [max(0.0, number(line, "high", middle) - middle)],
        ]
        panel.errorbar([middle], [place], xerr=error, fmt="o", color=COLOURS[0], capsize=3)
    panel.set_yticks(range(len(lines)), [str(line.get("change")) for line in reversed(lines)])
    for at in (0, 1):
        panel.axvline(at, color=COLOURS[5], linewidth=1, linestyle=":")
    panel.set_xlabel("elasticity of throughput: 0 does not count, 1 is all that counts")
    return save(drawn, folder, name, "What throughput depends on")


def costs(run: Run, folder: Path, name: str) -> str:
    """CPU a message, by operation and component."""
    components = run.first("tune_costs").get("components")
    if not isinstance(components, dict) or not components:
        return ""
    drawn, panel = figure(height=3.2, width=8)
    bottoms = dict.fromkeys(components, 0.0)
    names = list(dict.fromkeys(name for split in components.values() for name in split))
    for component, colour in zip(names, (*COLOURS, *COLOURS), strict=False):
        sizes = [number(split, component) for split in components.values()]
        panel.bar(list(components), sizes, bottom=list(bottoms.values()), label=component, color=colour)
        bottoms = {op: bottoms[op] + size for op, size in zip(bottoms, sizes, strict=True)}
    panel.set_ylabel("CPU µs a message")
    panel.legend(fontsize=8, ncols=2)
    return save(drawn, folder, name, "CPU a message by operation and component")
