"""``report``: REPORT.md and its pictures from log lines."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from loadtest_trio.cli.exits import OK
from loadtest_trio.report import write_report

MEANING = "Write REPORT.md and its pictures from log lines."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add this command's own options."""
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a file or folder of log lines")
    parser.add_argument(
        "--output", type=Path, default=Path("report"), metavar="DIR", help="where to write (report)"
    )


def execute(options: argparse.Namespace, _: Mapping[str, str]) -> int:
    """Write the report and say where it is."""
    sys.stdout.write(f"{write_report(options.runs, options.output)}\n")
    return OK
