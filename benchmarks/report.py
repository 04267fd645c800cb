"""Writes the results of the S3 load benchmark as a table, JSON and charts."""

import statistics
from collections.abc import Callable
from pathlib import Path

import attrs

from benchmarks.charts import whiskers
from benchmarks.contenders import CONTENDERS
from benchmarks.measure import Result
from benchmarks.output import RunInfo, spread, write
from benchmarks.output import table as markdown

TITLES = {each.name: each.title for each in CONTENDERS}
SERVERS = {"nginx": "nginx", "seaweedfs": "SeaweedFS"}
OURS, OTHERS = "#c44e52", "#8c9bb0"
REFERENCES = ("go-tuned", "go-expert", "go-signed", "asyncio")


@attrs.frozen
class Report:
    """Everything that one run of the S3 load benchmark measured."""

    endpoint: str
    scheme: str
    messages: int
    taken_at: str
    machine: dict[str, str | int]
    rounds: list[list[Result]]
    left_out: dict[str, str]

    @property
    def name(self) -> str:
        """Stem of the result files' names."""
        return f"{self.endpoint}-{self.scheme}"

    def of(self, contender: str, value: Callable[[Result], float]) -> list[float]:
        """Return one figure of one contender, one value per round."""
        return [
            value(result) for results in self.rounds for result in results if result.contender == contender
        ]

    def ratios(self, contender: str, reference: str) -> list[float]:
        """Return CPU per message over the reference's *in the same round*, one value per round."""
        pairs = ({result.contender: result.cpu_us for result in results} for results in self.rounds)
        return [each[contender] / each[reference] for each in pairs if {contender, reference} <= each.keys()]

    @property
    def contenders(self) -> list[str]:
        """The contenders with results, cheapest first."""
        names = {result.contender for results in self.rounds for result in results}
        return sorted(names, key=lambda name: statistics.median(self.of(name, lambda result: result.cpu_us)))


def table(report: Report) -> str:
    """Return the Markdown table below its heading."""
    heads = ["who", "msg/s", "CPU µs a message", "whole process", *(f"÷ {name}" for name in REFERENCES)]
    heads += ["in the kernel", "core busy", "RSS MB"]
    rows = []
    for name in report.contenders:
        cells = [
            TITLES[name],
            spread(report.of(name, lambda result: result.rate)),
            spread(report.of(name, lambda result: result.cpu_us)),
            spread(report.of(name, lambda result: result.cpu_us_whole)),
            *(spread(report.ratios(name, reference), 2) for reference in REFERENCES),
            f"{statistics.median(report.of(name, lambda result: result.kernel)):.0%}",
            f"{statistics.median(report.of(name, lambda result: result.busy)):.0%}",
            f"{max(report.of(name, lambda result: result.rss_mb)):.0f}",
        ]
        rows.append(cells)
    lines = [f"\nLeft out: {name}: {reason.splitlines()[0]}" for name, reason in report.left_out.items()]
    return "\n".join([heading(report), markdown(heads, rows), *lines])


def heading(report: Report) -> str:
    """Return the heading of the table."""
    how = (
        f"Contenders in alternation, up to {report.messages:,} messages each, client on one core and servers "
        "on the other."
    )
    return RunInfo(report.machine, report.taken_at, len(report.rounds)).heading(title(report), how)


def title(report: Report) -> str:
    """Return the title: which S3 server, over which protocol."""
    return f"{SERVERS.get(report.endpoint, report.endpoint)} over {report.scheme.upper()}"


def write_all(report: Report, folder: Path) -> str:
    """Write NAME.json, NAME.md and NAME.png; return the table."""
    text = table(report)
    write(folder, report.name, f"{text}\n\n![CPU and rate]({report.name}.png)\n", attrs.asdict(report))
    plot(report, folder / f"{report.name}.png")
    return text


def plot(report: Report, path: Path) -> None:
    """Draw CPU per message and messages per second; whiskers show the spread."""
    import matplotlib as mpl  # slow to import

    mpl.use("Agg")
    from matplotlib import pyplot

    height = 0.45 * len(report.contenders) + 2.2
    figure, axes = pyplot.subplots(1, 2, figsize=(13, height), sharey=True, layout="constrained")
    _bars(axes[0], report, "CPU µs a message (less is better)", lambda result: result.cpu_us)
    _bars(axes[1], report, "messages a second on one core (more is better)", lambda result: result.rate)
    patches = [mpl.patches.Patch(color=OURS, label="ours"), mpl.patches.Patch(color=OTHERS, label="others")]
    figure.legend(handles=patches, loc="outside lower center", ncols=2, frameon=False)
    figure.suptitle(
        f"{title(report)}, client on one core: bars are medians of {len(report.rounds)} rounds, "
        "whiskers least to most"
    )
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _bars(axis, report: Report, label: str, value: Callable[[Result], float]) -> None:  # type: ignore[no-untyped-def] # matplotlib's types are partial
    names = list(reversed(report.contenders))
    middles, reach = whiskers([report.of(name, value) for name in names])
    colours = [OURS if TITLES[name].startswith("loadtest_trio") else OTHERS for name in names]
    bars = axis.barh([TITLES[name] for name in names], middles, xerr=reach, color=colours, capsize=3)
    axis.bar_label(bars, fmt="{:,.0f}", padding=6)
    axis.margins(x=0.15)
    axis.set_xlabel(label)
    axis.spines[["top", "right"]].set_visible(False)
