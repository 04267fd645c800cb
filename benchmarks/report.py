"""Results as a table, JSON and plots."""

import json
import statistics
from collections.abc import Callable
from pathlib import Path

import attrs

from benchmarks.contenders import CONTENDERS
from benchmarks.measure import Result

REFERENCES = ("go-tuned", "go-expert", "go-signed", "asyncio")


@attrs.frozen
class Report:
    """Everything that was measured in one call of scripts/bench."""

    endpoint: str
    scheme: str
    messages: int
    taken_at: str
    machine: dict[str, str | int]
    rounds: list[list[Result]]
    left_out: dict[str, str]

    @property
    def name(self) -> str:
        """The stem of the files' names."""
        return f"{self.endpoint}-{self.scheme}"

    def of(self, contender: str, value: Callable[[Result], float]) -> list[float]:
        """Return one figure of one contender, a value a round."""
        return [
            value(result) for results in self.rounds for result in results if result.contender == contender
        ]

    def ratios(self, contender: str, reference: str) -> list[float]:
        """Return the CPU a message over the reference's *in the same round*, a value a round."""
        pairs = ({result.contender: result.cpu_us for result in results} for results in self.rounds)
        return [each[contender] / each[reference] for each in pairs if {contender, reference} <= each.keys()]

    @property
    def contenders(self) -> list[str]:
        """Who has results, the least CPU a message first."""
        names = {result.contender for results in self.rounds for result in results}
        return sorted(names, key=lambda name: statistics.median(self.of(name, lambda result: result.cpu_us)))


def spread(values: list[float], digits: int = 0) -> str:
    """Return ``median (min-max)``, or a dash for nothing."""
    if not values:
        return "–"
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f}–{high:,.{digits}f})"


def table(report: Report) -> str:
    """Return the Markdown table, with a heading that says what was measured and where."""
    titles = {each.name: each.title for each in CONTENDERS}
    heads = ["who", "msg/s", "CPU µs a message", "whole process", *(f"÷ {name}" for name in REFERENCES)]
    heads += ["in the kernel", "core busy", "RSS MB"]
    rows = [heads, ["---"] * len(heads)]
    for name in report.contenders:
        cells = [
            titles[name],
            spread(report.of(name, lambda result: result.rate)),
            spread(report.of(name, lambda result: result.cpu_us)),
            spread(report.of(name, lambda result: result.cpu_us_whole)),
            *(spread(report.ratios(name, reference), 2) for reference in REFERENCES),
            f"{statistics.median(report.of(name, lambda result: result.kernel)):.0%}",
            f"{statistics.median(report.of(name, lambda result: result.busy)):.0%}",
            f"{max(report.of(name, lambda result: result.rss_mb)):.0f}",
        ]
        rows.append(cells)
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines += [f"\nLeft out: {name}: {reason.splitlines()[0]}" for name, reason in report.left_out.items()]
    return "\n".join([*heading(report), "", *lines])


def heading(report: Report) -> list[str]:
    """Return the lines above the table."""
    machine = report.machine
    return [
        f"### {report.endpoint} over {report.scheme.upper()}",
        "",
        f"Median (min–max) of {len(report.rounds)} alternating rounds of up to {report.messages:,} messages; "
        f"{machine['cpu']}, {machine['cores']} cores, client on one and servers on the other; "
        f"Python {machine['python']}; "
        f"commit {machine['commit']}, {report.taken_at}.",
    ]


def write_all(report: Report, folder: Path) -> str:
    """Write NAME.json, NAME.md and NAME.png; return the table."""
    folder.mkdir(parents=True, exist_ok=True)
    text = table(report)
    facts = json.dumps(attrs.asdict(report), indent=1)
    (folder / f"{report.name}.json").write_text(facts + "\n")
    (folder / f"{report.name}.md").write_text(f"{text}\n\n![CPU and rate]({report.name}.png)\n")
    plot(report, folder / f"{report.name}.png")
    return text


def plot(report: Report, path: Path) -> None:
    """Draw CPU a message and messages a second, with the spread as whiskers."""
    import matplotlib as mpl  # slow to import

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(12, 0.5 * len(report.contenders) + 1.5), sharey=True)
    names = list(reversed(report.contenders))
    figures = (
        ("CPU µs a message", lambda result: result.cpu_us),
        ("messages a second", lambda result: result.rate),
    )
    for axis, (title, value) in zip(axes, figures, strict=True):
        series = [report.of(name, value) for name in names]
        middles = [statistics.median(values) for values in series]
        low = [middle - min(values) for middle, values in zip(middles, series, strict=True)]
        high = [max(values) - middle for middle, values in zip(middles, series, strict=True)]
        colours = ["#c44e52" if name in ("service", "worker") else "#8c9bb0" for name in names]
        bars = axis.barh(names, middles, xerr=[low, high], color=colours, capsize=3)
        axis.bar_label(bars, fmt="{:,.0f}", padding=6)
        axis.margins(x=0.15)
        axis.set_xlabel(title)
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{report.endpoint}, {report.scheme}: one core")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
