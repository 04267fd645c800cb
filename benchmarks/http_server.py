"""The HTTP servers: CPU per request and memory per connection, `python -m benchmarks.http_server`.

The same plain ASGI application, which answers with a small JSON document, under each server; wrk asks on the
other core. Two kinds of requests: wrk's bare GET, and a POST of a job with the headers of a real client.

* ``no HTTP``: the same bytes over Trio's sockets without a look at the request: the limit of Trio;
* ``lean``: `LeanServer`;
* ``hypercorn``: `HypercornServer`.
"""

import argparse
import itertools
import re
import resource
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import trio

from benchmarks import wrk
from benchmarks.output import RunInfo, add_only, add_options, report_progress, spread, table, write
from benchmarks.process import CLIENT_CORE, SERVER_CORE, Child, free_ports, wait_for_port
from loadtest_trio.http.server import HypercornServer, LeanServer, Server
from loadtest_trio.http.server.asgi import App, Receive, Scope, Send

BODY = b'{"id":"6d5f1a2e-5b1f-4a58-9a39-0a2ce3f8f0a1","status":"queued","type":"factorial","retries":0}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]
POST = """
wrk.method = "POST"
wrk.path = "/api/jobs"
wrk.body = '{"type": "factorial", "payload": {"n": 500}}'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Accept"] = "*/*"
wrk.headers["Accept-Encoding"] = "gzip, deflate"
wrk.headers["User-Agent"] = "python-httpx/0.28.1"
wrk.headers["X-Client-Id"] = "client-17"
"""
CONNECTIONS = (64, 500)
_IDLE_CONNECTIONS = 2000
_DESCRIPTORS = 4096
_WARM_UP_SECONDS = 1

Values = dict[str, dict[str, list[float]]]


async def app(_: Scope, receive: Receive, send: Send) -> None:
    """Read the request and answer with the document."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


async def serve_asgi(server: Callable[[App, str, int], Server], port: int) -> None:
    """Serve for ever."""
    await server(app, "127.0.0.1", port).run()


async def serve_without_http(port: int) -> None:
    """Answer whatever arrives, without looking at it, for ever."""
    answer = b"HTTP/1.1 200 OK\r\n" + b"".join(b"%b: %b\r\n" % header for header in HEADERS) + b"\r\n" + BODY

    async def answer_each(connection: socket.socket) -> None:
        with connection:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                await trio.lowlevel.wait_readable(connection)
                try:
                    if not connection.recv(16_384):
                        return
                    connection.send(answer)
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", port), backlog=1024) as listening:
        async with trio.open_nursery() as nursery:
            while True:
                await trio.lowlevel.wait_readable(listening)
                nursery.start_soon(answer_each, listening.accept()[0])


CONTENDERS: dict[str, Callable[[int], Awaitable[None]]] = {
    "no HTTP": serve_without_http,
    "lean": partial(serve_asgi, LeanServer),
    "hypercorn": partial(serve_asgi, HypercornServer),
}


def measure(name: str, seconds: int, folder: Path) -> dict[str, float]:
    """Return the figures of one contender, in a process of its own."""
    (port,) = free_ports(1)
    (folder / "post.lua").write_text(POST)
    command = [sys.executable, "-m", "benchmarks.http_server", "--serve", name, "--port", str(port)]
    server = Child(command, core=SERVER_CORE, log=folder / "server")
    try:
        wait_for_port(port, server)
        figures = {"bytes a connection": bytes_a_connection(server, port)}
        for connections, (kind, script) in itertools.product(
            CONNECTIONS, (("GET", []), ("POST", ["-s", str(folder / "post.lua")]))
        ):
            load = ["wrk", "-t1", f"-c{connections}", *script, f"http://127.0.0.1:{port}/api/jobs/1"]
            run_wrk(load, _WARM_UP_SECONDS, folder)
            before = server.cpu_seconds()
            requests = run_wrk(load, seconds, folder)
            if not requests:
                raise RuntimeError(f"{name} answered no request, try more --seconds: {server.stderr_tail()}")
            figures[f"{kind}, {connections}: µs"] = (server.cpu_seconds() - before) / requests * 1e6
            figures[f"{kind}, {connections}: /s"] = requests / seconds
        return figures
    finally:
        server.stop()


def run_wrk(command: list[str], seconds: int, folder: Path) -> int:
    """Run wrk and return the number of requests.

    Raises:
        RuntimeError: It failed, or met something else than 200.
    """
    output = folder / "wrk"
    child = Child([*command, f"-d{seconds}s"], core=CLIENT_CORE, log=folder / "log", output=output)
    child.wait(timeout=seconds + 30.0)
    text = output.read_text()
    done = re.search(r"(\d+) requests in", text)
    if not done or "Non-2xx" in text:
        raise RuntimeError(f"wrk failed: {text} {child.stderr_tail()}")
    return int(done[1])


def bytes_a_connection(server: Child, port: int) -> float:
    """Return how much the server grows by a connection that has made one request and keeps open."""

    def open_one() -> socket.socket:
        connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
        connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        while BODY not in connection.recv(4096):
            pass
        return connection

    with ExitStack() as stack:
        open_one()
        before = server.tree_rss_mb()
        for _ in range(_IDLE_CONNECTIONS):
            open_one()
        return (server.tree_rss_mb() - before) * 2**20 / _IDLE_CONNECTIONS


def render(about: RunInfo, values: Values) -> str:
    """Return the tables: one of CPU and requests a second, one of memory."""
    cases = [f"{kind}, {connections}" for connections in CONNECTIONS for kind in ("GET", "POST")]
    rows = []
    for name, figures in values.items():
        rows.append([name, *(spread(figures[f"{case}: µs"], 1) for case in cases)])
    rates = [[name, *(spread(figures[f"{case}: /s"]) for case in cases)] for name, figures in values.items()]
    memory = [[name, spread(figures["bytes a connection"])] for name, figures in values.items()]
    return "\n".join(
        [
            about.heading("HTTP servers", "User and system time of the server over wrk's requests."),
            table(["CPU µs a request", *cases], rows),
            "",
            table(["requests a second", *cases], rates),
            "",
            table(["idle connection", "bytes"], memory),
        ]
    )


def main(arguments: list[str]) -> int:
    """Measure, print, and write http_server.json and http_server.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http_server", description=__doc__)
    add_options(parser)
    add_only(parser, list(CONTENDERS))
    parser.add_argument("--seconds", type=int, default=5, help="of load, for each figure (5)")
    parser.add_argument("--serve", choices=list(CONTENDERS), help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(_DESCRIPTORS, allowed), allowed))
    if options.serve:
        trio.run(CONTENDERS[options.serve], options.port)
    if not wrk.installed():
        print("no load generator: apt-get install wrk", file=sys.stderr)
        return 3
    values: Values = {}
    for number in range(options.rounds):
        for name in options.only or CONTENDERS:
            with tempfile.TemporaryDirectory(prefix="bench-http-") as folder:
                for key, value in measure(name, options.seconds, Path(folder)).items():
                    values.setdefault(name, {}).setdefault(key, []).append(value)
        report_progress(f"measured: round {number + 1}")
    about = RunInfo.now(options.rounds)
    text = render(about, values)
    facts: dict[str, Any] = attrs.asdict(about) | {"values": values}
    write(options.results, "http_server", text, facts)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
