"""Runs a backend server as a child process: starts it, waits until it answers, and ends it."""

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
    """The process ended before it answered; most likely another process took one of its ports."""


class ServerProcess(ABC):
    """One server under a watchdog, with its own folder that survives restarts and is removed by `close`.

    Subclasses define ports, configuration and command, and tell when the server answers.
    """

    name: ClassVar[str]
    ready_seconds: ClassVar[float] = READY_SECONDS

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
        """Return all ports that the server will listen on, the client port first."""

    @abstractmethod
    def _configure(self) -> None:
        """Write the configuration files into the folder; secrets go there, never on the command line."""

    @abstractmethod
    def _arguments(self) -> list[str]:
        """Return the command line after the binary."""

    @abstractmethod
    def _answers(self) -> bool:
        """Return whether the server serves clients now; may raise OSError instead of returning False."""

    @abstractmethod
    def _secrets(self) -> list[str]:
        """Return the secrets that must not appear in an error."""

    def _environment(self) -> dict[str, str]:
        """Return a minimal environment, so that servers do not read our AWS_* and S3_* variables."""
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
        """The server's process id, or its last one if it has ended."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process exists, even if it is paused."""
        return self._process is not None and self._process.poll() is None

    def begin(self) -> Self:
        """Choose ports and start the server; retry with other ports if it ends at once.

        Returns:
            The server itself, once it answers.

        Raises:
            BackendUnavailableError: It never answered; the message has the last lines of its log.
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
        """End the server like an operator: SIGTERM, then SIGKILL if it does not end. The data is kept."""
        if self._process is None:
            return
        self.resume()
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the server like a crash: SIGKILL. The data is kept."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def restart(self) -> None:
        """Start the server again on the same port and data, after a `stop` if it runs."""
        self.stop()
        self._launch()

    def pause(self) -> None:
        """Freeze the server: connections stay open but nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """End the server and remove its data; with a shared watchdog, the data goes when that is closed."""
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
        deadline = time.monotonic() + self.ready_seconds
        while self.running and time.monotonic() < deadline:
            with suppress(OSError):  # refused, cut or timed out: not ready yet
                if self._answers() and self.running:
                    return
            time.sleep(POLL_SECONDS)
        if not self.running:
            raise _EndedAtOnceError(f"the embedded {self.name} server ended at once; {self._log_tail()}")
        self.kill()
        raise BackendUnavailableError(
            f"the embedded {self.name} server did not answer in {self.ready_seconds:.0f} s; "
            f"{self._log_tail()}"
        )

    def _log_tail(self) -> str:
        lines = (self.folder / "server.log").read_text(encoding="utf-8", errors="replace").splitlines()
        tail = "\n".join(lines[-LOG_LINES:])
        for secret in self._secrets():
            tail = tail.replace(secret, "***")
        return f"its log ends:\n{tail}"
