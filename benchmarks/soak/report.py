"""What a soak showed: slopes as a table and JSON, and a plot, from `samples.csv` and `run.json`."""

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import matplotlib as mpl

from benchmarks.soak.slopes import Slope, fit

mpl.use("agg")
from matplotlib import pyplot

GROWTH_IS_A_DEFECT = ("rss_mb", "fds", "threads")
FITTED = {
    "rss_mb": "memory (RSS), MB",
    "fds": "open file descriptors",
    "threads": "threads",
    "end_to_end_p99_ms": "end-to-end p99, ms",
    "queue_length": "queue length",
    "cpu_percent": "CPU, % of one",
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
        folder: Where the samples are.
        warm_up_minutes: What comes before is not fitted.

    Returns:
        Whether nothing grows that must not, and every message is accounted for.
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
    _plot(folder / "soak.png", samples, slopes, warm_up)
    sys.stdout.write(text)
    return closed and not growing


def read_samples(path: Path) -> Samples:
    """Return the columns of a samples file, but for the time of day."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name != "timestamp"]
    return {name: [float(row[name] or "nan") for row in rows] for name in names}


def fit_all(samples: Samples, warm_up: float) -> dict[str, Slope]:
    """Fit each series after the warm-up, given in seconds."""
    kept = [i for i, at in enumerate(samples["uptime_seconds"]) if at >= warm_up]
    return {name: fit(_pick(samples["uptime_seconds"], kept), _pick(samples[name], kept)) for name in FITTED}


def _pick(values: Sequence[float], kept: Sequence[int]) -> list[float]:
    return [values[i] for i in kept]


def _text(run: dict[str, Any], samples: Samples, slopes: dict[str, Slope], warm_up: float) -> str:
    machine, settings = run["service_started"]["machine"], run["service_started"]["settings"]
    minutes = samples["uptime_seconds"][-1] / 60
    rate = settings["SCHEDULER_MESSAGES_PER_SECOND"]
    books = ", ".join(f"{name.replace('_', ' ')} {samples[name][-1]:,.0f}" for name in _LAST_BOOKS)
    workers = settings["WORKER_CONCURRENCY"]
    lines = [
        f"### Soak: {minutes:.0f} minutes at {rate} messages a second, {workers} workers",
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


def _plot(path: Path, samples: Samples, slopes: dict[str, Slope], warm_up: float) -> None:
    panels = ("rss_mb", "fds", "threads", "end_to_end_p99_ms", "rate_per_second", "queue_length")
    titles = {**FITTED, "rate_per_second": "messages a second"}
    figure, axes = pyplot.subplots(3, 2, figsize=(9, 7), sharex=True, layout="constrained")
    minutes = [at / 60 for at in samples["uptime_seconds"]]
    for axis, name in zip(axes.flat, panels, strict=True):
        axis.plot(minutes, samples[name], linewidth=0.8)
        axis.set_title(titles[name], fontsize=9)
        axis.axvspan(0, warm_up / 60, color="0.92")
        if name == "end_to_end_p99_ms":
            axis.set_yscale("log")
        else:
            axis.set_ylim(0, 1.15 * max(samples[name]) or 1)
        if name in GROWTH_IS_A_DEFECT:
            ends = [warm_up / 60, minutes[-1]]
            line = [slopes[name].intercept + slopes[name].per_hour * end / 60 for end in ends]
            axis.plot(ends, line, "--", linewidth=1.2)
    for axis in axes[-1]:
        axis.set_xlabel("minutes")
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
