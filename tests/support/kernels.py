"""Computations for the tests of worker processes; cheap to import, as those have to be."""

import os
import signal
import sys
import time
from pathlib import Path


def pid() -> bytes:
    """Return the worker's process id."""
    return b"%d" % os.getpid()


def linger(seconds: float, note: str) -> bytes:
    """Write the process id to the file `note`, then compute for so many seconds."""
    _write(note)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return b"done"


def crash(note: str) -> bytes:
    """Append the process id to the file `note` and die, as if out of memory."""
    with Path(note).open("a") as file:
        file.write(f"{os.getpid()}\n")
    os.kill(os.getpid(), signal.SIGKILL)
    return b""


def modules() -> bytes:
    """Return the names of all imported modules."""
    return "\n".join(sys.modules).encode()


def _write(note: str) -> None:
    # Renamed into place, so that a reader never sees half a number.
    half = Path(f"{note}.{os.getpid()}")
    half.write_text(str(os.getpid()))
    half.rename(note)
