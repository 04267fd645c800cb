"""``jobs``: runs the job service, which is the daemon with ``ROLES=api,worker``."""

import argparse
from collections.abc import Mapping

from loadtest_trio.cli import run
from loadtest_trio.cli.run import add_options

MEANING = "Run the job service: jobs over HTTP on the same queue."
_DEFAULTS = {"ROLES": "api,worker", "RUN_DURATION_SECONDS": "0"}


def execute(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Serve jobs until there is a reason to stop; like `run`, but with other roles and without an end."""
    given = {name: value for name, value in environ.items() if value.strip()}
    return run.execute(options, _DEFAULTS | given)


__all__ = ["MEANING", "add_options", "execute"]
