"""``tune``: finds the saturation point, names the bottleneck, and writes the report."""

import argparse
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import trio

from loadtest_trio.cli.arguments import positive
from loadtest_trio.cli.consoles import console_beside_loop
from loadtest_trio.cli.embedding import configured
from loadtest_trio.cli.exits import OK
from loadtest_trio.cli.users.tuning import add_users_options, tune_users
from loadtest_trio.cli.watched import watched
from loadtest_trio.metrics import logs
from loadtest_trio.report import write_report
from loadtest_trio.tune.rig import search_saturation
from loadtest_trio.web.dashboard.board import Board

MEANING = "Find the saturation point, name the bottleneck, write the report."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add this command's own options."""
    parser.add_argument(
        "--embedded",
        action="store_true",
        help="start private local servers, except for a backend whose address is in the environment",
    )
    add_users_options(parser.add_argument_group("tune --users: of a job API under simulated users"))
    objective = "maximum end-to-end p99 (1000)"
    parser.add_argument("--objective-p99-ms", type=positive, default=1000.0, metavar="MS", help=objective)
    parser.add_argument("--seconds", type=positive, default=270.0, help="approximate maximum duration (270)")
    parser.add_argument(
        "--output", type=Path, default=Path("tune-report"), metavar="DIR", help="where to write (tune-report)"
    )


def execute(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Search, then write the report from the log lines, even if interrupted."""
    if options.users:
        return tune_users(options, environ)
    options.output.mkdir(parents=True, exist_ok=True)
    lines = options.output / "tune.jsonl"
    lines.unlink(missing_ok=True)
    try:
        with (
            configured(options, environ) as (loaded, credentials),
            lines.open("wb") as file,
            console_beside_loop(sys.stderr) as console,
        ):
            descriptors = [file.fileno()] if console.is_terminal else [file.fileno(), sys.stdout.fileno()]
            with logs.writing(*descriptors, json=True, level=loaded.settings.log_level):
                board = Board(loaded.settings.health_port) if loaded.settings.dashboard else None
                if board:
                    console.print(f"dashboard: {board.url}", highlight=False, markup=False)
                work = partial(
                    search_saturation, loaded, credentials, options.objective_p99_ms, options.seconds, console
                )
                trio.run(watched, board, work)
    finally:
        if lines.exists() and lines.stat().st_size:
            sys.stderr.write(f"report: {write_report([lines], options.output)}\n")
    return OK
