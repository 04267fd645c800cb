"""Unsigned requests of 200 KB through each layer of the transport, for transport.py."""

import contextlib
import math
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Literal

import httpx
import trio

from benchmarks.calibration import SIZE
from benchmarks.endpoint import NginxS3
from loadtest_trio.http.client.connection import Connection
from loadtest_trio.http.client.deadline_watch import DeadlineWatch
from loadtest_trio.http.client.http1 import BufferStream, wire_request
from loadtest_trio.http.client.request_timeout import RequestTimeout
from loadtest_trio.http.client.transport import open_transport, response_body
from loadtest_trio.http.streams import Stream, TcpStream, connect
from loadtest_trio.http.tls import open_tls

Method = Literal["GET", "PUT"]
Call = Callable[[], Awaitable[object]]

METHODS: tuple[Method, ...] = ("GET", "PUT")
BUCKET, KEY = "bench", "one"
BODY = b"a" * SIZE
_HEAD_BYTES = 4096


class Scenario:
    """One kind of request: its destination and how it is made."""

    def __init__(self, endpoint: NginxS3, method: Method, *, tls: bool, tasks: int) -> None:
        self.name = f"{method} of {SIZE // 1000} KB over {'HTTPS' if tls else 'HTTP'}"
        self.base = httpx.URL(endpoint.tls_url if tls else endpoint.url)
        self.url = str(self.base.join(f"/{BUCKET}/{KEY}"))
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
        """Make a request as S3Service does, without the signature."""
        target = f"/{BUCKET}/{KEY}".encode()
        stream = BufferStream(self._body)
        extensions = {"target": target}
        return httpx.Request(
            self.method, self.base, headers=self._headers, stream=stream, extensions=extensions
        )

    def trust(self) -> ssl.SSLContext:
        """Return a TLS context that trusts this run's certificate authority."""
        return ssl.create_default_context(cafile=self._authority)


@contextlib.asynccontextmanager
async def over_transport(
    scenario: Scenario, kind: Literal["lean", "httpx"], *, watched: bool = False
) -> AsyncIterator[list[Call]]:
    """Yield one call per connection of a transport."""
    watch = DeadlineWatch()
    transport = open_transport(kind, max_connections=scenario.tasks, verify=scenario.trust(), watch=watch)

    async def call() -> None:
        response = await transport.handle_async_request(scenario.request())
        body = await response_body(response)
        assert response.status_code == 200
        assert len(body) == scenario.answer_size

    async with trio.open_nursery() as nursery:
        if watched:
            nursery.start_soon(watch.run)
        try:
            yield [call] * scenario.tasks
        finally:
            await transport.aclose()
            nursery.cancel_scope.cancel()


@contextlib.asynccontextmanager
async def over_bare_sockets(scenario: Scenario) -> AsyncIterator[list[Call]]:
    """Yield one call per socket: a `sendmsg`, a wait, and as many `recv_into` as the answer takes."""
    request = await wire_request(scenario.request())
    into = memoryview(bytearray(_HEAD_BYTES + SIZE))

    async def call(sock: socket.socket) -> None:
        sent = sock.sendmsg([request.head, request.body])
        while (rest := sent - len(request.head)) < len(request.body):
            await trio.lowlevel.wait_writable(sock)
            sent += sock.send(memoryview(request.body)[rest:])
        await trio.lowlevel.wait_readable(sock)
        received = sock.recv_into(into)
        whole = bytes(into[:_HEAD_BYTES]).index(b"\r\n\r\n") + 4 + scenario.answer_size
        while received < whole:
            try:
                received += sock.recv_into(into[received:])
            except BlockingIOError:
                await trio.lowlevel.wait_readable(sock)

    async with contextlib.AsyncExitStack() as stack:
        calls: list[Call] = []
        for _ in range(scenario.tasks):
            sock = stack.enter_context(await connect(scenario.base.host, scenario.base.port or 80))
            calls.append(partial(call, sock))
        yield calls


@contextlib.asynccontextmanager
async def over_connections(scenario: Scenario) -> AsyncIterator[list[Call]]:
    """Yield one call per `Connection`, sending the same bytes without a transport."""
    timeout = RequestTimeout({}, math.inf)
    request = await wire_request(scenario.request())
    scratch = memoryview(bytearray(65536))

    async def call(connection: Connection) -> None:
        response = await connection.exchange(request, timeout)
        assert len(response.body) == scenario.answer_size

    async with contextlib.AsyncExitStack() as stack:
        calls: list[Call] = []
        for _ in range(scenario.tasks):
            sock = await connect(scenario.base.host, scenario.base.port or 80)
            stream: Stream = TcpStream(sock)
            if scenario.tls:
                stream = await open_tls(sock, scenario.trust(), scenario.base.host)
            stack.callback(stream.close)
            calls.append(partial(call, Connection(stream, scratch, 65536, SIZE)))
        yield calls
