"""The report: every run found in the log lines, as Markdown with pictures."""

from collections.abc import Callable, Sequence
from pathlib import Path

from loadtest_trio.report import host, pictures, sections, tuning_findings, tuning_pictures, tuning_sections
from loadtest_trio.report.histograms import merge
from loadtest_trio.report.intervals import intervals
from loadtest_trio.report.markdown import Cell, duration, table
from loadtest_trio.report.reader import read
from loadtest_trio.report.runs import Run
from loadtest_trio.report.searches import side_by_side
from loadtest_trio.report.splitting import split
from loadtest_trio.report.users_report import chapter, is_users, shared

Picture = Callable[[Run, Path, str], str]


def write_report(places: Sequence[Path], folder: Path) -> Path:
    """Write REPORT.md and its pictures.

    Args:
        places: Files and folders of log lines.
        folder: Where to write; made when it is missing.

    Returns:
        The report's path.

    Raises:
        UnreadableRunError: There is nothing to report on.
        MissingExtraError: matplotlib is not installed.
    """
    reading = read(places)
    runs = split(reading.lines)
    folder.mkdir(parents=True, exist_ok=True)
    damaged = [each for run in runs for each in merge(run.metrics).values()]
    others = [run for run in runs if not is_users(run)]
    parts = ["# Load test report", side_by_side(others), _history(others)]
    for number, run in enumerate(others, 1):
        parts += _run(run, folder, f"run{number}" if len(others) > 1 else "run", number)
    for number, crowd in enumerate(shared([run for run in runs if is_users(run)]), 1):
        parts += chapter(crowd, folder, f"users{number}", number)
    parts += ["## The log lines", sections.quality(reading, damaged)]
    target = folder / "REPORT.md"
    target.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")
    return target


def _run(run: Run, folder: Path, prefix: str, number: int) -> list[str]:
    # A search overloads the service on purpose, so the latencies of all its stages together mean nothing.
    distributions = merge(run.steady if run.is_tuning else run.metrics)
    what = "Saturation search" if run.is_tuning else "Run"
    began = (run.metrics or run.lines)[0]["timestamp"] if not run.started else run.started["timestamp"]
    parts = [f"## {what} {number}: {began}, {duration(run.seconds)}"]
    if run.is_tuning:
        parts += _tuning(run, folder, prefix)
    else:
        parts += [sections.overview(run)]
    parts += ["### Over time", pictures.over_time(run, folder, f"{prefix}-time")]
    used = sections.controls(run.all("control_used"), run.began)
    parts += ["### Controls used", used] if used else []
    parts += ["### Latencies", pictures.latency(distributions, folder, f"{prefix}-latency")]
    parts += [sections.latencies(run, distributions)]
    parts += ["### Mix", pictures.mix(run, folder, f"{prefix}-mix"), sections.mix(run)]
    parts += ["### Ledger", sections.balance(run)]
    parts += ["### Warnings and errors", sections.warnings(run)]
    return [*parts, "### Configuration and machine", sections.configuration(run)]


def _tuning(run: Run, folder: Path, prefix: str) -> list[str]:
    chapters: tuple[tuple[str, Callable[[Run], str], Picture | None], ...] = (
        ("", tuning_sections.conclusion, None),
        ("Calibration", tuning_sections.calibration, None),
        ("Stages", tuning_sections.stages, tuning_pictures.search),
        ("Throughput against concurrency", tuning_findings.scaling, tuning_pictures.scaling),
        ("Bottleneck", tuning_findings.bottleneck, tuning_pictures.experiments),
        ("The host", host.section, tuning_pictures.host),
        ("Mitigation", tuning_sections.mitigation, None),
        ("Cost per operation", tuning_findings.costs, tuning_pictures.costs),
    )
    parts = []
    for title, words, picture in chapters:
        body = [
            words(run),
            picture(run, folder, f"{prefix}-{picture.__name__}") if picture else "",
        ]
        if any(body):
            parts += [f"### {title}" if title else "", *body]
    return parts


def _history(runs: Sequence[Run]) -> str:
    """The changes of settings from run to run, and their effect."""
    if len(runs) < 2:
        return ""
    rows: list[list[Cell]] = []
    before: float | None = None
    for number, run in enumerate(runs, 1):
        done = intervals(run.steady)
        seconds = sum(each.seconds for each in done)
        rate = sum(each.done for each in done) / seconds if seconds else None
        gain = f"{100 * (rate / before - 1):+.0f} %" if rate and before else ""
        changed = _changes(runs[number - 2], run) if number > 1 else ""
        rows.append([f"{number} {run.started.get('timestamp', '')}", changed, rate, gain])
        before = rate or before
    headings = ("run", "changed from the run before", "messages/s", "against the run before")
    return "## Changes from run to run\n\n" + table(headings, rows)


def _changes(before: Run, after: Run) -> str:
    if not (before.settings and after.settings):
        return "settings not known"
    changed = (
        f"{name} {before.settings.get(name) or '–'} → {after.settings.get(name) or '–'}"
        for name in {**before.settings, **after.settings}
        if before.settings.get(name) != after.settings.get(name)
    )
    return ", ".join(changed) or "nothing"
