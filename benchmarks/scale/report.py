"""Writes the sweeps as tables with verdicts, as JSON, and one as a chart."""

import statistics
from collections.abc import Callable
from pathlib import Path

import attrs

from benchmarks.output import RunInfo, spread, table, write
from benchmarks.scale.sweeps import BASE, STARTS, SWEEPS, THROUGHPUT, Sweep
from benchmarks.scale.throughput import NOTE, plot, throughput_table
from benchmarks.scale.trial import Rounds, Sample

TOLERANCE = 0.15
MOST_MB, MOST_MB_A_WORKER = 120.0, 0.6
MOST_START_SECONDS = 1.5


@attrs.frozen
class Scale:
    """Everything that one run of the scale benchmark measured.

    Attributes:
        about: Machine and date.
        messages: Messages per trial.
        sweeps: The rounds of each sweep, by name.
        starts: Seconds to the first message, by way to start.
    """

    about: RunInfo
    messages: int
    sweeps: dict[str, Rounds]
    starts: dict[str, list[float]]


def ratios(rounds: Rounds, size: int) -> list[float]:
    """Return CPU per message over that of the first size in the same round, one value per round."""
    first = next(iter(rounds[0]))
    return [samples[size].cpu_us / samples[first].cpu_us for samples in rounds]


def verdict(values: list[float]) -> str:
    """Return whether the median ratio is flat, and otherwise the direction."""
    ratio = statistics.median(values)
    if abs(ratio - 1) <= TOLERANCE:
        return "yes"
    return "no, dearer" if ratio > 1 else "no, cheaper"


def memory(rounds: Rounds) -> tuple[float, float] | None:
    """Return MB at `BASE` workers and MB per additional worker, or None when these were not measured.

    Both are medians of the rounds.
    """
    most = max(rounds[0])
    if BASE not in rounds[0] or most == BASE:
        return None
    slopes = [(samples[most].rss_mb - samples[BASE].rss_mb) / (most - BASE) for samples in rounds]
    return statistics.median(samples[BASE].rss_mb for samples in rounds), statistics.median(slopes)


def listing(rounds: Rounds) -> float | None:
    """Return CPU µs per key of the first LIST, from the smallest and largest bucket; None for one size."""
    least, most = min(rounds[0]), max(rounds[0])
    if least == most:
        return None
    costs = ((samples[most].cpu_before - samples[least].cpu_before) for samples in rounds)
    return statistics.median(costs) / (most - least) * 1e6


def render(scale: Scale) -> str:
    """Return the result as Markdown."""
    how = f"{scale.messages:,} messages a trial where no other number is named, sizes in alternation."
    lines = [scale.about.heading("Scale", how).rstrip("\n")]
    for sweep in SWEEPS:
        if sweep.name in scale.sweeps:
            rounds = scale.sweeps[sweep.name]
            lines += [
                "",
                f"#### {sweep.title}",
                "",
                throughput_table(rounds) if sweep.name == THROUGHPUT else _sweep_table(sweep, rounds),
                *_remarks(sweep.name, rounds),
            ]
    if scale.starts:
        lines += ["", "#### Start to the first message", "", _start_table(scale.starts)]
    return "\n".join(lines)


def write_all(scale: Scale, folder: Path, name: str = "scale") -> str:
    """Write NAME.json and NAME.md, and throughput.png if that was measured; return the Markdown."""
    text, picture = render(scale), ""
    if THROUGHPUT in scale.sweeps:
        picture = f"\n\n![Throughput and CPU]({THROUGHPUT}.png)"
    facts = attrs.asdict(scale)
    write(folder, name, text + picture, facts.pop("about") | facts)
    if picture:
        plot(folder / f"{THROUGHPUT}.png", scale.sweeps[THROUGHPUT])
    return text


def _sweep_table(sweep: Sweep, rounds: Rounds) -> str:
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
    return table(heads, rows)


def _remarks(name: str, rounds: Rounds) -> list[str]:
    """Return the remarks below a sweep's table."""
    if name == "workers" and (found := memory(rounds)):
        return ["", _memory_table(*found)]
    if name == THROUGHPUT:
        return ["", NOTE]
    if name == "known" and (cost := listing(rounds)):
        return [
            "",
            f"A LIST costs {cost:.1f} CPU µs a key: it is in *CPU s before*, and not in *CPU µs a message*.",
        ]
    return []


def _memory_table(base: float, slope: float) -> str:
    return table(
        ["memory", "MB", "at most", "kept"],
        [
            [f"RSS at {BASE} workers", f"{base:.0f}", f"{MOST_MB:.0f}", _kept(base, MOST_MB)],
            ["a further worker", f"{slope:.2f}", f"{MOST_MB_A_WORKER}", _kept(slope, MOST_MB_A_WORKER)],
        ],
    )


def _start_table(starts: dict[str, list[float]]) -> str:
    rows = [
        [
            start.title,
            spread(starts[start.title], 2),
            f"{MOST_START_SECONDS}",
            _kept(statistics.median(starts[start.title]), MOST_START_SECONDS),
        ]
        for start in STARTS
    ]
    return table(["with external backends", "seconds", "at most", "kept"], rows)


def _kept(value: float, most: float) -> str:
    return "yes" if value <= most else "no"
