"""What can be known of the target's machine: CPU, memory, descriptors, load.

    a process here (``--target-pid``, the embedded service, or whoever listens on a loopback port): psutil
    ``/metrics`` in the Prometheus text format: process_cpu_seconds_total, process_resident_memory_bytes,
    process_open_fds
    ``/api/jobs/stats``: what the service says of its queue and workers

Every source may be missing; then its fields are.
"""

import os
import time
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any, Protocol

import orjson
import psutil
import trio
from prometheus_client.parser import text_string_to_metric_families

from loadtest_trio.metrics.listeners import find_listener, is_local
from loadtest_trio.users.http_wire import HttpWire
from loadtest_trio.users.wire import ExchangeError, Reply

_PROBE_SECONDS = 2.0
_NOWHERE = b"/loadtest-trio-asks-for-nothing"
_MOST_PAGE_BYTES = 1024 * 1024
_MOST_FDS = 2**53
_OURS = frozenset(("byStatus", "byType", "lanes", "cache"))  # in the statistics of this package's job service
_SERVERS = {"valkey-server": "redis", "redis-server": "redis", "weed": "s3"}


class Target(Protocol):
    """A source of readings."""

    async def read(self) -> dict[str, Any]:
        """Return what is known since the last reading; empty when nothing is."""
        ...


class LocalProcess:
    """A process of this machine, with its children.

    Servers that it brought along (an embedded Redis or S3) are told apart by their names: they are what it
    stands on, and not the target.

    Args:
        pid: Its id.
    """

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._last: dict[int, float] = {}
        self._last_at = self._last_waited = 0.0

    async def read(self) -> dict[str, Any]:
        """See `Target.read`."""
        try:
            return await trio.to_thread.run_sync(self._read)
        except psutil.Error:
            return {}

    def _read(self) -> dict[str, Any]:
        now, waited, spent, memory, fds = time.monotonic(), _waited(self._process.pid), {}, 0, 0
        shares: dict[str, list[float]] = {}
        elapsed = now - self._last_at if self._last_at else 0.0
        for each in [self._process, *self._process.children(recursive=True)]:
            try:
                name, times = _SERVERS.get(each.name(), "target"), each.cpu_times()
                if name == "target":
                    memory += each.memory_info().rss
                    fds += each.num_fds()
            except (OSError, psutil.Error):
                continue
            spent[each.pid] = times.user + times.system
            if elapsed and each.pid in self._last:
                share = 100 * (spent[each.pid] - self._last[each.pid]) / elapsed
                shares.setdefault(name, []).append(max(0.0, share))
        wait = 100 * (waited - self._last_waited) / elapsed if elapsed else None
        self._last, self._last_at, self._last_waited = spent, now, waited
        return {
            "cpu_percent": _rounded(max(shares.get("target", ()), default=None)),
            "cpu_wait_percent": _rounded(wait),
            "processes_cpu_percent": _rounded(sum(shares.get("target", ()))),
            "redis_cpu_percent": _rounded(max(shares.get("redis", ()), default=None)),
            "s3_cpu_percent": _rounded(max(shares.get("s3", ()), default=None)),
            "memory_mb": round(memory / 2**20, 1),
            "open_fds": fds,
            "load1": round(os.getloadavg()[0], 2),
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _waited(pid: int) -> float:
    """Return how long the main thread was ready to run without a CPU (Linux, sched-stats.rst); else 0."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


class Scraped:
    """What the service tells of itself over HTTP.

    Args:
        wire: A connection of its own.
        headers: Lines that its requests carry.
    """

    def __init__(self, wire: HttpWire, headers: bytes) -> None:
        self._wire = wire
        self._headers = headers
        self._last: tuple[float, float] | None = None
        self._absent: set[bytes] = set()

    async def read(self) -> dict[str, Any]:
        """See `Target.read`."""
        read: dict[str, Any] = {}
        if (reply := await self._get(b"/metrics")) is not None:
            page = bytes(reply.body)
            if len(page) > _MOST_PAGE_BYTES:
                page = page[:_MOST_PAGE_BYTES].rpartition(b"\n")[0]  # half a line would spoil the others
            read |= self._from_metrics(page.decode(errors="replace"))
        began = trio.current_time()
        if (reply := await self._get(b"/api/jobs/stats")) is not None:
            read["stats"] = stats_of(bytes(reply.body[:_MOST_PAGE_BYTES]))
            asked = trio.current_time()
            if not read["stats"].keys() >= _OURS:
                return read  # of a service that may have no Redis
            await self._get(_NOWHERE, once=False)  # the same server, without its Redis
            answered = trio.current_time()
            read["stats_ms"] = round(1000 * (asked - began), 3)
            read["nothing_ms"] = round(1000 * (answered - asked), 3)
        return read

    async def _get(self, target: bytes, *, once: bool = True) -> Reply | None:
        if target in self._absent:
            return None
        with trio.move_on_after(_PROBE_SECONDS):
            try:
                reply = await self._wire.exchange("GET", target, self._headers, b"")
            except ExchangeError:
                return None
            if reply.status == 200:
                return reply
            if once:
                self._absent.add(target)
        return None

    def _from_metrics(self, text: str) -> dict[str, Any]:
        values = process_metrics(text)
        now, spent = trio.current_time(), values.get("process_cpu_seconds_total")
        found: dict[str, Any] = {}
        if spent is not None:
            if self._last is not None and now > self._last[0]:
                found["cpu_percent"] = round(100 * (spent - self._last[1]) / (now - self._last[0]), 1)
            self._last = (now, spent)
        if (memory := values.get("process_resident_memory_bytes")) is not None:
            found["memory_mb"] = round(memory / 2**20, 1)
        if (fds := values.get("process_open_fds")) is not None and 0 <= fds < _MOST_FDS:
            found["open_fds"] = int(fds)
        return found


class Both:
    """Several sources; where two know the same, the first is believed."""

    def __init__(self, *sources: Target) -> None:
        self._sources = sources

    async def read(self) -> dict[str, Any]:
        """See `Target.read`."""
        read: dict[str, Any] = {}
        for each in self._sources:
            read = {**(await each.read()), **read}
        return read


def process_metrics(text: str) -> dict[str, float]:
    """Return the finite ``process_…`` samples of a Prometheus page; empty when it is none."""
    try:
        families = list(text_string_to_metric_families(text))
    except (ValueError, ArithmeticError, LookupError, TypeError):  # the parser's own, of odd pages
        return {}
    samples = [
        sample for family in families for sample in family.samples if sample.name.startswith("process_")
    ]
    return {sample.name: sample.value for sample in samples if isfinite(sample.value)}


def stats_of(body: bytes) -> dict[str, Any]:
    """Return the numbers at the top of ``/api/jobs/stats``, and one level below; the rest is left out."""
    try:
        content = orjson.loads(body)
    except ValueError:
        return {}
    kept: dict[str, Any] = {}
    for name, value in content.items() if isinstance(content, dict) else ():
        if isinstance(value, int | float):
            kept[name] = value
        elif isinstance(value, Mapping):
            kept[name] = {key: each for key, each in value.items() if isinstance(each, int | float)}
    return kept


def listening_process(host: str, port: int) -> int | None:
    """Return the id of the process that listens on a port of this machine, where it can be known."""
    found = find_listener(host, port) if is_local(host) else None
    return found.pid if found else None
