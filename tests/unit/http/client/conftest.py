"""A real server on a loopback port that does what a test's handler says, and transports to try on it."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Literal

import attrs
import httpx
import pytest
import trio
import trio.testing
import trustme

from loadtest_trio.http.client.deadline_watch import DeadlineWatch
from loadtest_trio.http.client.transport import LeanTransport, open_transport

Handler = Callable[["Peer"], Awaitable[None]]
Kind = Literal["lean", "watched", "httpx"]


@attrs.define
class Peer:
    """The server's end of one connection."""

    tcp: trio.SocketStream
    tls: trio.SSLStream[trio.SocketStream] | None
    number: int
    buffer: bytearray = attrs.field(factory=bytearray)

    @property
    def stream(self) -> trio.abc.Stream:
        """Where the requests come in."""
        return self.tls or self.tcp

    async def request(self) -> tuple[bytes, bytes]:
        """Receive a request: its head, and its body as long as Content-Length says."""
        while b"\r\n\r\n" not in self.buffer:
            await self._more()
        head, _, rest = bytes(self.buffer).partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        self.buffer[:] = rest
        while len(self.buffer) < length:
            await self._more()
        body = bytes(self.buffer[:length])
        del self.buffer[:length]
        return head, body

    async def send(self, *parts: bytes) -> None:
        """Send each part by itself."""
        for part in parts:
            await self.stream.send_all(part)

    async def answer(self, body: bytes = b"", *headers: bytes, status: bytes = b"200 OK") -> None:
        """Send a whole response with Content-Length."""
        lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers]
        await self.send(b"\r\n".join(lines) + b"\r\n\r\n" + body)

    async def _more(self) -> None:
        data = await self.stream.receive_some(65536)
        if not data:
            raise trio.BrokenResourceError("the client has gone")
        self.buffer += data


@attrs.define
class Server:
    """Where it listens, and what it has seen."""

    port: int
    scheme: str
    connections: int = 0
    open_now: int = 0
    open_at_most: int = 0

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"


Eventually = Callable[[Callable[[], bool]], Awaitable[None]]
Serve = Callable[..., Awaitable[Server]]
Open = Callable[..., httpx.AsyncBaseTransport]


@pytest.fixture
def virtual_clock() -> trio.testing.MockClock:
    """Virtual time that jumps when nothing has moved for 20 ms, so that loopback traffic counts as moving."""
    return trio.testing.MockClock(autojump_threshold=0.02)


@pytest.fixture
def open_fds() -> Callable[[], int]:
    """Count this process's open file descriptors."""
    return lambda: len(list(Path("/dev/fd").iterdir()))


@pytest.fixture
def eventually() -> Eventually:
    """Wait for what another thread or the kernel brings about; fail after five seconds."""

    async def eventually(condition: Callable[[], bool]) -> None:
        with trio.fail_after(5):
            while not condition():  # noqa: ASYNC110  no event tells of a closed socket
                await trio.sleep(0.001)

    return eventually


@pytest.fixture
async def serve(nursery: trio.Nursery) -> Serve:
    """Make servers: each listens when awaited, and ends with the test."""

    async def serve(handler: Handler, tls: ssl.SSLContext | None = None) -> Server:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        server = Server(listeners[0].socket.getsockname()[1], "https" if tls else "http")

        async def connection(tcp: trio.SocketStream) -> None:
            server.connections += 1
            server.open_now += 1
            server.open_at_most = max(server.open_at_most, server.open_now)
            session = trio.SSLStream(tcp, tls, server_side=True) if tls else None
            async with tcp:
                try:
                    await handler(Peer(tcp, session, server.connections))
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    pass  # the client went away, as some tests make it do
                finally:
                    server.open_now -= 1

        await nursery.start(partial(trio.serve_listeners, connection, listeners))
        return server

    return serve


@pytest.fixture
async def open_with(nursery: trio.Nursery) -> AsyncIterator[Open]:
    """Open a transport of any kind and options; it is closed after the test."""
    async with AsyncExitStack() as stack:

        def open_with(kind: Kind = "lean", **options: Any) -> httpx.AsyncBaseTransport:
            options.setdefault("max_connections", 4)
            if kind == "watched":
                options["watch"] = DeadlineWatch()
                nursery.start_soon(options["watch"].run)
            transport = open_transport("httpx", **options) if kind == "httpx" else LeanTransport(**options)
            stack.push_async_callback(transport.aclose)
            return transport

        yield open_with


@pytest.fixture(params=["lean", "watched", "httpx"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each transport in turn."""
    value: Kind = request.param
    return value


@pytest.fixture
def open_any(kind: Kind, open_with: Open) -> Open:
    """Open the transport in turn, with options that both have."""
    return partial(open_with, kind)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority of our own."""
    return trustme.CA()


@pytest.fixture(scope="session")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    """A server's context, with a certificate for 127.0.0.1 and for localhost."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@pytest.fixture
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    """A client's context that trusts our authority only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context
