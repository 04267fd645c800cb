"""A backend server as our child process: start it, wait until it answers, end it."""

import os
import secrets
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from contextlib import nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from loadtest_trio.backends.embedded.errors import EmbeddedUnavailableError
from loadtest_trio.backends.embedded.watchdog import Watchdog
from loadtest_trio.errors import BackendUnavailableError

READY_SECONDS = 20.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.01
LAUNCH_ATTEMPTS = 3
LOG_LINES = 10


class _EndedAtOnceError(BackendUnavailableError):
    """The process ended before it answered; most likely somebody took one of its ports."""


class ServerProcess(ABC):
    """One server under a watchdog, in a folder of its own that survives restarts and ends with `close`.

    Subclasses say which ports, configuration and command, and when the server answers.
    """

    name: ClassVar[str]

    def __init__(
        self, binary: Path, folder: Path | None, watchdog: Watchdog | None, port: int | None
    ) -> None:
        self.binary = binary
        self._owns_watchdog = watchdog is None
        self._watchdog = watchdog or Watchdog(folder)
        self.folder = self._watchdog.folder / f"{self.name}-{secrets.token_hex(4)}"
        self.folder.mkdir(mode=0o700)
        self._fixed_port = port
        self.ports: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def _choose_ports(self, port: int | None) -> list[int]:
        """Choose every port the server will listen on, the one for clients first."""

    @abstractmethod
    def _configure(self) -> None:
        """Write the configuration files into the folder; secrets go there, never on the command line."""

    @abstractmethod
    def _arguments(self) -> list[str]:
        """Return the command line after the binary."""

    @abstractmethod
    def _answers(self) -> bool:
        """Tell whether the server serves clients now; may raise OSError instead of saying no."""

    @abstractmethod
    def _secrets(self) -> list[str]:
        """Return what must not appear in an error."""

    def _environment(self) -> dict[str, str]:
        """Return a bare environment: servers would read AWS_* and S3_* variables that are meant for us."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
        }

    @property
    def port(self) -> int:
        """The port for clients, on 127.0.0.1."""
        return self.ports[0]

    @property
    def pid(self) -> int:
        """The server's process id, the last one when it has ended."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is alive, paused or not."""
        return self._process is not None and self._process.poll() is None

    def begin(self) -> Self:
        """Choose ports and start for the first time; with other ports when the server ends at once.

        Returns:
            The server itself, answering.

        Raises:
            BackendUnavailableError: It never answered; carries the last lines of its log.
            EmbeddedUnavailableError: The binary cannot be executed on this machine.
        """
        attempts = LAUNCH_ATTEMPTS if self._fixed_port is None else 1
        try:
            while not self.running:
                attempts -= 1
                self.ports = self._choose_ports(self._fixed_port)
                self._configure()
                with suppress(_EndedAtOnceError) if attempts else nullcontext():
                    self._launch()
        except BaseException:
            self.close()
            raise
        return self

    def stop(self) -> None:
        """End it as an operator would: SIGTERM, and SIGKILL when that is not heeded. The data stays."""
        if self._process is None:
            return
        self.resume()
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it as a crash would: SIGKILL. The data stays."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def restart(self) -> None:
        """Start it again on the same port and data (after a `stop` if it runs); returns when it answers."""
        self.stop()
        self._launch()

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """End it for good and remove its data (at the end of the watchdog, when that is shared)."""
        self.kill()
        if self._owns_watchdog:
            self._watchdog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _signal(self, number: signal.Signals) -> None:
        if self.running:
            assert self._process is not None
            self._process.send_signal(number)

    def _launch(self) -> None:
        try:
            with (self.folder / "server.log").open("ab") as log:
                self._process = subprocess.Popen(  # noqa: S603 (a binary of an installed package)
                    [str(self.binary), *self._arguments()],
                    cwd=self.folder,
                    env=self._environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    process_group=self._watchdog.group,
                )
        except OSError as error:
            raise EmbeddedUnavailableError(f"cannot execute {self.binary.name}: {error.strerror}") from error
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while self.running and time.monotonic() < deadline:
            with suppress(OSError):  # refused, cut or timed out: not yet
                if self._answers() and self.running:
                    return
            time.sleep(POLL_SECONDS)
        if not self.running:
            raise _EndedAtOnceError(f"the embedded {self.name} server ended at once; {self._log_tail()}")
        self.kill()
        raise BackendUnavailableError(
            f"the embedded {self.name} server did not answer in {READY_SECONDS:.0f} s; {self._log_tail()}"
        )

    def _log_tail(self) -> str:
        lines = (self.folder / "server.log").read_text(encoding="utf-8", errors="replace").splitlines()
        tail = "\n".join(lines[-LOG_LINES:])
        for secret in self._secrets():
            tail = tail.replace(secret, "***")
        return f"its log ends:\n{tail}"
