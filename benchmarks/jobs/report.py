"""The comparison of job services as a table, as targets, and as JSON."""

import statistics
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

from benchmarks import rounds
from benchmarks.jobs.services import FASTAPI, GIN, OURS, SERVICES
from benchmarks.jobs.trial import Sample
from benchmarks.output import RunInfo, spread, table, write
from benchmarks.targets import HEADS, Target

CONNECTIONS = (64, 500)
BRIEF_004_RATE = 4043.0  # requests a second that brief 004 reports for four Go instances
_TITLES = {each.name: each.title for each in SERVICES}
_REFERENCES = (GIN, FASTAPI)

Round = dict[tuple[str, int], Sample]
"""One round: a sample by service and number of connections."""
Figure = Callable[[Sample], float]


def cpu_us(sample: Sample) -> float:
    """Return CPU µs a request."""
    return sample.cpu_us


def rate(sample: Sample) -> float:
    """Return requests a second."""
    return sample.rate


@attrs.frozen
class Comparison:
    """Everything that one run of the benchmark measured.

    Attributes:
        info: Machine, date, rounds.
        seconds: How long each load lasted.
        submit: Submissions in a hundred requests.
        rounds: The samples.
        left_out: Why a service is missing, by its name.
        versions: Of the peers' packages.
    """

    info: RunInfo
    seconds: float
    submit: int
    rounds: list[Round]
    left_out: Mapping[str, str]
    versions: Mapping[str, str] = attrs.field(factory=dict)

    def values(self, service: str, connections: int, figure: Figure) -> list[float]:
        """Return one figure of one service, one value per round."""
        return rounds.values(self.rounds, (service, connections), figure)

    def ratios(self, service: str, other: str, connections: int, figure: Figure) -> list[float]:
        """Return a figure of one service over that of another *in the same round*."""
        return rounds.ratios(self.rounds, (service, connections), (other, connections), figure)

    def services(self, connections: int) -> list[str]:
        """Return the services with results, the least CPU a request first."""
        names = {name for samples in self.rounds for name, count in samples if count == connections}
        return sorted(names, key=lambda name: statistics.median(self.values(name, connections, cpu_us)))

    @property
    def connections(self) -> list[int]:
        """The numbers of connections with results."""
        return sorted({count for samples in self.rounds for _, count in samples})


def targets(comparison: Comparison) -> list[Target]:
    """Return the targets of the job service beside what was measured."""
    found = []
    for count in CONNECTIONS:

        def ratios(other: str, figure: Figure, count: int = count) -> list[float]:
            return comparison.ratios(OURS, other, count, figure)

        def values(figure: Figure, count: int = count) -> list[float]:
            return comparison.values(OURS, count, figure)

        at = f"{count} connections"
        found += [
            Target(f"CPU a request, {at}", ratios(FASTAPI, cpu_us), 0.15, "≤", f"× {FASTAPI}", digits=3),
            Target(f"CPU a request, {at}", ratios(GIN, cpu_us), 2.0, "≤", f"× {GIN}"),
            Target(f"CPU a request, {at}: the aim", ratios(GIN, cpu_us), 1.3, "≤", f"× {GIN}"),
            Target(f"requests a second, {at}", ratios(FASTAPI, rate), 8, "≥", f"× {FASTAPI}"),
            Target(f"requests a second, {at}", values(rate), BRIEF_004_RATE, ">", "requests/s", digits=0),
        ]
        if count == max(CONNECTIONS):
            p95 = values(lambda sample: sample.p95_ms)
            found.append(Target(f"p95 response time, {at}", p95, 60, "<", "ms", digits=1))
        failures = values(lambda sample: sample.not_2xx)
        worst = [max(failures)] if failures else []  # a median would forgive a round
        found.append(Target(f"answers other than 2xx, {at}", worst, 0, "=", "", digits=0))
    return found


def render(comparison: Comparison) -> str:
    """Return the whole result as Markdown."""
    how = (
        f"Server on one core, Redis and wrk on the other; {comparison.submit} % submissions, the rest status "
        f"requests; {comparison.seconds:g} s a load, services in alternation, jobs computed by the server's "
        "processes."
    )
    blocks = [comparison.info.heading("Job services", how)]
    for count in comparison.connections:
        blocks += [f"#### {count} connections", "", _table(comparison, count), ""]
    blocks += [
        "#### Targets",
        "",
        table(["figure", *HEADS], [each.row() for each in targets(comparison)]),
        "",
    ]
    blocks += [f"Left out: {name}: {reason}\n" for name, reason in comparison.left_out.items()]
    if comparison.versions:
        blocks.append(", ".join(f"{name} {version}" for name, version in comparison.versions.items()) + ".")
    return "\n".join(blocks).rstrip("\n")


def write_all(comparison: Comparison, folder: Path) -> str:
    """Write jobs.json and jobs.md; return the Markdown."""
    text = render(comparison)
    all_samples = [
        [
            {"service": name, "connections": count, **attrs.asdict(sample)}
            for (name, count), sample in samples.items()
        ]
        for samples in comparison.rounds
    ]
    facts = {
        **attrs.asdict(comparison.info),
        "seconds": comparison.seconds,
        "submit_percent": comparison.submit,
        "versions": dict(comparison.versions),
        "left_out": dict(comparison.left_out),
        "targets": [attrs.asdict(each) | {"met": each.met} for each in targets(comparison)],
        "samples": all_samples,
    }
    write(folder, "jobs", text, facts)
    return text


def _table(comparison: Comparison, count: int) -> str:
    heads = ["service", "requests/s", "p50 ms", "p95 ms", "p99 ms", "CPU µs a request", "CPU µs a job"]
    heads += [f"CPU ÷ {name}" for name in _REFERENCES]
    heads += ["not 2xx", "core busy", "s behind", "RSS MB"]
    rows = []
    for name in comparison.services(count):

        def of(figure: Figure, name: str = name) -> list[float]:
            return comparison.values(name, count, figure)

        rows.append(
            [
                _TITLES[name],
                spread(of(rate)),
                spread(of(lambda sample: sample.p50_ms), 1),
                spread(of(lambda sample: sample.p95_ms), 1),
                spread(of(lambda sample: sample.p99_ms), 1),
                spread(of(cpu_us), 1),
                spread(of(lambda sample: sample.cpu_us_job)),
                *(spread(comparison.ratios(name, other, count, cpu_us), 3) for other in _REFERENCES),
                f"{max(of(lambda sample: sample.not_2xx)):,.0f}",
                f"{statistics.median(of(lambda sample: sample.busy)):.0%}",
                f"{max(of(lambda sample: sample.behind_seconds)):.1f}",
                f"{max(of(lambda sample: sample.rss_mb)):.0f}",
            ]
        )
    return table(heads, rows)
