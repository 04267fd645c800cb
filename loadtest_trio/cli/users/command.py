"""``users``: simulated users of an HTTP service, in ramps and steps."""

import argparse
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import trio
from rich.console import Console

from loadtest_trio.cli.consoles import console_beside_loop
from loadtest_trio.cli.exits import OK, THRESHOLD_CROSSED
from loadtest_trio.cli.users.options import headers, make_run, pairs
from loadtest_trio.cli.watched import watched
from loadtest_trio.metrics import logs
from loadtest_trio.report import write_report
from loadtest_trio.report.extras import MissingExtraError
from loadtest_trio.report.page import write_page
from loadtest_trio.users.durations import bad_flag, lasting
from loadtest_trio.users.embedded import JobService
from loadtest_trio.users.exports import write_csv, write_junit, write_summary
from loadtest_trio.users.launch import Address, launch
from loadtest_trio.users.session import Outcome
from loadtest_trio.users.steering import Steering
from loadtest_trio.users.tables import LiveTable, PlainLines, print_outcome
from loadtest_trio.web.dashboard import Control
from loadtest_trio.web.dashboard.board import Board

_LINES = "users.jsonl"
_WIDTH = 140  # of the tables, where there is no terminal to ask
MEANING = "Simulate users of an HTTP service: how many does it take, and what gives in?"


def execute(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Run the users, print and write what came of it; 99 when a threshold was crossed."""
    seen = sys.stdout.isatty() and not options.headless
    with console_beside_loop(*((sys.stdout, None) if seen else (sys.stderr, _WIDTH))) as console:
        return _execute(options, environ, console)


def _execute(options: argparse.Namespace, environ: Mapping[str, str], console: Console) -> int:
    run, parameters = make_run(options), pairs(options.param, "-P", "=")
    folder = None if options.output == "none" else Path(options.output)
    _check_files(options, folder)
    with _service(options, environ) as address, _log(folder, console, options.headless):
        live = console.is_terminal and not options.headless
        steering = Steering(run.profile.peak, options.spawn_rate or 1.0)
        port = options.dashboard_port
        board = None if port < 0 else Board(port, [] if run.profile.open else _controls(steering))
        if board:
            console.print(f"dashboard: {board.url}", highlight=False, markup=False)
        with LiveTable(console) if live else PlainLines(console) as view:
            work = partial(launch, run, address, parameters, view, steering)
            outcome = trio.run(watched, board, work)
    print_outcome(console, outcome)
    _export(outcome, options)
    _report(folder, options.html, console)
    return OK if outcome.held else THRESHOLD_CROSSED


def _controls(steering: Steering) -> list[Control]:
    return [
        Control("users", "Users", "field", steering.set_users, lambda: f"{steering.users:g}"),
        Control(
            "spawn_rate",
            "Spawn rate, users a second",
            "field",
            steering.set_spawn_rate,
            lambda: f"{steering.spawn_rate:g}",
        ),
        Control("stop", "End the run", "action", steering.end, confirm="End the run? Users finish first."),
    ]


@contextmanager
def _service(options: argparse.Namespace, environ: Mapping[str, str]) -> Iterator[Address]:
    """Yield where the service is; without ``--host``, start one that ends with the block."""
    with ExitStack() as started:
        url, pid = options.host, options.target_pid
        if not url:
            service = started.enter_context(JobService.start(environ))
            url, pid = service.url, service.pid
        address = Address.given(
            url,
            headers(options.header),
            timeout=lasting(options.timeout, "--timeout"),
            insecure=options.insecure,
            pid=pid,
        )
        address.require_listener()
        yield address


@contextmanager
def _log(folder: Path | None, console: Console, headless: bool) -> Iterator[None]:
    """Send the lines to the report's folder, and to standard output where no table is drawn."""
    with ExitStack() as files:
        descriptors = [] if console.is_terminal and not headless else [sys.stdout.fileno()]
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            lines = files.enter_context((folder / _LINES).open("w", encoding="utf-8"))
            descriptors.append(lines.fileno())
        with logs.writing(*descriptors, json=True):
            yield


def _check_files(options: argparse.Namespace, made: Path | None) -> None:
    """Check that what is to be written has a folder, before a long run that would be lost.

    Args:
        options: The flags.
        made: A folder that the run makes, for its report.

    Raises:
        ConfigurationError: One has none.
    """
    names = ("summary_export", "junit", "csv", "html")
    for name in names:
        value = getattr(options, name)
        parent = Path(value).parent if value else None
        if parent and parent != made and not parent.is_dir():
            raise bad_flag(f"--{name.replace('_', '-')}", str(value), "a file in a folder that exists")


def _export(outcome: Outcome, options: argparse.Namespace) -> None:
    if options.summary_export:
        write_summary(outcome, options.summary_export)
    if options.junit:
        write_junit(outcome, options.junit)
    if options.csv:
        write_csv(outcome, options.csv)


def _report(folder: Path | None, page: Path | None, console: Console) -> None:
    if folder is None:
        return
    try:
        path = write_report([folder / _LINES], folder)
    except MissingExtraError as error:
        console.print(f"no report: {error}", highlight=False, markup=False)
        return
    console.print(f"report: {path}", highlight=False, markup=False)
    if page is not None:
        console.print(f"report: {write_page(path, page)}", highlight=False, markup=False)
