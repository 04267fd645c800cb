"""Exit codes, and the function that prints error messages."""

import os
import select
import sys
from contextlib import suppress
from typing import TextIO

OK = 0
FAILED = 1
BAD_CONFIGURATION = 2
NO_BACKEND = 3
_WRITE_TIMEOUT_MS = 500
THRESHOLD_CROSSED = 99

MEANINGS: dict[int, str] = {
    OK: "Stopped by a signal or at the end of the duration; or the command succeeded.",
    FAILED: "A crash, a negative answer (`check`, `preflight`, `dead show`), or a log that could not be written.",
    BAD_CONFIGURATION: "The configuration cannot be used; every fault is listed.",
    NO_BACKEND: "Redis or S3 could not be reached or used at start.",
    THRESHOLD_CROSSED: "A threshold was crossed (`users`).",
}
"""The meaning of each exit code; `docs/commands.md` is generated from it."""


def complain(code: int, *lines: str) -> int:
    """Write lines to standard error, each prefixed with the program's name, and return the code.

    If standard error is closed or its reader is blocked, nothing is written: exiting must not wait for it.
    """
    if lines and _takes_output(sys.stderr):
        with suppress(OSError):
            sys.stderr.write("".join(f"loadtest_trio: {line}\n" for line in lines))
            sys.stderr.flush()
    return code


def _takes_output(stream: TextIO | None) -> bool:
    try:
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)  # type: ignore[union-attr] # None has no fileno either
    except (AttributeError, ValueError):  # closed from the start, or replaced by a test
        return stream is not None
    return bool(poll.poll(_WRITE_TIMEOUT_MS))


def discard_output() -> None:
    """Discard buffered standard output, so that the interpreter's exit does not fail while flushing it."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
