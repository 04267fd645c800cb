"""``tune --users``: how many users, or new users a second, a service sustains."""

import argparse
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial

import trio

from loadtest_trio.cli.arguments import positive
from loadtest_trio.cli.consoles import console_beside_loop
from loadtest_trio.cli.exits import OK
from loadtest_trio.cli.users.options import pairs
from loadtest_trio.cli.watched import watched
from loadtest_trio.metrics import logs
from loadtest_trio.report import write_report
from loadtest_trio.tune.plan.criteria import Limits
from loadtest_trio.tune.plan.progress import TerminalProgress
from loadtest_trio.tune.plan.users import UsersGoal
from loadtest_trio.tune.rig.users import search_users
from loadtest_trio.users.embedded import JobService
from loadtest_trio.users.launch import Address
from loadtest_trio.users.population import Crowd
from loadtest_trio.users.scenarios import find
from loadtest_trio.web.dashboard.board import Board

_DASHBOARD_PORT = 8089
_LINES = "tune.jsonl"
_GRACE_SECONDS = 5.0


def add_users_options(group: argparse._ArgumentGroup) -> None:
    """Add the options of ``tune --users``."""
    group.add_argument("--users", action="store_true", help="how many users does a job API sustain?")
    group.add_argument("--sessions", action="store_true", help="with --users: new users a second instead")
    group.add_argument("-H", "--host", metavar="URL", help="the service; else an embedded job service")
    group.add_argument(
        "--scenario", default="jobs", metavar="SCENARIO", help="jobs, tasks, enqueue or a file.py"
    )
    group.add_argument("-P", "--param", action="append", metavar="NAME=VALUE", help="for the scenario")
    group.add_argument("--target-pid", type=int, metavar="PID", help="the service's process, when it is here")
    group.add_argument("--start", type=positive, default=20.0, metavar="N", help="users to begin with (20)")


def tune_users(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Search, then write the report from the lines, also when interrupted."""
    goal = UsersGoal(
        start=options.start,
        unit="new users a second" if options.sessions else "users",
        limits=Limits(objective_p99_ms=options.objective_p99_ms),
        seconds=options.seconds,
    )
    crowd = Crowd(find(options.scenario), grace=_GRACE_SECONDS)
    parameters = pairs(options.param, "-P", "=")
    options.output.mkdir(parents=True, exist_ok=True)
    lines = options.output / _LINES
    try:
        with ExitStack() as opened:
            console = opened.enter_context(console_beside_loop(sys.stderr))
            url, pid = options.host, options.target_pid
            if not url:
                service = opened.enter_context(JobService.start(environ))
                url, pid = service.url, service.pid
            address = Address.given(url, pid=pid)
            address.require_listener()
            file = opened.enter_context(lines.open("wb"))
            descriptors = [file.fileno()] if console.is_terminal else [file.fileno(), sys.stdout.fileno()]
            opened.enter_context(logs.writing(*descriptors, json=True))
            progress = opened.enter_context(TerminalProgress(console, time.monotonic, goal.seconds))
            board = Board(_DASHBOARD_PORT)
            console.print(f"dashboard: {board.url}", highlight=False, markup=False)
            trio.run(watched, board, partial(search_users, goal, address, crowd, parameters, progress))
    finally:
        if lines.exists() and lines.stat().st_size:
            sys.stderr.write(f"report: {write_report([lines], options.output)}\n")
    return OK
