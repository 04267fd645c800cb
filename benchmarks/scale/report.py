"""The sweeps as tables with verdicts, and as JSON."""

import json
import statistics
from collections.abc import Callable
from pathlib import Path

import attrs

from benchmarks.report import spread
from benchmarks.scale.sweeps import BASE, STARTS, SWEEPS, Sweep
from benchmarks.scale.trial import Sample

TOLERANCE = 0.15
MOST_MB, MOST_MB_A_WORKER = 120.0, 0.6
MOST_START_SECONDS = 1.5

Rounds = list[dict[int, Sample]]
"""One sweep: a round each, the samples by size."""


@attrs.frozen
class Scale:
    """Everything that was measured in one call.

    Attributes:
        taken_at: When.
        machine: Where.
        messages: Messages a trial.
        sweeps: The rounds of each sweep, by its name.
        starts: Seconds to the first message, by the title of the way to start.
    """

    taken_at: str
    machine: dict[str, str | int]
    messages: int
    sweeps: dict[str, Rounds]
    starts: dict[str, list[float]]


def ratios(rounds: Rounds, size: int) -> list[float]:
    """Return CPU a message over that of the first size in the same round, a value a round."""
    first = next(iter(rounds[0]))
    return [samples[size].cpu_us / samples[first].cpu_us for samples in rounds]


def verdict(values: list[float]) -> str:
    """Say whether the median ratio is flat, and if not, to which side it went."""
    ratio = statistics.median(values)
    if abs(ratio - 1) <= TOLERANCE:
        return "yes"
    return "no, dearer" if ratio > 1 else "no, cheaper"


def memory(rounds: Rounds) -> tuple[float, float] | None:
    """Return MB at `BASE` workers and MB a further worker up to the most, or None when they were not tried.

    Both are medians of the rounds.
    """
    most = max(rounds[0])
    if BASE not in rounds[0] or most == BASE:
        return None
    slopes = [(samples[most].rss_mb - samples[BASE].rss_mb) / (most - BASE) for samples in rounds]
    return statistics.median(samples[BASE].rss_mb for samples in rounds), statistics.median(slopes)


def listing(rounds: Rounds) -> float | None:
    """Return CPU µs a key of the first LIST, by the largest and the smallest bucket; None for one size."""
    least, most = min(rounds[0]), max(rounds[0])
    if least == most:
        return None
    costs = ((samples[most].cpu_before - samples[least].cpu_before) for samples in rounds)
    return statistics.median(costs) / (most - least) * 1e6


def render(scale: Scale) -> str:
    """Return the whole result as Markdown."""
    machine = scale.machine
    lines = [
        "### Scale",
        "",
        f"{scale.messages:,} messages a trial, sizes in alternation; median (least–most) of the rounds; "
        f"ratios within a round; {machine['cpu']}, {machine['cores']} cores; Python {machine['python']}; "
        f"commit {machine['commit']}, {scale.taken_at}.",
    ]
    for sweep in SWEEPS:
        if sweep.name in scale.sweeps:
            rounds = scale.sweeps[sweep.name]
            lines += [
                "",
                f"#### {sweep.title}",
                "",
                *_sweep_table(sweep, rounds),
                *_remarks(sweep.name, rounds),
            ]
    if scale.starts:
        lines += ["", "#### Start to the first message", "", *_start_table(scale.starts)]
    return "\n".join(lines)


def write_all(scale: Scale, folder: Path) -> str:
    """Write scale.json and scale.md; return the text."""
    folder.mkdir(parents=True, exist_ok=True)
    text = render(scale)
    (folder / "scale.json").write_text(json.dumps(attrs.asdict(scale), indent=1) + "\n")
    (folder / "scale.md").write_text(text + "\n")
    return text


def _sweep_table(sweep: Sweep, rounds: Rounds) -> list[str]:
    heads = [sweep.unit, "CPU µs a message", "ratio to the first", f"flat within {TOLERANCE:.0%}"]
    heads += ["in flight", "core busy", "msg/s", "RSS MB", "CPU s before"]
    rows = []
    for size in rounds[0]:

        def of(value: Callable[[Sample], float], size: int = size) -> list[float]:
            return [value(samples[size]) for samples in rounds]

        rows.append(
            [
                f"{size:,}",
                spread(of(lambda sample: sample.cpu_us)),
                spread(ratios(rounds, size), 2),
                verdict(ratios(rounds, size)),
                f"{max(of(lambda sample: sample.in_flight)):.0f}",
                f"{statistics.median(of(lambda sample: sample.busy)):.0%}",
                spread(of(lambda sample: sample.rate)),
                spread(of(lambda sample: sample.rss_mb)),
                f"{statistics.median(of(lambda sample: sample.cpu_before)):.1f}",
            ]
        )
    return _table(heads, rows)


def _remarks(name: str, rounds: Rounds) -> list[str]:
    """Return what else follows from a sweep."""
    if name == "workers" and (found := memory(rounds)):
        return ["", *_memory_table(*found)]
    if name == "known" and (cost := listing(rounds)):
        return [
            "",
            f"A LIST costs {cost:.1f} CPU µs a key: it is in *CPU s before*, and not in *CPU µs a message*.",
        ]
    return []


def _memory_table(base: float, slope: float) -> list[str]:
    return _table(
        ["memory", "MB", "at most", "kept"],
        [
            [f"RSS at {BASE} workers", f"{base:.0f}", f"{MOST_MB:.0f}", _kept(base, MOST_MB)],
            ["a further worker", f"{slope:.2f}", f"{MOST_MB_A_WORKER}", _kept(slope, MOST_MB_A_WORKER)],
        ],
    )


def _start_table(starts: dict[str, list[float]]) -> list[str]:
    rows = [
        [
            start.title,
            spread(starts[start.title], 2),
            f"{MOST_START_SECONDS}",
            _kept(statistics.median(starts[start.title]), MOST_START_SECONDS),
        ]
        for start in STARTS
    ]
    return _table(["with external backends", "seconds", "at most", "kept"], rows)


def _kept(value: float, most: float) -> str:
    return "yes" if value <= most else "no"


def _table(heads: list[str], rows: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (heads, ["---"] * len(heads), *rows)]
