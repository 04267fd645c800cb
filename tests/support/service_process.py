"""The service as its users run it: a process of its own, seen through its log lines and its exit code."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from loadtest_trio.report.details import join_details

ROOT = Path(__file__).parents[2]
LogLine = dict[str, Any]


class ServiceProcess:
    """One run of ``python -m loadtest_trio``; killed by its pid if the test leaves it running.

    Args:
        arguments: The command and its options.
        environ: Variables to set; no other setting of this machine reaches the service.
        wrapper: A program to run it under, such as ``["taskset", "-c", "0"]``.
        module: What to run instead of the package itself.
        stdout: A descriptor for its standard output; by default a file, from which `lines` are read.
        stderr: A descriptor for its standard error; by default a file, from which `complaints` are read.
    """

    def __init__(
        self,
        *arguments: str,
        environ: Mapping[str, str],
        wrapper: tuple[str, ...] = (),
        module: str = "loadtest_trio",
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> None:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        defaults = {"HEALTH_PORT": "0", "LOG_FORMAT": "json", "PYTHONPATH": str(ROOT)}
        self._out = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in __exit__
        self._err = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in __exit__
        self.process = subprocess.Popen(
            [*wrapper, sys.executable, "-m", module, *arguments],
            env={**kept, **defaults, **environ},
            stdin=subprocess.DEVNULL,
            stdout=self._out if stdout is None else stdout,
            stderr=self._err if stderr is None else stderr,
        )

    @property
    def lines(self) -> list[LogLine]:
        """The complete log lines written so far; details are back in the lines that they belong to."""
        text = self.output
        return join_details(json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines())

    @property
    def output(self) -> str:
        """What it has written to standard output."""
        return _content(self._out)

    @property
    def complaints(self) -> str:
        """What it has written to standard error."""
        return _content(self._err)

    def events(self, name: str) -> list[LogLine]:
        """The log lines of one event."""
        return [line for line in self.lines if line["event"] == name]

    def wait_for(
        self, event: str, matching: Callable[[LogLine], bool] = lambda _: True, seconds: float = 30
    ) -> LogLine:
        """Wait for a log line of an event.

        Raises:
            AssertionError: The process ended, or the time is over.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            ended = self.process.poll() is not None
            found = [line for line in self.events(event) if matching(line)]
            if found:
                return found[0]
            assert not ended, f"it ended with {self.process.returncode}: {self.complaints}{self.lines[-3:]}"
            time.sleep(0.05)
        raise AssertionError(f"no such {event} in {seconds} s: {self.lines[-3:]} {self.complaints}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self, seconds: float = 60) -> int:
        """Wait for the end and return the exit code."""
        return self.process.wait(seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._out.close()
        self._err.close()


def _content(file: IO[str]) -> str:
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode()
