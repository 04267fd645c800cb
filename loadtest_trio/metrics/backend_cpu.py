"""The CPU of the backends' server processes, where they run on this machine and can be read.

On a shared machine a service that waits for a core cannot tell who holds it. The servers of the embedded
mode, and any server that listens on a backend's endpoint here, are processes whose CPU time the kernel tells:

    endpoint ──► listening process and its children ──► CPU seconds between two readings ──► share of all CPUs

Whoever listens counts: of a backend behind a local proxy that is the proxy.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import psutil
import trio

from loadtest_trio.metrics.listeners import family, find_listener, is_local

_REFRESH_SECONDS = 5.0  # listing children scans /proc, so it is not done at every reading
_NOT_LOCAL = "not on this machine"
_NOT_READABLE = "its process cannot be read: it is another user's, or in another container"


@attrs.frozen
class ServerAddress:
    """The address of a backend.

    Attributes:
        host: Name or address.
        port: TCP port.
    """

    host: str
    port: int


@attrs.define
class _Server:
    """One backend's processes, and their CPU seconds at the last reading."""

    address: ServerAddress
    process: psutil.Process | None = None
    members: list[psutil.Process] = attrs.field(factory=list)
    spent: dict[int, float] = attrs.field(factory=dict)


class BackendCpuMeter:
    """Reads the CPU of each backend since the last reading, and how busy all CPUs of this machine were.

    Args:
        addresses: Backend -> where its clients connect.
    """

    def __init__(self, addresses: Mapping[str, ServerAddress]) -> None:
        self._servers = {name: _Server(each) for name, each in addresses.items() if is_local(each.host)}
        self._names = list(addresses)
        self._limiter = trio.CapacityLimiter(1)
        self._at = self._refreshed = float("-inf")
        self._machine, self._cpus = psutil.cpu_times(), psutil.cpu_count() or 1

    async def read(self) -> dict[str, Any]:
        """Return fields of a metrics line.

        Returns:
            `machine_cpus`: the number of CPUs.
            `machine_cpu_percent`: busy time of all CPUs over their total time; 100 is the whole machine.
            `backend_cpu`: for each backend `cpu_percent` (100 is one CPU) and `machine_percent` (100 is all
            CPUs), or `unknown` with the reason. Percentages are None at the first reading.
        """
        try:
            spent = await trio.to_thread.run_sync(self._spent, limiter=self._limiter) if self._servers else {}
            return self._fields(spent)
        # Such as no descriptor or (RuntimeError) no thread left, which must not end the process.
        except (OSError, psutil.Error, RuntimeError):
            unknown = {name: {"unknown": _NOT_READABLE} for name in self._names}
            return {"machine_cpus": self._cpus, "machine_cpu_percent": None, "backend_cpu": unknown}

    def _fields(self, spent: Mapping[str, float | None]) -> dict[str, Any]:
        now, machine = time.monotonic(), psutil.cpu_times()
        elapsed, busy = now - self._at, _busy_percent(self._machine, machine)
        self._at, self._machine = now, machine
        return {
            "machine_cpus": self._cpus,
            "machine_cpu_percent": busy,
            "backend_cpu": {name: self._field(name, spent.get(name), elapsed) for name in self._names},
        }

    def _field(self, name: str, spent: float | None, elapsed: float) -> dict[str, Any]:
        if name not in self._servers:
            return {"unknown": _NOT_LOCAL}
        if not self._servers[name].members:
            return {"unknown": _NOT_READABLE}
        percent = None if spent is None or elapsed <= 0 else 100 * spent / elapsed
        return {
            "cpu_percent": None if percent is None else round(percent, 1),
            "machine_percent": None if percent is None else round(percent / self._cpus, 1),
        }

    def _spent(self) -> dict[str, float | None]:
        """Return the CPU seconds of each local backend since the last call; None at its first."""
        now = time.monotonic()
        if now - self._refreshed >= _REFRESH_SECONDS:
            self._refreshed = now
            for server in self._servers.values():
                _refresh(server)
        return {name: _collect(server) for name, server in self._servers.items()}


def _refresh(server: _Server) -> None:
    if server.process is None or not server.process.is_running():
        server.process = find_listener(server.address.host, server.address.port)
    server.members = family(server.process) if server.process else []


def _collect(server: _Server) -> float | None:
    before, server.spent = server.spent, _cpu_seconds(server.members)
    common = before.keys() & server.spent.keys()
    return sum(server.spent[pid] - before[pid] for pid in common) if common else None


def _cpu_seconds(processes: Iterable[psutil.Process]) -> dict[int, float]:
    """Return pid -> user and system seconds of those that still run."""
    found = {}
    for each in processes:
        try:
            times = each.cpu_times()
        except psutil.Error:
            continue
        found[each.pid] = times.user + times.system
    return found


def _busy_percent(before: Any, after: Any) -> float | None:
    """Return the share of CPU time that was not idle, in percent; time stolen by a hypervisor is busy."""
    total = _total(after) - _total(before)
    idle = _idle(after) - _idle(before)
    return round(100 * max(0.0, 1 - idle / total), 1) if total > 0 else None


def _total(times: Any) -> float:
    # The kernel counts the time of guests also as user time.
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return float(sum(times)) - guests


def _idle(times: Any) -> float:
    return float(times.idle + getattr(times, "iowait", 0.0))
