"""Exit codes and the one way to complain."""

import os
import select
import sys
from contextlib import suppress
from typing import TextIO

OK = 0
FAILED = 1
BAD_CONFIGURATION = 2
NO_BACKEND = 3
_PATIENCE_MS = 500
THRESHOLD_CROSSED = 99

MEANINGS: dict[int, str] = {
    OK: "A signal, or the end of the duration; a command did what it was asked to.",
    FAILED: "A crash, or the answer is no (`check`, `preflight`, `dead show`); the last log line could not be written.",
    BAD_CONFIGURATION: "The configuration cannot be used; every fault is listed.",
    NO_BACKEND: "Redis or S3 could not be reached or used at start.",
    THRESHOLD_CROSSED: "A threshold was crossed (`users`).",
}
"""What each exit code says; `docs/commands.md` is made from it."""


def complain(code: int, *lines: str) -> int:
    """Write lines to standard error, each naming the program, and return the code.

    Where nobody reads, or the reader stands still, nothing is written: the end must not wait for a reader.
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
    except (AttributeError, ValueError):  # closed from the start; or caught by a test
        return stream is not None
    return bool(poll.poll(_PATIENCE_MS))


def discard_output() -> None:
    """Let what is still buffered for standard output vanish, so that the interpreter's end does not fail."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
