"""Consoles for commands that print while an event loop runs.

A terminal that is halted (Ctrl-S), or a pipe whose reader stands still, blocks whoever writes to it. Neither
may stop the loop, so these consoles hand their text to a thread, as the log does.
"""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TextIO, cast

from rich.console import Console

from loadtest_trio.metrics.log_writer import LogWriter

_CAPACITY_BYTES = 2**20


class PatientStream(io.TextIOBase):
    """A text stream that never waits for its destination; the oldest text is dropped when too much waits.

    Args:
        stream: The destination; tells what it is (a terminal, its encoding), and is not closed here.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        # Its own descriptor: a stuck thread must not write to another file that gets the number later.
        self._descriptor = os.dup(stream.fileno())
        self._writer = LogWriter(self._descriptor, lambda: None, _CAPACITY_BYTES)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding; text is written as UTF-8 whatever the locale says."""
        return "utf-8"

    def isatty(self) -> bool:
        """Return whether the destination is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the destination's descriptor."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Take text for later."""
        self._writer.write(text)
        return len(text)

    def finish(self) -> None:
        """Write what waits, unless the destination takes nothing for some time. Blocks."""
        if not self._writer.close():
            os.close(self._descriptor)


@contextmanager
def console_beside_loop(stream: TextIO, width: int | None = None) -> Iterator[Console]:
    """Yield a console whose output never holds up the caller.

    Args:
        stream: Where to: ``sys.stdout`` or ``sys.stderr``.
        width: In columns; None asks the terminal.
    """
    stream.flush()
    try:
        patient = PatientStream(stream)
    except (OSError, ValueError, AttributeError):  # a stand-in without a descriptor
        yield Console(file=stream, width=width)
        return
    try:
        yield Console(file=cast(IO[str], patient), width=width)
    finally:
        patient.finish()
