"""The transport under the S3 client: HTTP/1.1 on Trio sockets behind httpx's transport interface.

Why our own: httpx is the interface, not the engine. A 200 KB GET through httpx's stock transport
costs some ten times the CPU of this one (``python -m benchmarks.transport``), most of it in copies,
generators and a pure-Python parser. What S3 needs is small enough to read in one sitting:

    LeanTransport ──► ConnectionPool ──► Connection ──► TcpStream / TlsStream ──► socket
      retry, errors     slots, reuse       exchange        bytes, never waiting
                                       └──── Timer, DeadlineWatch ────┘

Invariants:
    * A slot is held in a ``try``/``finally``, and a connection is pooled only after a complete
      response, so a request that fails or is cancelled at any checkpoint closes its connection and
      leaks neither (`tests/unit/s3/transport/test_transport_cancel.py` cancels at each of them).
    * A response is returned only when its body has arrived. Nothing is left to close.
    * A request is sent twice only on a reused connection, when no byte of an answer came back, and when
      the first attempt either sent nothing or can be repeated without harm (RFC 9110, 9.2.2).

What S3 does not need is absent: HTTP/2, proxies, upgrades, streamed responses, redirects, cookies.
"""

import ssl
from functools import cached_property
from typing import Any, Literal

import httpx
import trio

from loadtest_trio.http.client.connection import Connection
from loadtest_trio.http.client.deadline_watch import DeadlineWatch
from loadtest_trio.http.client.http1 import Buffer, BufferStream, ResponseParser, request_body, request_head
from loadtest_trio.http.client.httpx_transport import StockTransport
from loadtest_trio.http.client.pool import ConnectionPool, Origin
from loadtest_trio.http.client.request_timeout import Timer
from loadtest_trio.http.streams import Stream, TcpStream, connect
from loadtest_trio.http.tls import open_tls

__all__ = ["BufferStream", "LeanTransport", "open_transport", "response_body"]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_IDEMPOTENT = frozenset(("GET", "HEAD", "PUT", "DELETE", "OPTIONS"))
_SCRATCH_BYTES = 65536


class LeanTransport(httpx.AsyncBaseTransport):
    """A small, fast HTTP/1.1 client transport.

    A response is complete when it is returned. `httpx.Response.aread` hands out the body as usual;
    ``extensions["body"]`` is the same body as the `bytearray` it was received into, without httpx's
    copy and decoding, which cost more than the rest of the response: see `response_body`. It is absent
    when the body has a ``Content-Encoding``, which `aread` decodes.

    Two extensions of a request are understood, as in httpx's stock transport: ``timeout`` (a mapping of
    ``connect``, ``read``, ``write``, ``pool`` to seconds) and ``target`` (bytes, the request target).

    Args:
        max_connections: Open connections; a request waits for a slot when all are busy.
        connect_timeout: Seconds to connect, with name look-up and TLS handshake.
        idle_timeout: Seconds without a byte moving, sending or receiving.
        request_timeout: Seconds for the whole request, waiting for a slot and a retry included.
        max_header_bytes: Largest head of a response.
        max_body_bytes: Largest body of a response.
        ssl_context: For HTTPS; None: certificate and host name are checked against httpx's authorities.
        watch: Watches the deadlines while somebody runs it; otherwise each request brings a cancel scope.
    """

    def __init__(
        self,
        *,
        max_connections: int,
        connect_timeout: float = 5.0,
        idle_timeout: float = 10.0,
        request_timeout: float = 60.0,
        max_header_bytes: int = 65536,
        max_body_bytes: int = 64 * 1024 * 1024,
        ssl_context: ssl.SSLContext | None = None,
        watch: DeadlineWatch | None = None,
    ) -> None:
        self._pool = ConnectionPool(max_connections)
        self._timeouts = {"connect": connect_timeout, "read": idle_timeout, "write": idle_timeout}
        self._request_timeout = request_timeout
        self._max_header_bytes = max_header_bytes
        self._max_body_bytes = max_body_bytes
        self._ssl_context = ssl_context
        self._watch = watch or DeadlineWatch()
        self._scratch = memoryview(bytearray(_SCRATCH_BYTES))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its response, complete.

        Raises:
            httpx.TransportError: One of its subclasses, by what went wrong.
        """
        origin = _origin(request.url)
        body = await request_body(request)
        head = request_head(request, len(body))
        timer = Timer(request.extensions.get("timeout", self._timeouts), self._request_timeout)
        await self._pool.acquire(timer)
        try:
            return _Response(await self._exchange(origin, request.method, head, body, timer))
        finally:
            self._pool.release()

    async def aclose(self) -> None:
        """Close the idle connections; a busy one is closed by the task whose request it serves."""
        self._pool.close()
        await trio.lowlevel.checkpoint()

    async def _exchange(
        self, origin: Origin, method: str, head: bytes, body: Buffer, timer: Timer
    ) -> ResponseParser:
        """Use an idle connection, or a new one; or both, when the idle one turns out to be dead."""
        connection = self._pool.take(origin)
        if connection is not None:
            try:
                return await self._use(connection, origin, method, head, body, timer)
            except (httpx.ReadError, httpx.RemoteProtocolError):
                if connection.answered or (connection.sent and method not in _IDEMPOTENT):
                    raise
        connection = await self._connect(origin, timer)
        return await self._use(connection, origin, method, head, body, timer)

    async def _use(
        self, connection: Connection, origin: Origin, method: str, head: bytes, body: Buffer, timer: Timer
    ) -> ResponseParser:
        try:
            if not self._watch.running:
                with timer.bounded("read"):
                    return await connection.exchange(method, head, body, timer)
            return await self._use_watched(connection, method, head, body, timer)
        finally:
            self._pool.give_back(origin, connection)

    async def _use_watched(
        self, connection: Connection, method: str, head: bytes, body: Buffer, timer: Timer
    ) -> ResponseParser:
        self._watch.add(connection, timer)
        try:
            return await connection.exchange(method, head, body, timer)
        except trio.ClosedResourceError:
            raise timer.error() from None
        finally:
            self._watch.discard(connection)

    async def _connect(self, origin: Origin, timer: Timer) -> Connection:
        self._pool.make_room()
        with timer.bounded("connect"):
            stream = await self._open(*origin)
        return Connection(stream, self._scratch, self._max_header_bytes, self._max_body_bytes)

    async def _open(self, scheme: str, host: str, port: int) -> Stream:
        try:
            sock = await connect(host, port)
            return await open_tls(sock, self._tls_context(), host) if scheme == "https" else TcpStream(sock)
        except (OSError, UnicodeError) as error:  # the latter: a host that is no name
            raise httpx.ConnectError(f"cannot connect to {scheme}://{host}:{port}: {error}") from error

    def _tls_context(self) -> ssl.SSLContext:
        """Return the context, made on first use: reading the authorities' certificates takes 20 ms."""
        if self._ssl_context is None:
            self._ssl_context = httpx.create_ssl_context()
        self._ssl_context.set_alpn_protocols(["http/1.1"])
        return self._ssl_context


class _Response(httpx.Response):
    """httpx's response, but its headers are parsed when somebody asks for them, which is when S3 says no.

    They are most of what it costs to make one.
    """

    def __init__(self, received: ResponseParser) -> None:
        extensions: dict[str, Any] = {"first_byte_at": received.first_byte_at}
        if not received.encoded:
            extensions["body"] = received.body
        super().__init__(received.status, stream=BufferStream(received.body), extensions=extensions)
        self._received = received
        del self.headers  # the empty ones, in favour of the property's

    @cached_property
    def headers(self) -> httpx.Headers:  # type: ignore[override] # mypy: an attribute there
        return httpx.Headers(self._received.headers)


def open_transport(
    kind: Literal["lean", "httpx"],
    *,
    max_connections: int,
    verify: ssl.SSLContext | None = None,
    connect_timeout: float = 5.0,
    idle_timeout: float = 10.0,
    request_timeout: float = 60.0,
    watch: DeadlineWatch | None = None,
) -> httpx.AsyncBaseTransport:
    """Open the transport that ``S3_TRANSPORT`` names: the one place that knows both.

    Args:
        kind: ``lean`` for ours, ``httpx`` for httpx's stock transport.
        max_connections: Open connections.
        verify: For HTTPS; None: certificate and host name are checked against httpx's authorities.
        connect_timeout: Seconds to connect.
        idle_timeout: Seconds without a byte moving.
        request_timeout: Seconds for the whole request.
        watch: For ``lean``; see there.
    """
    if kind == "lean":
        return LeanTransport(
            max_connections=max_connections,
            connect_timeout=connect_timeout,
            idle_timeout=idle_timeout,
            request_timeout=request_timeout,
            ssl_context=verify,
            watch=watch,
        )
    return StockTransport(
        {"connect": connect_timeout, "read": idle_timeout, "write": idle_timeout},
        request_timeout,
        verify=verify if verify is not None else True,
        limits=httpx.Limits(max_connections=max_connections, max_keepalive_connections=max_connections),
    )


async def response_body(response: httpx.Response) -> bytes | bytearray:
    """Return a response's body by the cheapest way its transport offers."""
    body: bytes | bytearray | None = response.extensions.get("body")
    return await response.aread() if body is None else body


def _origin(url: httpx.URL) -> Origin:
    """Return scheme, host and port; raise what httpx raises for anything but HTTP."""
    scheme = url.scheme
    if scheme not in _DEFAULT_PORTS or not url.host:
        raise httpx.UnsupportedProtocol(f"the URL must begin with http:// or https:// and a host, not {url}")
    return scheme, url.host, url.port or _DEFAULT_PORTS[scheme]
