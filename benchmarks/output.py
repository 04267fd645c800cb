"""What the results of all benchmarks have in common: options, heading, files, and how a spread is shown."""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import attrs

from benchmarks.machine import machine

RESULTS = Path(__file__).parent / "results"
ROUNDS = 5


@attrs.frozen
class RunInfo:
    """Where, when and how often something was measured.

    Attributes:
        machine: From `machine.machine`.
        taken_at: UTC, ISO 8601.
        rounds: How many rounds the medians are of.
    """

    machine: Mapping[str, str | int]
    taken_at: str
    rounds: int

    @classmethod
    def now(cls, rounds: int) -> Self:
        """Return what holds for a measurement that ends now, on this machine."""
        return cls(machine(), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), rounds)

    def heading(self, title: str, how: str) -> str:
        """Return the lines above a table: the title, how it was done, and on what."""
        machine = self.machine
        rounds = "one round" if self.rounds == 1 else f"{self.rounds} rounds"
        return (
            f"### {title}\n\n{how} Median (least–most) of {rounds}, ratios within a round. "
            f"{machine['cpu']}, {machine['cores']} cores; Python {machine['python']}; "
            f"commit {machine['commit']}, {self.taken_at}.\n"
        )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that every benchmark has: ``--rounds`` and ``--results``."""
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds, each with everything ({ROUNDS})")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where JSON, table and plots go")


def report_progress(text: str) -> None:
    """Print one line of progress on standard error; standard output is for the result."""
    print(text, file=sys.stderr, flush=True)


def write(folder: Path, name: str, text: str, facts: Mapping[str, Any]) -> None:
    """Write NAME.md and NAME.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(text.rstrip("\n") + "\n")
    (folder / f"{name}.json").write_text(json.dumps(facts, indent=1) + "\n")


def spread(values: list[float], digits: int = 0) -> str:
    """Return ``median (least–most)``, or a dash for nothing."""
    if not values:
        return "–"
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f}–{high:,.{digits}f})"


def table(heads: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (heads, ["---"] * len(heads), *rows))
