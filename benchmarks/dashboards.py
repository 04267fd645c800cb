"""What open dashboards cost the service: CPU with none and with twenty, by `python -m benchmarks.dashboards`.

One service on embedded backends, at its default rate and interval. Its CPU is read over alternating
windows without and with viewers, so that a busy machine weighs on both. A viewer opens what a browser opens
(page, files, chart library) and then reads the event stream. Opening is told apart: it happens once.
"""

import argparse
import contextlib
import http.client
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import IO
from urllib.parse import urlsplit

import psutil


def main() -> int:
    """Measure and print one line a window and the result; 1 when it is above the goal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=40.0, help="of one window (40)")
    parser.add_argument("--rounds", type=int, default=3, help="pairs of windows (3)")
    parser.add_argument("--goal", type=float, default=2.0, metavar="%%", help="of a core at most (2)")
    options = parser.parse_args()
    costs, opening = [], []
    with _service() as (pid, address):
        process = psutil.Process(pid)
        for number in range(options.rounds):
            alone = _share(process, options.seconds)
            before = _cpu(process)
            with _viewers(address, options.viewers):
                opening.append(1000 * (_cpu(process) - before) / options.viewers)
                watched = _share(process, options.seconds)
            costs.append(watched - alone)
            print(
                f"round {number + 1}: {alone:.2f} % alone, {watched:.2f} % with {options.viewers} dashboards"
            )
    cost, spread = statistics.median(costs), f"{min(costs):+.2f} to {max(costs):+.2f}"
    print(f"{options.viewers} open dashboards: {cost:+.2f} % of a core (median; {spread})")
    print(f"opening one: {statistics.median(opening):.0f} ms of CPU, once")
    return int(cost > options.goal)


@contextlib.contextmanager
def _service() -> Iterator[tuple[int, str]]:
    environ = {**os.environ, "HEALTH_PORT": "0", "LOG_FORMAT": "json"}
    command = [sys.executable, "-m", "loadtest_trio", "run", "--embedded"]
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as run:
        assert run.stdout is not None
        try:
            address = next(
                line["dashboard"]
                for line in map(json.loads, run.stdout)
                if line["event"] == "service_started"
            )
            threading.Thread(target=_drain, args=(run.stdout,), daemon=True).start()
            time.sleep(15)
            yield run.pid, address
        finally:
            run.send_signal(signal.SIGTERM)


def _drain(lines: IO[str]) -> None:
    with contextlib.suppress(ValueError):  # closed with the service
        for _ in lines:
            pass


@contextlib.contextmanager
def _viewers(address: str, number: int) -> Iterator[None]:
    """Open dashboards, and keep their streams read until the block ends."""
    streams = [_open(address) for _ in range(number)]
    done = threading.Event()
    readers = [threading.Thread(target=_read, args=(stream, done), daemon=True) for stream in streams]
    for reader in readers:
        reader.start()
    try:
        yield
    finally:
        done.set()
        for stream in streams:
            if stream.sock is not None:
                stream.sock.close()


def _open(address: str) -> http.client.HTTPConnection:
    parts = urlsplit(address)
    page = _get(parts.hostname or "", parts.port or 80, "/").decode()
    for path in re.findall(r'(?:src|href)="(static/[^"]+)"', page):
        _get(parts.hostname or "", parts.port or 80, f"/{path}")
    stream = http.client.HTTPConnection(parts.hostname or "", parts.port or 80)
    stream.request("GET", "/events")
    return stream


def _get(host: str, port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection(host, port, timeout=30)
    connection.request("GET", path)
    body = connection.getresponse().read()
    connection.close()
    return body


def _read(stream: http.client.HTTPConnection, done: threading.Event) -> None:
    with contextlib.suppress(OSError, ValueError, http.client.HTTPException, AttributeError):
        response = stream.getresponse()
        while not done.is_set() and response.read1(65_536):
            pass


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _share(process: psutil.Process, seconds: float) -> float:
    before, began = _cpu(process), time.monotonic()
    time.sleep(seconds)
    return 100 * (_cpu(process) - before) / (time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
