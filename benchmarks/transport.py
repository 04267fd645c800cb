"""The S3 transport alone: `python -m benchmarks.transport [--rounds N] [--requests N] [--json FILE]`.

CPU µs of the client for one GET and one PUT of 200 KB, unsigned, over HTTP and HTTPS, against nginx:

* ``wrk``: C, the practical limit;
* ``connection``: our `Connection` alone, without pool, deadline and httpx's objects: the floor for Python;
* ``lean``: `LeanTransport` with a `DeadlineWatch`, as the service runs it;
* ``lean, unwatched``: the same with a cancel scope a request instead;
* ``httpx``: httpx's stock transport.

All take short turns, and a ratio is one within a round, so that a busy neighbour slows everybody alike.
"""

import argparse
import contextlib
import json
import math
import os
import re
import shutil
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from operator import truediv
from pathlib import Path
from typing import Literal

import httpx
import trio

from benchmarks.endpoint import NginxS3
from benchmarks.measure import machine
from benchmarks.process import CLIENT_CORE, Child, Unavailable
from benchmarks.reference import SIZE
from benchmarks.report import spread
from loadtest_trio.s3.connection import Connection
from loadtest_trio.s3.http1 import BufferStream, request_head
from loadtest_trio.s3.streams import Stream, TcpStream, connect
from loadtest_trio.s3.timer import Timer
from loadtest_trio.s3.tls import open_tls
from loadtest_trio.s3.transport import open_transport, response_body
from loadtest_trio.s3.watch import DeadlineWatch

Method = Literal["GET", "PUT"]
Call = Callable[[], Awaitable[object]]
Values = dict[str, list[float]]

METHODS: tuple[Method, ...] = ("GET", "PUT")
BUCKET, KEY = "bench", "one"
BODY = b"a" * SIZE
WRK_PUT = f'wrk.method = "PUT"\nwrk.body = string.rep("a", {SIZE})\n'


class Scene:
    """One kind of request: where it goes, and how it is made."""

    def __init__(self, endpoint: NginxS3, method: Method, *, tls: bool, tasks: int) -> None:
        self.name = f"{method} of {SIZE // 1000} KB over {'HTTPS' if tls else 'HTTP'}"
        self.base = httpx.URL(endpoint.tls_url if tls else endpoint.url)
        self.method, self.tls, self.tasks = method, tls, tasks
        self.answer_size = SIZE if method == "GET" else 0
        self._authority = endpoint.ca_file
        self._body = BODY if method == "PUT" else b""
        self._headers = [
            (b"host", self.base.netloc),
            (b"x-amz-date", b"20260101T000000Z"),
            (b"x-amz-content-sha256", b"UNSIGNED-PAYLOAD"),
            (b"authorization", b"AWS4-HMAC-SHA256 Credential=" + b"x" * 160),
        ]
        if method == "PUT":
            self._headers.append((b"content-length", b"%d" % SIZE))

    def request(self) -> httpx.Request:
        """Make a request as S3Service does, but for the signature."""
        target = f"/{BUCKET}/{KEY}".encode()
        stream = BufferStream(self._body)
        extensions = {"target": target}
        return httpx.Request(
            self.method, self.base, headers=self._headers, stream=stream, extensions=extensions
        )

    def trust(self) -> ssl.SSLContext:
        """Return a context that verifies against the authority of this run."""
        return ssl.create_default_context(cafile=self._authority)


@contextlib.asynccontextmanager
async def over_transport(
    scene: Scene, kind: Literal["lean", "httpx"], *, watched: bool = False
) -> AsyncIterator[list[Call]]:
    """Requests through a transport, as many tasks as it has connections."""
    watch = DeadlineWatch()
    transport = open_transport(kind, max_connections=scene.tasks, verify=scene.trust(), watch=watch)

    async def call() -> None:
        response = await transport.handle_async_request(scene.request())
        body = await response_body(response)
        assert response.status_code == 200
        assert len(body) == scene.answer_size

    async with trio.open_nursery() as nursery:
        if watched:
            nursery.start_soon(watch.run)
        try:
            yield [call] * scene.tasks
        finally:
            await transport.aclose()
            nursery.cancel_scope.cancel()


@contextlib.asynccontextmanager
async def over_connections(scene: Scene) -> AsyncIterator[list[Call]]:
    """The same bytes, each task on a `Connection` of its own."""
    timer = Timer({}, math.inf)
    body = BODY if scene.method == "PUT" else b""
    head = request_head(scene.request(), len(body))
    scratch = memoryview(bytearray(65536))

    async def call(connection: Connection) -> None:
        response = await connection.exchange(scene.method, head, body, timer)
        assert len(response.body) == scene.answer_size

    async with contextlib.AsyncExitStack() as stack:
        calls: list[Call] = []
        for _ in range(scene.tasks):
            sock = await connect(scene.base.host, scene.base.port or 80)
            stream: Stream = TcpStream(sock)
            if scene.tls:
                stream = await open_tls(sock, scene.trust(), scene.base.host)
            stack.callback(stream.close)
            calls.append(partial(call, Connection(stream, scratch, 65536, SIZE)))
        yield calls


async def cpu_us(session: AbstractAsyncContextManager[list[Call]], requests: int) -> float:
    """Return CPU µs a request; a fifth more are made first, to connect and to warm up."""
    async with session as calls:
        await repeat(calls, requests // 5)
        started = time.process_time()
        await repeat(calls, requests)
        return (time.process_time() - started) / requests * 1e6


async def repeat(calls: list[Call], count: int) -> None:
    """Make `count` requests, one task a call."""
    left = count

    async def task(call: Call) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await call()

    async with trio.open_nursery() as nursery:
        for call in calls:
            nursery.start_soon(task, call)


def contenders(scene: Scene) -> dict[str, Callable[[int], float]]:
    """Return who can play this scene: functions from a number of requests to CPU µs a request."""

    def ours(requests: int, *, watched: bool) -> float:
        return trio.run(cpu_us, over_transport(scene, "lean", watched=watched), requests)

    everybody: dict[str, Callable[[int], float]] = {
        "wrk": partial(wrk, scene),
        "connection": lambda requests: trio.run(cpu_us, over_connections(scene), requests),
        "lean": partial(ours, watched=True),
        "lean, unwatched": partial(ours, watched=False),
        "httpx": lambda requests: trio.run(cpu_us, over_transport(scene, "httpx"), requests // 5),
    }
    if not shutil.which("wrk"):
        del everybody["wrk"]
    return everybody


def wrk(scene: Scene, requests: int) -> float:
    """Return wrk's CPU µs a request, from the rusage of its process."""
    with tempfile.TemporaryDirectory(prefix="bench-wrk-") as name:
        folder = Path(name)
        (folder / "put.lua").write_text(WRK_PUT)
        script: list[str | Path] = ["-s", folder / "put.lua"] if scene.method == "PUT" else []
        seconds = max(1, requests // 4000)
        command: list[str | Path] = [
            "wrk",
            "-t1",
            f"-c{scene.tasks}",
            f"-d{seconds}s",
            *script,
            str(scene.base.join(f"/{BUCKET}/{KEY}")),
        ]
        with (folder / "out").open("wb") as output:
            child = Child(command, core=CLIENT_CORE, log=folder / "log", stdout=output.fileno())
        usage = child.wait()
        done = re.search(r"(\d+) requests in", (folder / "out").read_text())
    if not done:
        raise RuntimeError(f"wrk failed: {child.complaint()}")
    return usage.total / int(done[1]) * 1e6


def scenes(endpoint: NginxS3, options: argparse.Namespace) -> Iterator[tuple[str, Values]]:
    """Measure each scene: everybody in turn, round after round."""
    for tls in (False, True):
        for method in METHODS:
            endpoint.reset(BUCKET, [(KEY, bytes(BODY))])
            scene = Scene(endpoint, method, tls=tls, tasks=options.tasks)
            values: Values = {}
            for _ in range(options.rounds):
                for name, measure in contenders(scene).items():
                    values.setdefault(name, []).append(measure(options.requests))
            yield scene.name, values


def table(title: str, values: Values) -> str:
    """Return a scene as a table; a ratio is the median of the rounds' ratios."""
    limit = values.get("wrk")
    lines = [f"| {title} | CPU µs: median (least-most) | ÷ wrk |", "| --- | --- | --- |"]
    for name, series in values.items():
        ratio = f"{statistics.median(map(truediv, series, limit)):.2f}" if limit else "–"
        lines.append(f"| {name} | {spread(series)} | {ratio} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print the tables, and write JSON if asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=2000, help="requests a turn; httpx makes a fifth")
    parser.add_argument("--tasks", type=int, default=10, help="concurrent requests")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    figures: dict[str, Values] = {}
    try:
        with NginxS3() as endpoint:
            os.sched_setaffinity(0, {CLIENT_CORE})
            for title, values in scenes(endpoint, options):
                figures[title] = values
                print(table(title, values), flush=True)
    except Unavailable as reason:
        sys.exit(f"skipped: {reason}")
    if options.json:
        report = {"benchmark": "transport", "machine": machine(), "tasks": options.tasks, "cpu_us": figures}
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
