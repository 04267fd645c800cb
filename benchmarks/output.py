"""What all benchmarks share: command-line options, headings, result files, and the form of a spread."""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import attrs

from benchmarks.machine import machine

RESULTS = Path(__file__).parent / "results"
ROUNDS = 5


@attrs.frozen
class RunInfo:
    """Where and when something was measured, and how often.

    Attributes:
        machine: The facts from `machine.machine`.
        taken_at: Time of day in UTC, ISO 8601.
        rounds: Number of rounds.
    """

    machine: Mapping[str, str | int]
    taken_at: str
    rounds: int

    @classmethod
    def now(cls, rounds: int) -> Self:
        """Describe a measurement that ends now on this machine."""
        return cls(machine(), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), rounds)

    def heading(self, title: str, how: str) -> str:
        """Return the lines above a table: title, method, machine, date."""
        machine = self.machine
        rounds = "one round" if self.rounds == 1 else f"{self.rounds} rounds"
        return (
            f"### {title}\n\n{how} Median (least–most) of {rounds}, ratios within a round. "
            f"{machine['cpu']}, {machine['cores']} cores; Python {machine['python']}; "
            f"commit {machine['commit']}, {self.taken_at}.\n"
        )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of every benchmark: ``--rounds`` and ``--results``."""
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"number of rounds ({ROUNDS})")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for JSON, tables and charts")


def add_only(parser: argparse.ArgumentParser, known: Sequence[str]) -> None:
    """Add the option ``--only NAME,NAME``; its value is a list of known names, empty without the option."""

    def names(text: str) -> list[str]:
        given = [name for name in text.split(",") if name]
        if unknown := sorted(set(given) - set(known)):
            raise argparse.ArgumentTypeError(f"unknown {', '.join(unknown)}; there are {', '.join(known)}")
        return given

    parser.add_argument(
        "--only", type=names, default=[], metavar="NAMES", help=f"comma-separated, of {', '.join(known)}"
    )


def report_progress(text: str) -> None:
    """Print a line of progress to standard error if that is a terminal; standard output is for the result."""
    if sys.stderr.isatty():
        complain(text)


def complain(text: str) -> None:
    """Print a line on what went wrong, or was left out, to standard error."""
    print(text, file=sys.stderr, flush=True)


def write(folder: Path, name: str, text: str, facts: Mapping[str, Any]) -> None:
    """Write NAME.md and NAME.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(text.rstrip("\n") + "\n")
    (folder / f"{name}.json").write_text(json.dumps(facts, indent=1) + "\n")


def spread(values: list[float], digits: int = 0) -> str:
    """Return ``median (minimum–maximum)``, or a dash without values."""
    if not values:
        return "–"
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f}–{high:,.{digits}f})"


def table(heads: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (heads, ["---"] * len(heads), *rows))
