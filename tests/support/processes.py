"""Processes and descriptors of this machine, seen from the outside."""

import os
from collections.abc import Callable
from pathlib import Path

import psutil
import trio


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def until(met: Callable[[], bool], within: float = 20.0) -> None:
    """Wait until something is so, at most `within` seconds."""
    with trio.fail_after(within):
        while not met():  # noqa: ASYNC110 - nobody here could set an event
            await trio.sleep(0.01)


async def written(note: Path) -> int:
    """Wait for a number in a file and return it."""
    await until(note.exists)
    return int(note.read_text())  # noqa: ASYNC240 - a few bytes


def descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counts, and creates no paths


def workers(pid: int | None = None) -> list[int]:
    """Return the worker processes of a process, this one by default."""
    children = psutil.Process(pid).children()
    return [child.pid for child in children if "multiprocessing-fork" in " ".join(_command(child))]


def _command(process: psutil.Process) -> list[str]:
    try:
        command: list[str] = process.cmdline()
    except psutil.Error:
        return []
    return command
