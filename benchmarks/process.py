"""Child processes that are pinned to one core and whose CPU time the kernel counts.

CPU time comes from two sources: `cpu_seconds` reads the CPU-time clock of a live process
(clock_getcpuclockid(3): all its threads, user and system, in nanoseconds), and `wait` returns the rusage
of the ended process from wait4(2).
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs
import psutil

_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
CLIENT_CORE = _CORES[0]  # the first core that taskset(1) allows
SERVER_CORE = _CORES[1] if len(_CORES) > 1 else _CORES[0]

_PR_SET_PDEATHSIG = 1


class Unavailable(Exception):  # noqa: N818 - a reason to skip, not an error
    """Something that a measurement needs is not installed; the message says how to install it."""


@attrs.frozen
class Usage:
    """CPU seconds of an ended process: in its own code, and in the kernel on its behalf."""

    user: float
    system: float

    @property
    def total(self) -> float:
        """User and system time together."""
        return self.user + self.system


class Child:
    """A child process pinned to one core.

    Args:
        command: The command line.
        core: The core to run on; ignored where the system cannot pin processes.
        env: The complete environment; None inherits ours.
        output: File that receives standard output; None discards it.
        log: File that receives standard error, shown when the process fails.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        core: int,
        log: Path,
        env: Mapping[str, str] | None = None,
        output: Path | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.log = log
        self.name = Path(command[0]).name
        with log.open("ab") as errors, (output or Path(os.devnull)).open("wb") as stdout:
            self.process = subprocess.Popen(
                list(map(str, command)),
                env=env,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=errors,
                preexec_fn=_child_setup(core),
            )

    @property
    def running(self) -> bool:
        """Whether the process is still running. Asking does not reap an ended process."""
        if self.process.returncode is not None:
            return False
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.process.pid, flags) is None

    def cpu_seconds(self) -> float:
        """Return the CPU seconds used so far: user and system, all threads."""
        return _cpu_clock(self.process.pid)

    def tree_cpu_seconds(self) -> float:
        """Return the CPU seconds of the process and all its descendants, including those already reaped.

        A descendant that has ended counts again only once its parent has reaped it.
        """
        return sum(map(_cpu_seconds_with_reaped, self._tree()))

    def tree_rss_mb(self) -> float:
        """Return the resident memory of the process and its descendants; shared pages count repeatedly."""
        sizes: list[int] = []
        for each in self._tree():
            with contextlib.suppress(psutil.Error):
                sizes.append(each.memory_info().rss)
        return sum(sizes) / 2**20

    def _tree(self) -> "list[psutil.Process]":
        try:
            root = psutil.Process(self.process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.Error:
            return []

    def peak_rss_mb(self) -> float:
        """Return the peak resident memory; rusage would include ours, from between fork and exec."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(
            (int(line.split()[1]) / 1024 for line in status.splitlines() if line[:6] == "VmHWM:"), 0.0
        )

    def wait(self, timeout: float = 30.0) -> "Usage":
        """Wait until the process ends; kill it after `timeout` seconds.

        Returns:
            The CPU time of its whole life, from wait4.
        """
        deadline = time.monotonic() + timeout
        while self.running:
            if time.monotonic() > deadline:
                os.kill(self.process.pid, signal.SIGKILL)
                break
            time.sleep(0.02)
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return Usage(usage.ru_utime, usage.ru_stime)

    def stop(self, timeout: float = 15.0) -> "Usage":
        """Send SIGTERM if the process is running, then wait as `wait` does."""
        if self.process.returncode is not None:
            return Usage(0.0, 0.0)
        # Popen.send_signal would reap an ended child and lose its rusage.
        os.kill(self.process.pid, signal.SIGTERM)
        return self.wait(timeout)

    def stderr_tail(self) -> str:
        """Return the last 2,000 characters of standard error, for error messages."""
        return self.log.read_text(errors="replace")[-2000:].strip()


def _cpu_seconds_with_reaped(process: "psutil.Process") -> float:
    """Return the CPU seconds of one process and its reaped children; 0 if it has just ended."""
    try:
        reaped = process.cpu_times()
        return _cpu_clock(process.pid) + float(reaped.children_user + reaped.children_system)
    except (psutil.Error, OSError):
        return 0.0


def _cpu_clock(pid: int) -> float:
    """Return the CPU seconds of a live process: user and system, all threads."""
    # MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED) of linux/posix-timers_types.h.
    return time.clock_gettime((~pid << 3) | 2)


def pin(core: int) -> None:
    """Pin this process to a core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


def _child_setup(core: int) -> Callable[[], None]:
    """Return the function a child runs before exec: pin itself, and ask to be killed when we die."""

    def settle() -> None:
        pin(core)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    return settle


def free_ports(count: int) -> list[int]:
    """Return `count` different unused loopback ports."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def wait_for_port(port: int, child: Child, seconds: float = 10.0) -> None:
    """Wait until something listens on a loopback port.

    Raises:
        RuntimeError: The child ended first, or the time ran out.
    """
    for _ in _ticks(seconds):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if not child.running:
            break
    raise RuntimeError(f"{child.name} does not listen on {port}: {child.stderr_tail()}")


def _ticks(seconds: float) -> Iterator[None]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(0.02)
