"""The sections of a report on any run. Each takes a run and returns Markdown, or an empty text."""

from collections.abc import Sequence

from loadtest_trio.report.details import LogLine
from loadtest_trio.report.histograms import MergedLatencies
from loadtest_trio.report.intervals import intervals
from loadtest_trio.report.markdown import Cell, duration, facts, table
from loadtest_trio.report.reader import Reading
from loadtest_trio.report.runs import Run, ledger, mapping, number, totals, unbalanced

_NAMED_FILES = 20
_NAMED_USES = 100
_PERCENTILES = (50.0, 90.0, 99.0, 99.9, 100.0)


def configuration(run: Run) -> str:
    """The machine, the versions and the settings."""
    machine, versions = mapping(run.started.get("machine")), mapping(run.started.get("versions"))
    rows = [(name, str(value)) for name, value in run.settings.items() if value != ""]
    if not (machine or rows):
        return "The line with the run's settings and machine is not among the lines."
    about: list[tuple[str, Cell]] = [
        ("Machine", f"{machine.get('cpu_model', '?')}, {machine.get('cpus', '?')} CPUs visible"),
        ("Memory", f"{number(machine, 'memory_mb'):,.0f} MB"),
        ("Platform", str(machine.get("platform", "?"))),
        ("Versions", ", ".join(f"{name} {value}" for name, value in versions.items())),
        ("Calibration score", run.score),
        ("Spread of the score, %", None if run.score_spread is None else 100 * run.score_spread),
    ]
    return f"{facts(about)}\n\n{table(('setting', 'value'), rows)}"


def overview(run: Run) -> str:
    """Length, rate, totals and end."""
    end = run.stopped.get("reason") or "not known (killed, log cut off, or still running)"
    done = intervals(run.steady)
    seconds, count = sum(each.seconds for each in done), sum(each.done for each in done)
    spent = [each for each in done if each.cpu_seconds is not None]
    cpu, counted = sum(each.cpu_seconds or 0 for each in spent), sum(each.done for each in spent)
    lines: list[tuple[str, Cell]] = [
        ("Length", duration(run.seconds)),
        ("Metrics lines", len(run.metrics)),
        ("Messages a second in the steady phase", count / seconds if seconds else None),
        ("CPU per message in the steady phase, ms", 1000 * cpu / counted if counted else None),
        ("End", str(end)),
    ]
    lines += [(name.replace("_", " ").capitalize(), value) for name, value in totals(run).items()]
    return facts(lines)


def latencies(run: Run, distributions: dict[str, MergedLatencies]) -> str:
    """Percentiles of every latency, from merged histograms."""
    stage = f" of stage {run.best_stage:g}, the saturation point" if run.is_tuning and run.steady else ""
    rows: list[list[Cell]] = []
    for path, each in sorted(distributions.items()):
        if each.count:
            rows.append([path, each.count, *(each.percentile_ms(percent) for percent in _PERCENTILES)])
    if not rows:
        return "The lines carry no histograms."
    headings = ("milliseconds", "count", "p50", "p90", "p99", "p99.9", "max")
    return f"Percentiles of the merged histograms of all lines{stage}.\n\n" + table(headings, rows)


def mix(run: Run) -> str:
    """Nominal against achieved shares."""
    if not run.operations:
        return "No line carries counts by operation."
    rows = [
        (
            name,
            number(each, "share_nominal"),
            number(each, "share_actual"),
            number(each, "share_actual") - number(each, "share_nominal"),
            int(number(each, "created")),
            int(number(each, "processed")),
            int(number(each, "missed")),
            int(number(each, "failed")),
        )
        for name, each in run.operations.items()
    ]
    headings = (
        "operation",
        "nominal %",
        "actual %",
        "difference",
        "created",
        "processed",
        "missed",
        "failed",
    )
    return (
        "Shares are of the steady messages. Refills that keep the bucket within its bounds are in the counts "
        "only.\n\n" + table(headings, rows)
    )


def balance(run: Run) -> str:
    """Where every message is, and whether the ledger balances."""
    places = ledger(run)
    if not places:
        return "No line carries the ledger."
    wrong = unbalanced(run)
    whose = f"Stage {run.best_stage:g}; each stage has its own queue. " if run.is_tuning else ""
    balance = whose + (
        f"It balances in all {len(run.metrics)} metrics lines."
        if not wrong
        else f"**It does not balance in {len(wrong)} of {len(run.metrics)} metrics lines**, first at "
        f"{wrong[0]['timestamp']}: another program put messages on the list, or messages were lost."
    )
    return f"{table(tuple(places), [tuple(places.values())])}\n\n{balance}"


def warnings(run: Run) -> str:
    """Warnings and errors by kind."""
    counts = run.warnings
    if not counts:
        return "No warning and no error."
    return table(("kind", "count"), counts.most_common(20))


def controls(lines: Sequence[LogLine], began: float) -> str:
    """Each use of a control, when it was; an empty text where none was used.

    Args:
        lines: The run's lines of `control_used`.
        began: When the run began, in Unix seconds.
    """
    if not lines:
        return ""
    rows: list[list[Cell]] = [
        [
            f"{line['_at'] - began:.1f} s",
            *(str(line.get(field) or "–") for field in ("control", "value", "before")),
        ]
        for line in lines[:_NAMED_USES]
    ]
    more = len(lines) - _NAMED_USES
    return table(("after", "control", "value", "before"), rows) + (
        f"\n\nAnd {more} more." if more > 0 else ""
    )


def quality(reading: Reading, distributions: Sequence[MergedLatencies]) -> str:
    """How much of the logs could be read."""
    broken = sum(each.damaged for each in distributions)
    lines: list[tuple[str, Cell]] = [
        ("Files", reading.files),
        ("Skipped files", len(reading.skipped)),
        ("Lines of the service", len(reading.lines)),
        ("Damaged lines, left out", reading.damaged),
        ("Damaged histograms, left out", broken),
        ("Repeated lines, left out", reading.duplicates),
        ("Other lines, left out", reading.foreign),
    ]
    named = [f"- {each}" for each in (*reading.faults, *reading.skipped[:_NAMED_FILES])]
    more = len(reading.skipped) - _NAMED_FILES
    return "\n".join([facts(lines), *named, *([f"- and {more} more skipped files"] if more > 0 else [])])
