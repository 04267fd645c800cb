"""A sweep as a table with verdicts, and as JSON."""

import statistics
from pathlib import Path

import attrs

from benchmarks.output import RunInfo, spread, table, write

TOLERANCE = 0.15


@attrs.frozen
class Pair:
    """One figure in one round, at the first size and at another."""

    first: float
    other: float

    @property
    def ratio(self) -> float:
        """The other over the first."""
        return self.other / self.first


@attrs.define
class Measured:
    """The pairs of a sweep, by figure and size."""

    pairs: dict[tuple[str, int], list[Pair]] = attrs.field(factory=dict)

    def add(self, figure: str, size: int, first: float, other: float) -> None:
        """Add one round of one figure."""
        self.pairs.setdefault((figure, size), []).append(Pair(first, other))


@attrs.frozen
class Sweep:
    """A finished sweep.

    Attributes:
        name: What ``--sweep`` calls it.
        title: Heading.
        unit: What the sizes are.
        first: The size that the others are compared with.
        measured: The pairs.
    """

    name: str
    title: str
    unit: str
    first: int
    measured: Measured


def verdict(ratios: list[float]) -> str:
    """Say whether the median ratio is flat, and if not, in which direction it went."""
    ratio = statistics.median(ratios)
    if abs(ratio - 1) <= TOLERANCE:
        return "yes"
    return "no, dearer" if ratio > 1 else "no, cheaper"


def render(sweep: Sweep, info: RunInfo) -> str:
    """Return the table with its heading."""
    how = (
        f"Each size in alternation with {sweep.first:,} {sweep.unit}; server on one core, Redis and wrk on "
        "the other."
    )
    flat = f"flat within {TOLERANCE:.0%}"
    heads = ["figure", sweep.unit, f"at {sweep.first:,}", "at this size", "ratio", flat]
    rows = [
        [
            figure,
            f"{size:,}",
            spread([pair.first for pair in pairs], 1),
            spread([pair.other for pair in pairs], 1),
            spread([pair.ratio for pair in pairs], 2),
            verdict([pair.ratio for pair in pairs]),
        ]
        for (figure, size), pairs in sorted(sweep.measured.pairs.items())
    ]
    return info.heading(sweep.title, how) + "\n" + table(heads, rows)


def write_sweep(sweep: Sweep, info: RunInfo, folder: Path) -> str:
    """Write jobs-NAME.json and jobs-NAME.md; return the Markdown."""
    text = render(sweep, info)
    pairs = [
        {"figure": figure, "size": size, "pairs": [attrs.asdict(pair) for pair in found]}
        for (figure, size), found in sweep.measured.pairs.items()
    ]
    facts = attrs.asdict(info) | {"unit": sweep.unit, "first": sweep.first, "measured": pairs}
    write(folder, f"jobs-{sweep.name}", text, facts)
    return text
