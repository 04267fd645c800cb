"""``run``: runs the service."""

import argparse
import gc
import signal
from collections.abc import Mapping

import trio

from loadtest_trio.cli.embedding import configured
from loadtest_trio.cli.log import log_to_stdout
from loadtest_trio.daemon import serve
from loadtest_trio.surroundings import Surroundings

MEANING = "Run the service (the default)."
_YOUNG_OBJECTS = 10_000


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add this command's own options."""
    parser.add_argument(
        "--embedded",
        action="store_true",
        help="start private local servers, except for a backend whose address is in the environment",
    )


def execute(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Serve until there is a reason to stop; see `daemon.serve` for the exit code and the errors."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until the daemon takes over
    _spare_the_collector()
    with configured(options, environ) as (loaded, credentials), log_to_stdout(loaded.settings):
        return trio.run(serve, loaded, Surroundings(credentials))


def _spare_the_collector() -> None:
    """Have the garbage collector look seldom, and never at the modules.

    Most requests and messages leave no cycle, but 500 connections hold thousands of young objects. Python's
    thresholds (700, 10, 10) cause a full collection with every 10,000 requests then, which stops the event
    loop for 30 ms.
    """
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)
