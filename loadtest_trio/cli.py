"""The commands and their exit codes: the only place where an error becomes a line and a number."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from loadtest_trio import __version__
from loadtest_trio.commands import check, compare, config, dead, preflight, report, run, tune
from loadtest_trio.commands.exits import BAD_CONFIGURATION, FAILED, NO_BACKEND, OK, complain
from loadtest_trio.embedded import EmbeddedUnavailableError
from loadtest_trio.errors import (
    BackendUnavailableError,
    ConfigurationError,
    CredentialsError,
    LoadtestError,
    RedisError,
    S3Error,
)

_COMMANDS = {
    "run": run,
    "check": check,
    "config": config,
    "preflight": preflight,
    "dead": dead,
    "tune": tune,
    "report": report,
    "compare": compare,
}
_OWN_OPTIONS = ("-h", "--help", "--version")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The arguments; those of the process when None. Without a command, `run`.

    Returns:
        The exit code: 0 ended on purpose, 1 crash or a "no", 2 bad configuration, 3 no backend.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in _OWN_OPTIONS):
        arguments.insert(0, "run")
    options = _parser().parse_args(arguments)
    try:
        return int(options.execute(options, os.environ))
    except ConfigurationError as error:
        return complain(BAD_CONFIGURATION, *map(str, error.faults))
    except (EmbeddedUnavailableError, CredentialsError) as error:
        return complain(BAD_CONFIGURATION, str(error))
    except (BackendUnavailableError, RedisError, S3Error) as error:
        return complain(NO_BACKEND, str(error))
    except LoadtestError as error:
        return complain(FAILED, str(error))
    except KeyboardInterrupt:
        return OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest_trio",
        description="How much Redis + S3 work can one vCPU do, for 24 hours, without losing a message?",
    )
    parser.add_argument("--version", action="version", version=f"loadtest_trio {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, module in _COMMANDS.items():
        sub = commands.add_parser(name, help=module.MEANING, description=module.MEANING)
        sub.add_argument("--config", type=Path, metavar="FILE.toml", help="settings under the environment's")
        sub.set_defaults(execute=module.execute)
        module.add_options(sub)
    return parser
