"""``report``: turns log lines into REPORT.md with pictures, an HTML page, or a replay in the dashboard."""

import argparse
import sys
import webbrowser
from collections.abc import Mapping
from pathlib import Path

import trio

from loadtest_trio.cli.busy import busy
from loadtest_trio.cli.exits import OK
from loadtest_trio.report import write_report
from loadtest_trio.report.interactive import write_interactive
from loadtest_trio.report.replay import lines_to_replay
from loadtest_trio.web.dashboard.board import Board

_REPLAY_PORT = 8089
MEANING = "Write REPORT.md and its pictures from log lines."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add this command's own options."""
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a file or folder of log lines")
    parser.add_argument(
        "--output", type=Path, default=Path("report"), metavar="DIR", help="where to write (report)"
    )

    parser.add_argument(
        "--html", action="store_true", help="also write REPORT.html: one page with interactive charts"
    )
    parser.add_argument("--open", action="store_true", help="write that page and open it in a browser")
    parser.add_argument(
        "--serve", action="store_true", help="write nothing; replay the latest run in the dashboard"
    )


def execute(options: argparse.Namespace, _: Mapping[str, str]) -> int:
    """Write the report and print its path, or serve the replay until interrupted."""
    if options.serve:
        return _serve(options.runs)
    what = ", ".join(place.name for place in options.runs)
    with busy(f"reading {what}, writing the report"):
        report = write_report(options.runs, options.output)
    sys.stdout.write(f"{report}\n")
    if options.html or options.open:
        with busy("writing the page"):
            page = write_interactive(options.runs, report, options.output / "REPORT.html")
        sys.stdout.write(f"{page}\n")
        if options.open and not webbrowser.open(page.resolve().as_uri()):
            sys.stderr.write("no browser found: open the page yourself\n")
    return OK


def _serve(places: list[Path]) -> int:
    board = Board(_REPLAY_PORT, replayed=True)
    with busy(f"reading {', '.join(place.name for place in places)}"):
        for line in lines_to_replay(places):
            board.hub.publish(line)
    sys.stdout.write(f"replay: {board.url} (Ctrl-C ends it)\n")
    sys.stdout.flush()
    trio.run(board.run)
    return OK
