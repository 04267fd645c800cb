"""``compare``: was run B faster or slower than run A?"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from loadtest_trio.cli.exits import OK
from loadtest_trio.report import compare

MEANING = "Compare two runs: faster, slower, or no difference shown."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add this command's own options."""
    parser.add_argument("a", type=Path, metavar="A", help="a file or folder of log lines")
    parser.add_argument("b", type=Path, metavar="B", help="another one")


def execute(options: argparse.Namespace, _: Mapping[str, str]) -> int:
    """Print the comparison as Markdown."""
    sys.stdout.write(compare(options.a, options.b))
    return OK
