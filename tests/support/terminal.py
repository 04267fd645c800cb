"""A program on a pseudo-terminal: what it draws, what it is left with, and keys pressed at it."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).parents[2]
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """One run of ``python -m loadtest_trio`` on a terminal of its own.

    Args:
        arguments: The command and its options.
        environ: Variables to set; no other setting of this machine reaches the service.
        columns: Width of the terminal.
        rows: Height of the terminal.
    """

    def __init__(self, *arguments: str, environ: Mapping[str, str], columns: int, rows: int = 24) -> None:
        self._main, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        defaults = {"HEALTH_PORT": "0", "TERM": "xterm-256color", "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "loadtest_trio", *arguments],
            env={**kept, **defaults, **environ},
            stdin=other,
            stdout=other,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # Ctrl-C then reaches it as a signal
        )
        os.close(other)
        self._drawn = b""

    @property
    def lines(self) -> list[str]:
        """What was drawn so far, line by line, without colours and movements."""
        text = _CONTROL.sub("", self._drawn.decode(errors="replace"))
        return [line for part in text.split("\n") for line in part.split("\r") if line]

    def wait_for(self, condition: Callable[[list[str]], object], seconds: float = 40.0) -> None:
        """Read until a condition holds for what was drawn.

        Raises:
            AssertionError: It does not in time, or the program ended before.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            ended = not self._read()
            if condition(self.lines):
                return
            assert not ended, f"it ended: {self.lines[-10:]}"
        raise AssertionError(f"not in {seconds} s: {self.lines[-20:]}")

    def press(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._main, keys)

    def finish(self, seconds: float = 40.0) -> int:
        """Read until the program ends, and return its exit code."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._read():
            pass
        return self.process.wait(5)

    def _read(self) -> bool:
        """Read what there is within a moment; False at the end."""
        ready, _, _ = select.select([self._main], [], [], 0.1)
        try:
            chunk = os.read(self._main, 65_536) if ready else b"-"
        except OSError:  # Linux says so when the other side is closed
            return False
        self._drawn += chunk if ready else b""
        return bool(chunk)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._main)
