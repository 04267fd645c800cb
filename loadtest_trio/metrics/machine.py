"""The machine that this process runs on, and how much of it the process uses."""

import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

_PACKAGES = ("trio", "httpx", "redis", "hypercorn", "quart-trio", "attrs", "cattrs", "loguru")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that the figures depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


def describe() -> dict[str, Any]:
    """Return the machine: platform, CPU model, number of CPUs and memory in MB."""
    return {
        "platform": platform.platform(),
        "cpu_model": _cpu_model(),
        "cpus": os.cpu_count(),
        "memory_mb": round(psutil.virtual_memory().total / 2**20),
    }


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 - read line by line, once
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


class ProcessMeter:
    """CPU, memory and file descriptors of this process.

    CPU use is process CPU time over elapsed time: on Fargate the container's throttling counters always read
    0, and Python sees more CPUs than the task has.
    """

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._last = (time.monotonic(), time.process_time(), _waited_seconds())

    def read(self) -> dict[str, Any]:
        """Return the CPU use since the last call, and memory and descriptors in use now.

        Returns:
            `cpu_percent` (of one CPU), `cpu_wait_percent` (time in which the main thread was ready to run
            without a CPU; None where the kernel does not report it), `memory_mb` (RSS) and `open_fds`
            (None where they cannot be read, as when no descriptor is left).
        """
        now = (time.monotonic(), time.process_time(), _waited_seconds())
        elapsed, spent, waited = (after - before for after, before in zip(now, self._last, strict=True))
        self._last = now
        try:
            memory_mb, open_fds = round(self._process.memory_info().rss / 2**20, 1), self._process.num_fds()
        except OSError:  # such as no descriptor left
            memory_mb, open_fds = None, None
        return {
            "cpu_percent": round(100 * spent / elapsed, 1) if elapsed > 0 else None,
            "cpu_wait_percent": round(100 * waited / elapsed, 1) if elapsed > 0 and now[2] else None,
            "memory_mb": memory_mb,
            "open_fds": open_fds,
        }


def _waited_seconds() -> float:
    """Return how long the main thread was ready to run without a CPU (Linux, sched-stats.rst); else 0."""
    try:
        return int(Path("/proc/self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0
