"""Parses the command line, runs the command, and turns errors into a message and an exit code."""

import argparse
import io
import os
import sys
from collections.abc import Iterable, Sequence
from errno import (
    EACCES,
    EDQUOT,
    EEXIST,
    EFBIG,
    EIO,
    EISDIR,
    ELOOP,
    EMFILE,
    ENAMETOOLONG,
    ENFILE,
    ENOENT,
    ENOSPC,
    ENOTDIR,
    EPERM,
    EROFS,
    ESTALE,
)
from importlib import import_module
from pathlib import Path

from loadtest_trio import __version__
from loadtest_trio.cli.exits import BAD_CONFIGURATION, FAILED, NO_BACKEND, OK, complain, discard_output

_COMMANDS = ("run", "jobs", "users", "tune", "report", "compare", "check", "preflight", "dead", "config")
_OF_FILES = (
    *(ENOENT, EEXIST, EACCES, EPERM, EISDIR, ENOTDIR, ENOSPC, EDQUOT, EFBIG, EROFS),
    *(ENAMETOOLONG, ELOOP, EMFILE, ENFILE, EIO, ESTALE),
)
_OWN_OPTIONS = ("-h", "--help", "--version")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The arguments; None for those of the process. Without a command, `run`.

    Returns:
        The exit code; see `exits.MEANINGS`.
    """
    if sys.stdout is None:  # a socket may get its descriptor later, so nothing must be written to it
        return complain(BAD_CONFIGURATION, "standard output is closed: redirect it, at least to /dev/null")
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 # for as long as the process lives
    _use_utf8()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in _OWN_OPTIONS):
        arguments.insert(0, "run")
    # Import only the chosen command's module, so that the health check stays cheap.
    try:
        options = _parser(arguments[:1] if arguments[0] in _COMMANDS else _COMMANDS).parse_args(arguments)
        ended = int(options.execute(options, _environ()))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return OK
    except BaseException as error:
        if _interrupted(error):
            return OK
        if _has_no_reader(error):
            discard_output()
            return OK
        code, lines = _explain(error)
        if code is None:
            raise
        return complain(code, *lines, *getattr(error, "__notes__", ()))
    return ended


def _use_utf8() -> None:
    """Write UTF-8 regardless of the locale: keys contain any character, and none may crash a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _environ() -> dict[str, str]:
    """Return the environment, decoded as UTF-8 regardless of the locale."""
    return {
        name.decode(errors="surrogateescape"): value.decode(errors="surrogateescape")
        for name, value in os.environb.items()
    }


def _interrupted(error: BaseException) -> bool:
    """Tell whether a group of exceptions contains only interrupts."""
    return isinstance(error, BaseExceptionGroup) and error.split(KeyboardInterrupt)[1] is None


def _has_no_reader(error: BaseException) -> bool:
    """Tell whether the reader closed the pipe (`compare … | head`); rich raises SystemExit in that case."""
    return isinstance(error, BrokenPipeError) or (
        isinstance(error, SystemExit) and isinstance(error.__context__, BrokenPipeError)
    )


def _explain(error: BaseException) -> tuple[int | None, Iterable[str]]:
    """Return an error's exit code and message; the code is None for an unexpected error, a crash."""
    from loadtest_trio import errors
    from loadtest_trio.backends.embedded.errors import EmbeddedUnavailableError

    match errors.cause_of(error):
        case errors.ConfigurationError() as cause:
            return BAD_CONFIGURATION, [*map(str, cause.faults), *cause.hints]
        case EmbeddedUnavailableError() | errors.CredentialsError() as cause:
            return BAD_CONFIGURATION, [str(cause)]
        case errors.BackendUnavailableError() | errors.RedisError() | errors.S3Error() as cause:
            return NO_BACKEND, [str(cause)]
        case errors.LoadtestError() as cause:
            return FAILED, [str(cause)]
        case OSError(errno=number) as cause if number in _OF_FILES:
            discard_output()
            return FAILED, [f"cannot read or write: {cause}"]
    return None, []


def _parser(names: Iterable[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest_trio",
        description="How much can a queue-backed service take, for how long, without losing anything, "
        "and what limits it?",
    )
    parser.add_argument("--version", action="version", version=f"loadtest_trio {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name in names:
        module = import_module(f"loadtest_trio.cli.{name}")
        sub = commands.add_parser(name, help=module.MEANING, description=module.MEANING)
        sub.add_argument(
            "--config",
            type=Path,
            metavar="FILE.toml",
            help="a file of settings; the environment overrides it",
        )
        sub.set_defaults(execute=module.execute)
        module.add_options(sub)
    return parser
