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
from benchmarks.soak.subjects import SUBJECTS, Run, Samples, Subject
from loadtest_trio.report.canvas import logarithmic

mpl.use("agg")
from matplotlib import pyplot

_WIDE = "end_to_end_p99_ms"  # spans decades, so its axis is logarithmic


def write_report(folder: Path, warm_up_minutes: float) -> bool:
    """Write `soak.json`, `soak.md` and `soak.png` beside the samples.

    Args:
        folder: The folder with the samples.
        warm_up_minutes: Samples before this time are not fitted.

    Returns:
        Whether nothing grows that must stay constant, and every message or job is accounted for.
    """
    samples = read_samples(folder / "samples.csv")
    run = json.loads((folder / "run.json").read_text())
    warm_up = warm_up_minutes * 60
    subject = SUBJECTS[run.get("service", "load")]
    slopes = fit_all(subject, samples, warm_up)
    growing = [name for name in subject.must_not_grow if slopes[name].verdict == "grows"]
    faults = subject.faults(run, samples)
    text = _text(subject, run, samples, slopes, warm_up_minutes)
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
        "faults": faults,
        "stopped": run["service_stopped"],
    }
    (folder / "soak.json").write_text(json.dumps(facts, indent=1) + "\n")
    _plot(folder / "soak.png", subject, run, samples, slopes, warm_up)
    sys.stdout.write(text)
    return not faults and not growing


def annotate(folder: Path, note: str) -> None:
    """Add a sentence to the run, which every report of it then shows."""
    path = folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "note": note}, indent=1) + "\n")


def read_samples(path: Path) -> Samples:
    """Return the columns of a samples file, without the time of day."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name != "timestamp"]
    return {name: [float(row[name] or "nan") for row in rows] for name in names}


def fit_all(subject: Subject, samples: Samples, warm_up: float) -> dict[str, Slope]:
    """Fit each of the subject's series after the warm-up (in seconds)."""
    kept = [i for i, at in enumerate(samples["uptime_seconds"]) if at >= warm_up]
    return {
        name: fit(_pick(samples["uptime_seconds"], kept), _pick(samples[name], kept))
        for name in subject.fitted
    }


def _pick(values: Sequence[float], kept: Sequence[int]) -> list[float]:
    return [values[i] for i in kept]


def _text(subject: Subject, run: Run, samples: Samples, slopes: dict[str, Slope], warm_up: float) -> str:
    machine = run["service_started"]["machine"]
    note = run.get("note")
    lines = [
        f"### {subject.title(run, samples)}",
        "",
        f"{run['started'][:16]} UTC, {machine['cpus']} x {machine['cpu_model']}, {machine['platform']}; "
        f"{run['backends']}. Slopes after {warm_up:g} minutes of warm-up, through "
        f"the means of {next(iter(slopes.values())).blocks} blocks of three minutes."
        + (f" {note}" if note else ""),
        "",
        "| | mean | slope an hour | 95 % interval | verdict |",
        "| --- | ---: | ---: | ---: | --- |",
        *(
            f"| {title} | {slope.mean:,.1f} | {slope.per_hour:+,.2f} | {slope.low:+,.2f} to "
            f"{slope.high:+,.2f} | {slope.verdict} |"
            for (name, title), slope in ((each, slopes[each[0]]) for each in subject.fitted.items())
        ),
        "",
        subject.account(run, samples),
    ]
    for fault in subject.faults(run, samples):
        lines += ["", f"**Wrong: {fault}.**"]
    return "\n".join(lines) + "\n"


def _plot(
    path: Path, subject: Subject, run: Run, samples: Samples, slopes: dict[str, Slope], warm_up: float
) -> None:
    """Draw one panel per series, with the legend in the last panel's place."""
    figure, axes = pyplot.subplots(4, 2, figsize=(10, 9), sharex=True, layout="constrained")
    minutes = [at / 60 for at in samples["uptime_seconds"]]
    for axis, name in zip(axes.flat, subject.panels, strict=False):
        _panel(axis, name, minutes, samples[name], slopes.get(name), warm_up / 60)
        axis.set_title(subject.panels[name] + (" (logarithmic)" if name == _WIDE else ""), fontsize=10)
    for axis in (axes[3, 0], axes[2, 1]):  # the lowest panels with a series
        axis.set_xlabel("minutes")
        axis.tick_params(labelbottom=True)
    legend = axes[3, 1]
    legend.axis("off")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    legend.legend(handles, labels, loc="center", frameon=False)
    figure.suptitle(subject.title(run, samples))
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def _panel(
    axis: Any, name: str, minutes: list[float], values: list[float], slope: Slope | None, warm_up: float
) -> None:
    axis.plot(minutes, values, linewidth=0.8, label="every ten seconds")
    axis.axvspan(0, warm_up, color="0.9", label="warm-up: not fitted")
    wide = name == _WIDE
    if slope and not wide:  # a straight line would be curved on a logarithmic axis
        ends = [warm_up, minutes[-1]]
        line = [slope.intercept + slope.per_hour * end / 60 for end in ends]
        fitted = "fitted line: its slope, with an interval, is in soak.md"
        axis.plot(ends, line, "--", linewidth=1.4, color="#c44e52", label=fitted)
    axis.set_xlim(0, minutes[-1])
    if wide:
        logarithmic(axis, "y")
    else:
        axis.set_ylim(0, 1.15 * max(values) or 1)
