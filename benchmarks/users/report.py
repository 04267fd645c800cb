"""The comparison of load generators as tables, as targets, and as JSON."""

import statistics
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

from benchmarks import rounds
from benchmarks.output import RunInfo, spread, table, write
from benchmarks.targets import HEADS, Target
from benchmarks.users.generators import GENERATORS, K6, LOCUST, OURS
from benchmarks.users.trial import Sample

FEW, MANY = 500, 4000
"""Users that no generator is too slow for; users that are too many for all."""

_TITLES = {each.name: each.title for each in GENERATORS}

Round = dict[tuple[str, int], Sample]
"""One round: a sample by generator and number of users."""
Figure = Callable[[Sample], float]


def cpu_us(sample: Sample) -> float:
    """Return CPU µs a request."""
    return sample.cpu_us


@attrs.frozen
class Comparison:
    """Everything that one run of the benchmark measured.

    Attributes:
        info: Machine, date, rounds.
        rounds: The samples.
        held: Our generator with as many users as it has to hold, a sample a round; empty: not tried.
        left_out: Why a generator is missing, by its name.
    """

    info: RunInfo
    rounds: list[Round]
    held: list[Sample]
    left_out: Mapping[str, str]

    def values(self, generator: str, users: int, figure: Figure) -> list[float]:
        """Return one figure of one generator, one value per round."""
        return rounds.values(self.rounds, (generator, users), figure)

    def ratios(self, generator: str, other: str, users: int) -> list[float]:
        """Return CPU per request over that of another generator *in the same round*."""
        return rounds.ratios(self.rounds, (generator, users), (other, users), cpu_us)

    def kb_a_user(self, generator: str) -> list[float]:
        """Return KB of memory that a further user takes, between `FEW` and `MANY`, a value a round."""
        few, many = (generator, FEW), (generator, MANY)
        return [
            1024 * (samples[many].rss_mb - samples[few].rss_mb) / (MANY - FEW)
            for samples in self.rounds
            if {few, many} <= samples.keys()
        ]

    def generators(self, users: int) -> list[str]:
        """Return the generators with results, the least CPU a request first."""
        names = {name for samples in self.rounds for name, count in samples if count == users}
        return sorted(names, key=lambda name: statistics.median(self.values(name, users, cpu_us)))


def targets(comparison: Comparison) -> list[Target]:
    """Return the targets of the simulated users beside what was measured."""
    found = [
        Target(f"CPU a request, {FEW} users", comparison.ratios(OURS, K6, FEW), 0.5, "≤", f"× {K6}"),
        Target(f"CPU a request, {FEW} users", comparison.ratios(OURS, LOCUST, FEW), 0.4, "≤", f"× {LOCUST}"),
        Target("memory a user", comparison.kb_a_user(OURS), 20, "≤", "KB", digits=1),
        Target("memory a user: the aim", comparison.kb_a_user(OURS), 12, "≤", "KB", digits=1),
    ]
    if comparison.held:
        users = comparison.held[0].users
        late = [max(sample.late_percent for sample in comparison.held)]  # a median would forgive a round
        rates = [sample.rate for sample in comparison.held]
        found += [
            Target(f"late polls, {users:,} users", late, 0, "=", "%", digits=3),
            Target(f"requests a second, {users:,} users", rates, 0.98 * users, "≥", "", digits=0),
        ]
    return found


def render(comparison: Comparison) -> str:
    """Return the whole result as Markdown."""
    how = (
        "Each user creates three jobs of 50 ms, polls each every second until it is done, and starts over. "
        "The generator has one core, a fast server (Go, net/http, Redis calls batched) and its Redis the "
        "other. Requests and polls are counted by the server."
    )
    blocks = [comparison.info.heading("Simulated users", how)]
    for users in (FEW, MANY):
        if names := comparison.generators(users):
            blocks += [f"#### {users:,} users", "", _table(comparison, users, names), ""]
    if comparison.held:
        blocks += [_held_text(comparison.held), ""]
    rows = [each.row() for each in targets(comparison)]
    blocks += ["#### Targets", "", table(["figure", *HEADS], rows), ""]
    blocks += [f"Left out: {name}: {reason}\n" for name, reason in comparison.left_out.items()]
    return "\n".join(blocks).rstrip("\n")


def write_all(comparison: Comparison, folder: Path) -> str:
    """Write users.json and users.md; return the Markdown."""
    text = render(comparison)
    all_samples = [
        [{"generator": name, **attrs.asdict(sample)} for (name, _), sample in samples.items()]
        for samples in comparison.rounds
    ]
    facts = {
        **attrs.asdict(comparison.info),
        "left_out": dict(comparison.left_out),
        "targets": [attrs.asdict(each) | {"met": each.met} for each in targets(comparison)],
        "samples": all_samples,
        "held": [attrs.asdict(sample) for sample in comparison.held],
    }
    write(folder, "users", text, facts)
    return text


def _table(comparison: Comparison, users: int, names: list[str]) -> str:
    heads = ["generator", "requests/s", "CPU µs a request", f"CPU ÷ {K6}", f"CPU ÷ {LOCUST}", "core busy"]
    heads += ["late polls %", "p99 gap ms", "RSS MB", "KB a user", "not 2xx"]
    rows = []
    for name in names:

        def of(figure: Figure, name: str = name) -> list[float]:
            return comparison.values(name, users, figure)

        rows.append(
            [
                _TITLES[name],
                spread(of(lambda sample: sample.rate)),
                spread(of(cpu_us), 1),
                spread(comparison.ratios(name, K6, users), 2),
                spread(comparison.ratios(name, LOCUST, users), 2),
                f"{statistics.median(of(lambda sample: sample.busy)):.0%}",
                spread(of(lambda sample: sample.late_percent), 2),
                spread(of(lambda sample: sample.gap_p99_ms)),
                spread(of(lambda sample: sample.rss_mb)),
                spread(comparison.kb_a_user(name), 1),
                f"{max(of(lambda sample: sample.failures)):,.0f}",
            ]
        )
    return table(heads, rows)


def _held_text(held: list[Sample]) -> str:
    """Return the table of the users that were held."""

    def of(figure: Figure, digits: int = 0) -> str:
        return spread([figure(sample) for sample in held], digits)

    row = [
        f"{held[0].users:,}",
        of(lambda sample: sample.rate),
        of(cpu_us, 1),
        f"{statistics.median(sample.busy for sample in held):.0%}",
        of(lambda sample: sample.late_percent, 3),
        of(lambda sample: sample.gap_p99_ms),
        of(lambda sample: sample.rss_mb),
        f"{max(sample.failures for sample in held):,}",
    ]
    heads = ["users", "requests/s", "CPU µs a request", "core busy", "late polls %", "p99 gap ms", "RSS MB"]
    title = "#### Users held: each polls one job of 30 s every second"
    return f"{title}\n\n{table([*heads, 'not 2xx'], [row])}"
