"""``compare``: tells whether runs were faster or slower than others, and how sure that is."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from loadtest_trio.cli.busy import busy
from loadtest_trio.cli.exits import OK
from loadtest_trio.report import compare
from loadtest_trio.report.interactive import write_comparison

MEANING = "Compare runs: faster, slower, or no difference shown, and how large a one would show."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add this command's own options."""
    parser.add_argument(
        "runs",
        nargs="+",
        type=Path,
        metavar="RUN",
        help="files or folders of log lines: the first is run A, and each other one is compared with it; "
        "together with --with, all of them are runs of side A",
    )
    parser.add_argument(
        "--with",
        nargs="+",
        type=Path,
        metavar="RUN",
        dest="others",
        help="the runs of side B; with two or more a side, the interval knows what runs differ by",
    )
    parser.add_argument(
        "--detect",
        type=_share,
        metavar="5%",
        help="say for how long, or how often, one has to run to see a difference of this size",
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write one page with all runs side by side")
    parser.set_defaults(parser=parser)


def _share(text: str) -> float:
    """Return ``5%`` as 0.05.

    Raises:
        ArgumentTypeError: It is no percentage above 0.
    """
    try:
        share = float(text.removesuffix("%")) / 100
    except ValueError:
        share = 0.0
    if not (text.endswith("%") and 0 < share < float("inf")):
        raise argparse.ArgumentTypeError("give a percentage above 0, such as 5%")
    return share


def execute(options: argparse.Namespace, _: Mapping[str, str]) -> int:
    """Print the comparison as Markdown, or write the page and print its path."""
    runs, others = options.runs, options.others
    if not others and len(runs) < 2:
        options.parser.error("give at least two runs")
    pairs = [(runs, others)] if others else [(runs[:1], [other]) for other in runs[1:]]
    if options.html:
        with busy("comparing, writing the page"):
            page = write_comparison(pairs, options.html, options.detect)
        sys.stdout.write(f"{page}\n")
        return OK
    for a, b in pairs:
        with busy(f"comparing {b[0].name} with {a[0].name}"):
            result = compare(a, b, options.detect)
        title = f"## {b[0]} against {a[0]}\n\n" if len(pairs) > 1 else ""
        sys.stdout.write(title + result)
    return OK
