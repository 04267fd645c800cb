"""Reports on a soak test from `samples.csv` and `run.json`: slopes as table and JSON, and a chart."""

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import matplotlib as mpl

from benchmarks.soak.slopes import Slope, fit
from loadtest_trio.report.canvas import logarithmic

mpl.use("agg")
from matplotlib import pyplot

GROWTH_IS_A_DEFECT = ("rss_mb", "fds", "threads")
FITTED = {
    "rss_mb": "memory (RSS), MB",
    "fds": "open file descriptors",
    "threads": "threads",
    "end_to_end_p99_ms": "end-to-end p99, ms",
    "queue_length": "queue length",
    "cpu_percent": "CPU, % of one core",
}
PANELS = {
    **{name: FITTED[name] for name in ("rss_mb", "fds", "threads", "cpu_percent", "end_to_end_p99_ms")},
    "rate_per_second": "messages a second",
    "queue_length": FITTED["queue_length"],
}
_LAST_BOOKS = (
    "messages_created",
    "messages_processed",
    "messages_missed",
    "messages_withheld",
    "dead",
    "lost",
    "errors",
)

Samples = dict[str, list[float]]


def write_report(folder: Path, warm_up_minutes: float) -> bool:
    """Write `soak.json`, `soak.md` and `soak.png` beside the samples.

    Args:
        folder: The folder with the samples.
        warm_up_minutes: Samples before this time are not fitted.

    Returns:
        Whether nothing grows that must stay constant, and every message is accounted for.
    """
    samples = read_samples(folder / "samples.csv")
    run = json.loads((folder / "run.json").read_text())
    warm_up = warm_up_minutes * 60
    slopes = fit_all(samples, warm_up)
    growing = [name for name in GROWTH_IS_A_DEFECT if slopes[name].verdict == "grows"]
    closed = not any(samples["ledger_difference"]) and not any(samples["lost"])
    text = _text(run, samples, slopes, warm_up_minutes)
    (folder / "soak.md").write_text(text)
    facts = {
        "started": run["started"],
        "backends": run["backends"],
        "machine": run["service_started"]["machine"],
        "versions": run["service_started"]["versions"],
        "warm_up_seconds": warm_up,
        "samples": len(samples["uptime_seconds"]),
        "slopes": {name: {**attrs.asdict(slope), "verdict": slope.verdict} for name, slope in slopes.items()},
        "growing": growing,
        "ledger_closed": closed,
        "stopped": run["service_stopped"],
    }
    (folder / "soak.json").write_text(json.dumps(facts, indent=1) + "\n")
    _plot(folder / "soak.png", _title(run, samples), samples, slopes, warm_up)
    sys.stdout.write(text)
    return closed and not growing


def read_samples(path: Path) -> Samples:
    """Return the columns of a samples file, without the time of day."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name != "timestamp"]
    return {name: [float(row[name] or "nan") for row in rows] for name in names}


def fit_all(samples: Samples, warm_up: float) -> dict[str, Slope]:
    """Fit each series after the warm-up (in seconds)."""
    kept = [i for i, at in enumerate(samples["uptime_seconds"]) if at >= warm_up]
    return {name: fit(_pick(samples["uptime_seconds"], kept), _pick(samples[name], kept)) for name in FITTED}


def _pick(values: Sequence[float], kept: Sequence[int]) -> list[float]:
    return [values[i] for i in kept]


def _title(run: dict[str, Any], samples: Samples) -> str:
    settings = run["service_started"]["settings"]
    minutes, rate = samples["uptime_seconds"][-1] / 60, settings["SCHEDULER_MESSAGES_PER_SECOND"]
    return (
        f"Soak: {minutes:.0f} minutes at {rate} messages a second, {settings['WORKER_CONCURRENCY']} workers"
    )


def _text(run: dict[str, Any], samples: Samples, slopes: dict[str, Slope], warm_up: float) -> str:
    machine = run["service_started"]["machine"]
    books = ", ".join(f"{name.replace('_', ' ')} {samples[name][-1]:,.0f}" for name in _LAST_BOOKS)
    lines = [
        f"### {_title(run, samples)}",
        "",
        f"{run['started'][:16]} UTC, {machine['cpus']} x {machine['cpu_model']}, {machine['platform']}; "
        f"{run['backends']}. Slopes after {warm_up:g} minutes of warm-up, through "
        f"the means of {next(iter(slopes.values())).blocks} blocks of three minutes.",
        "",
        "| | mean | slope an hour | 95 % interval | verdict |",
        "| --- | ---: | ---: | ---: | --- |",
        *(
            f"| {title} | {slope.mean:,.1f} | {slope.per_hour:+,.2f} | {slope.low:+,.2f} to "
            f"{slope.high:+,.2f} | {slope.verdict} |"
            for (name, title), slope in ((each, slopes[each[0]]) for each in FITTED.items())
        ),
        "",
        f"Books at the last sample: {books}. The ledger's difference was "
        f"{'0 in every line' if not any(samples['ledger_difference']) else 'NOT 0 in every line'}.",
    ]
    return "\n".join(lines) + "\n"


def _plot(path: Path, title: str, samples: Samples, slopes: dict[str, Slope], warm_up: float) -> None:
    """Draw one panel per series, with the legend in the last panel's place."""
    figure, axes = pyplot.subplots(4, 2, figsize=(10, 9), sharex=True, layout="constrained")
    minutes = [at / 60 for at in samples["uptime_seconds"]]
    for axis, name in zip(axes.flat, PANELS, strict=False):
        _panel(axis, name, minutes, samples[name], slopes.get(name), warm_up / 60)
    for axis in (axes[3, 0], axes[2, 1]):  # the lowest panels with a series
        axis.set_xlabel("minutes")
        axis.tick_params(labelbottom=True)
    legend = axes[3, 1]
    legend.axis("off")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    legend.legend(handles, labels, loc="center", frameon=False)
    figure.suptitle(title)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def _panel(
    axis: Any, name: str, minutes: list[float], values: list[float], slope: Slope | None, warm_up: float
) -> None:
    axis.plot(minutes, values, linewidth=0.8, label="every ten seconds")
    axis.axvspan(0, warm_up, color="0.9", label="warm-up: not fitted")
    wide = name == "end_to_end_p99_ms"  # spans decades, so the axis is logarithmic
    if slope and not wide:  # a straight line would be curved on a logarithmic axis
        ends = [warm_up, minutes[-1]]
        line = [slope.intercept + slope.per_hour * end / 60 for end in ends]
        fitted = "fitted line: its slope, with an interval, is in soak.md"
        axis.plot(ends, line, "--", linewidth=1.4, color="#c44e52", label=fitted)
    axis.set_title(PANELS[name], fontsize=10)
    axis.set_xlim(0, minutes[-1])
    if wide:
        logarithmic(axis, "y")
        axis.set_title(f"{PANELS[name]} (logarithmic)", fontsize=10)
    else:
        axis.set_ylim(0, 1.15 * max(values) or 1)
