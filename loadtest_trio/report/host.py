"""The host during a saturation search, as the probe between its windows shows it."""

from math import log
from statistics import fmean, stdev

from loadtest_trio.report.details import LogLine
from loadtest_trio.report.markdown import Cell, table
from loadtest_trio.report.runs import Run, number


def section(run: Run) -> str:
    """The host's speed, what took its CPUs, and the changes that made the search repeat windows."""
    windows = run.all("tune_window")
    if not windows:
        return ""
    rows: list[list[Cell]] = [
        ["speed of the core (1: a cloud vCPU of 2025)", *_spread(windows, "speed")],
        ["share of the core that the probe got", *_spread(windows, "core_share")],
        ["share of the CPUs' time stolen by the hypervisor", *_spread(windows, "steal")],
        ["clock frequency, MHz", *_spread(windows, "mhz")],
        ["messages a second, baseline", *_spread(_baselines(windows), "per_second")],
    ]
    return "\n\n".join(
        [
            f"A fixed piece of work of 10 to 20 ms, timed on the service's core between {len(windows)} "
            "windows. Rates divided by the speed are normalised: what a core of speed 1 would do.",
            table(("", "mean", "least", "most"), [row for row in rows if row[1] is not None]),
            *_similar(windows),
            *_changes(run),
        ]
    )


def _baselines(windows: list[LogLine]) -> list[LogLine]:
    return [line for line in windows if line.get("experiment") == "baseline"]


def _spread(lines: list[LogLine], field: str) -> list[Cell]:
    values = [number(line, field) for line in lines if line.get(field) is not None]
    return [fmean(values), min(values), max(values)] if values else [None, None, None]


def _similar(windows: list[LogLine]) -> list[str]:
    """Say how much the baseline's rate scatters, raw and divided by the speed."""
    lines = [line for line in _baselines(windows) if number(line, "per_second") * number(line, "speed") > 0]
    if len(lines) < 3:
        return []
    raw = [log(number(line, "per_second")) for line in lines]
    normalised = [each - log(number(line, "speed")) for each, line in zip(raw, lines, strict=True)]
    return [
        f"The baseline's {len(lines)} windows differ by {100 * stdev(raw):.1f} % (standard deviation) raw, "
        f"and by {100 * stdev(normalised):.1f} % normalised."
    ]


def _changes(run: Run) -> list[str]:
    """List the changes of the host that made the search repeat a step."""
    lines = run.all("tune_host_changed")
    left_out, disturbed = (
        sum(int(number(line, field)) for line in run.all("tune_experiment"))
        for field in ("left_out", "disturbed")
    )
    said = [
        f"- at {number(line, 'at_seconds'):.0f} s, speed {number(line, 'before'):.2f} → "
        f"{number(line, 'after'):.2f}: {line.get('repeated')}"
        for line in lines
    ]
    if left_out:
        said.append(f"- during the experiments: {left_out} windows left out and measured again")
    if disturbed:
        said.append(
            f"- during the experiments: {disturbed} windows used although disturbed, as too few were not"
        )
    if not said:
        return ["The host's speed did not change by more than 15 % between two windows that were compared."]
    return ["**The host changed during the search**:\n\n" + "\n".join(said)]
