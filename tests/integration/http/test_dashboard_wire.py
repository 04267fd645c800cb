"""Odd headers and bodies at the dashboard's port: each is answered, and none is a fault of the server."""

from __future__ import annotations

import random
import re
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import trio

from loadtest_trio.http.server import HypercornServer
from loadtest_trio.metrics.counters import Metrics
from loadtest_trio.metrics.health_state import HealthState
from loadtest_trio.users.steering import Steering
from loadtest_trio.web import create_app
from loadtest_trio.web.dashboard import Access, Control, Hub, add_dashboard
from loadtest_trio.web.dashboard.assets import find_plotly
from loadtest_trio.web.prometheus import add_metrics

if TYPE_CHECKING:
    from loadtest_trio.http.server import Server
    from loadtest_trio.http.server.asgi import Scope

REQUESTS, AT_ONCE = 800, 20
VALUES = (
    b"\xff\xfe",
    b"\xb2",
    b"9" * 5000,
    b"-1",
    b"",
    b'"',
    b"=;=;=",
    b"%XY",
    b"[::1",
    b"a..b",
    b"a" * 64,
    b"localhost:99999999",
    b"a@b:c",
    b"bytes=-5",
    b"bytes=5-1",
    b"bytes=0-0,2-3",
    b"bytes=99999999999999999999-",
    b"Mon, 01 Jan 99999 00:00:00 +9999",
    b"application/json; charset=utf-7",
    b"multipart/form-data; boundary=",
    b"*/*;q=1e999",
    b'W/"x',
    b"Bearer \xb2",
    b'loadtest_trio="\\777"',
    b"application/openmetrics-text; version=1.0.0; escaping=foo",
    b"text/plain; version=9.9.9",
    b"\xed\xa0\x80",
)
NAMES = (
    b"Host Accept Accept-Encoding Range If-Range If-None-Match If-Match If-Modified-Since Cookie "
    b"Content-Type Authorization Origin Referer X-Forwarded-For Forwarded Last-Event-ID Upgrade Expect "
    b"Trailer Content-Length"
).split()
BODIES = (
    b"",
    b"[]",
    b"null",
    b'{"value":1e999}',
    b'{"value":NaN}',
    b'{"value":"nan"}',
    b'{"value":' + b"9" * 5000 + b"}",
    b"[" * 100_000,
    b'{"value":"\\ud800"}',
    b'{"value":"\xff"}',
    b'{"value":true}',
    '{"value":"5"}'.encode("utf-16"),
    b"token=%XY&token=%FF",
    b"&" * 2000,
    b"--x\r\nContent-Disposition: form-data\r\n\r\n\xff\r\n--x--",
    b"--x\r\nContent-Disposition: form-data; name=a\r\nContent-Type: a/b; charset=bogus\r\n\r\nhi\r\n--x--",
)
TYPES = (
    b"application/json",
    b"application/json; charset=bogus",
    b"application/x-www-form-urlencoded; charset=bogus",
    b"multipart/form-data; boundary=x",
    b"multipart/form-data",
    b"text/plain",
)
READ = (
    b"/",
    b"/health",
    b"/metrics",
    b"/events",
    b"/controls",
    b"/dead?limit=%B2",
    b"/static/main.js",
    b"/%FF",
)
WRITTEN = (b"/controls/users", b"/controls/%FF", b"/login", b"/dead/%00/retry", b"/health")


def odd_request(rng: random.Random) -> bytes:
    """Return a request with one oddity or several."""
    written = rng.random() < 0.4
    headers = {b"Host": b"localhost"}
    body = rng.choice(BODIES) if written else b""
    if written:
        headers |= {b"Content-Type": rng.choice(TYPES), b"Content-Length": b"%d" % len(body)}
    for _ in range(rng.choice((0, 1, 1, 1, 3))):
        headers[rng.choice(NAMES)] = rng.choice(VALUES)
    plotly = find_plotly()
    read = [*READ, *([f"/static/plotly-{plotly.version}.min.js".encode()] if plotly else [])]
    path = rng.choice(WRITTEN if written else read)
    method = b"POST" if written else rng.choice((b"GET", b"GET", b"GET", b"HEAD", b"OPTIONS"))
    lines = [b"%b %b HTTP/1.1" % (method, path), *map(b": ".join, headers.items())]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def serve(faults: list[Exception]) -> HypercornServer:
    """Return a server of everything that is on the port; its faults are added to a list."""
    app, access = create_app("/health", HealthState(trio.current_time, 60)), Access()
    steering = Steering(1.0, 1.0)
    steering.follow = lambda *_: None
    control = Control("users", "Users", "field", steering.set_users, lambda: f"{steering.users:g}")
    add_dashboard(app, Hub(), access, controls=[control])
    add_metrics(app, access, Metrics(), dict)

    def note(_: Scope, error: Exception) -> None:
        faults.append(error)

    return HypercornServer(app, "127.0.0.1", 0, on_error=note, has_lifespan=True)  # type: ignore[arg-type]


async def status_of(server: Server, request: bytes) -> bytes:
    """Send a request, and return the status of its answer; nothing where the server only hangs up."""
    answer = b""
    with trio.move_on_after(1.0):  # a body may be shorter than its length
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
            with suppress(trio.BrokenResourceError):  # refused before it was read
                await stream.send_all(request)
            with suppress(trio.BrokenResourceError):
                while b"\r\n" not in answer and (data := await stream.receive_some()):
                    answer += data
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return found[1] if found else b""


async def test_odd_requests_are_no_fault_of_the_server(capfd: pytest.CaptureFixture[str]) -> None:
    """No 500, no error in the log, nothing on standard error; afterwards the port works."""
    faults: list[Exception] = []
    rng, server, seen = random.Random(1), serve(faults), set()
    requests = [odd_request(rng) for _ in range(REQUESTS)]

    async def send_some() -> None:
        while requests:
            request = requests.pop()
            status = await status_of(server, request)
            seen.add(status)
            assert not status.startswith(b"5") or status in (b"501", b"505"), request[:300]

    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        async with trio.open_nursery() as clients:
            for _ in range(AT_ONCE):
                clients.start_soon(send_some)
        assert await status_of(server, b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n") == b"200"
        server.stop(0.1)
    assert faults == []
    assert {b"200", b"400", b"403", b"404"} <= seen
    assert capfd.readouterr().err == ""
