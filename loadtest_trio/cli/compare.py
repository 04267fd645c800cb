"""``compare``: tells whether runs were faster or slower than run A."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from loadtest_trio.cli.busy import busy
from loadtest_trio.cli.exits import OK
from loadtest_trio.report import compare
from loadtest_trio.report.interactive import write_comparison

MEANING = "Compare runs with run A: faster, slower, or no significant difference."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add this command's own options."""
    parser.add_argument("a", type=Path, metavar="A", help="a file or folder of log lines")
    parser.add_argument("b", type=Path, metavar="B", help="another file or folder")
    parser.add_argument(
        "more", nargs="*", type=Path, metavar="MORE", help="further runs, each compared with A"
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write one page with all runs side by side")


def execute(options: argparse.Namespace, _: Mapping[str, str]) -> int:
    """Print the comparison as Markdown, or write the page and print its path."""
    others = [options.b, *options.more]
    if options.html:
        with busy("comparing, writing the page"):
            page = write_comparison([options.a, *others], options.html)
        sys.stdout.write(f"{page}\n")
        return OK
    for other in others:
        with busy(f"comparing {other.name} with {options.a.name}"):
            result = compare(options.a, other)
        title = f"## {other} against {options.a}\n\n" if options.more else ""
        sys.stdout.write(title + result)
    return OK
