"""A private folder and a process group that are removed when the owning process ends, for any reason.

DESIGN. A service killed by SIGKILL runs no cleanup, so another process has to. This file is both sides: the
class `Watchdog` in the service, and, started as a script, the small process that watches the service.

    service ──(pipe: the service holds the only write end)──► watchdog, leader of its own process group
       │                                                          │ EOF: the service closed it, or is gone
       └── servers, put into the watchdog's group ◄──SIGKILL──────┘ then the folder is removed

- One mechanism for every ending: close, exception and SIGKILL differ only in what closes the pipe.
- A server joins the group between fork and exec, so it is watched from its first instant. The group's number
  cannot be reused while its leader lives, so no other process is ever killed.
- Ctrl-C reaches only the terminal's foreground group: the servers survive it, and the service can drain.
- Alternatives: PR_SET_PDEATHSIG is Linux only, fires when the forking *thread* ends, and removes no folder;
  a list of pids sent through the pipe leaves a gap after each fork and can contain a reused pid.

The script runs isolated (``-I -S``) and therefore imports only the standard library.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_REMOVE_ATTEMPTS = 50
_REMOVE_PAUSE_SECONDS = 0.1


class Watchdog:
    """The service's side: owns the folder (mode 0700) and the process group.

    Attributes:
        folder: The private folder, removed at the end.
        group: The process group to start servers in (``subprocess.Popen(process_group=...)``).
    """

    def __init__(self, parent: Path | None = None) -> None:
        """Start watching.

        Args:
            parent: Parent of the private folder; None for the system's temporary folder.

        Raises:
            OSError: The folder could not be created, or the watchdog could not be started.
        """
        command = [sys.executable, "-I", "-S", __file__, str(parent or tempfile.gettempdir())]
        self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and file)
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._orders, self._answers = self._process.stdin, self._process.stdout
        folder = os.fsdecode(self._answers.readline().rstrip(b"\n"))
        if not folder:
            self.close()
            raise OSError(f"could not make a private folder in {parent or tempfile.gettempdir()}")
        self.folder = Path(folder)
        self.group = self._process.pid

    def also_remove(self, path: Path) -> None:
        """Also remove this file at the end; for files that a server puts outside the folder."""
        self._orders.write(os.fsencode(path) + b"\n")
        self._orders.flush()

    def close(self) -> None:
        """Kill the processes of the group, remove the folder, and return when both are done."""
        self._orders.close()
        self._answers.read()  # until EOF: the cleaning process holds the other end open
        self._answers.close()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _watch(parent: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    folder = tempfile.mkdtemp(prefix="loadtest-trio-", dir=parent)
    os.write(1, os.fsencode(folder) + b"\n")
    extra = [os.fsdecode(line.rstrip(b"\n")) for line in sys.stdin.buffer]  # ends with the service
    group = os.getpid()
    if os.fork():
        signal.pause()  # keeps the group's number until the child kills the group, including this process
    os.setpgid(0, 0)
    os.killpg(group, signal.SIGKILL)
    _remove(folder, extra)
    os._exit(0)


def _remove(folder: str, extra: list[str]) -> None:
    for _ in range(_REMOVE_ATTEMPTS):  # a killed process may still finish a write
        shutil.rmtree(folder, ignore_errors=True)
        if not Path(folder).exists():
            break
        time.sleep(_REMOVE_PAUSE_SECONDS)
    for path in extra:
        Path(path).unlink(missing_ok=True)


if __name__ == "__main__":
    _watch(sys.argv[1])
