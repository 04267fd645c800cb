"""HTTP/1.1 on Trio sockets behind httpx's transport interface; the transport of the S3 client.

Why our own: a 200 KB GET through httpx's transport costs ten times the CPU of this one (``python -m
benchmarks.transport``), mostly for copies, generators and a pure-Python parser. S3 needs little of HTTP:

    LeanTransport ──► ConnectionPool ──► Connection ──► TcpStream / TlsStream ──► socket
      retry, errors     slots, reuse       exchange        non-blocking bytes
                                       └──── RequestTimeout, DeadlineWatch ────┘

Invariants:
    * A slot is held in a ``try``/``finally``, and a connection is pooled only after a complete
      response. A request that fails or is cancelled at any checkpoint closes its connection and leaks
      neither (`tests/unit/http/client/test_cancel.py` cancels at each checkpoint).
    * A response is returned after its whole body has arrived, so the caller has nothing to close.
    * A request is sent twice only on a reused connection, if no byte of a response arrived and the
      first attempt either sent nothing or is idempotent (RFC 9110, 9.2.2).

Not implemented: HTTP/2, proxies for plain HTTP, upgrades, streamed responses, redirects, cookies.
"""

import ssl
from functools import cached_property
from typing import Any, Literal

import httpx
import trio

from loadtest_trio.http.address import authority
from loadtest_trio.http.client.connection import Connection
from loadtest_trio.http.client.deadline_watch import DeadlineWatch
from loadtest_trio.http.client.http1 import BufferStream, ResponseParser, WireRequest, raw_body, wire_request
from loadtest_trio.http.client.httpx_transport import HttpxTransport, httpx_proxy
from loadtest_trio.http.client.pool import ConnectionPool, Origin
from loadtest_trio.http.client.proxy import Proxy, connect_through
from loadtest_trio.http.client.request_timeout import RequestTimeout
from loadtest_trio.http.streams import Stream, TcpStream, connect
from loadtest_trio.http.tls import open_tls

__all__ = ["BufferStream", "LeanTransport", "open_transport", "response_body"]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_IDEMPOTENT = frozenset(("GET", "HEAD", "PUT", "DELETE", "OPTIONS"))
_SCRATCH_BYTES = 65536
MAX_BODY_BYTES = 64 * 1024 * 1024
"""The largest accepted body of a response, unless said otherwise."""


class LeanTransport(httpx.AsyncBaseTransport):
    """A small, fast HTTP/1.1 client transport.

    A response is complete when it is returned. `httpx.Response.aread` returns the body as usual, decoded if
    it has a ``Content-Encoding``; ``extensions["body"]`` is the body as it was sent, in the `bytearray` it
    was received into. That saves httpx's copy, the largest part of a response's cost: see `response_body`.

    Two request extensions are supported, as in httpx's transport: ``timeout`` (a mapping of ``connect``,
    ``read``, ``write``, ``pool`` to seconds) and ``target`` (bytes, the request target).

    Args:
        max_connections: Maximum number of open connections; further requests wait.
        connect_timeout: Seconds to connect, including name look-up and TLS handshake.
        idle_timeout: Seconds without progress in sending or receiving.
        request_timeout: Seconds for the whole request, including the wait for a slot and a retry.
        max_header_bytes: Largest accepted head of a response.
        max_body_bytes: Largest accepted body of a response.
        ssl_context: For HTTPS; None checks certificate and host name against httpx's authorities.
        watch: Enforces the deadlines while it runs; otherwise each request uses a cancel scope.
        proxy: HTTPS servers are connected to through it.
    """

    def __init__(
        self,
        *,
        max_connections: int,
        connect_timeout: float = 5.0,
        idle_timeout: float = 10.0,
        request_timeout: float = 60.0,
        max_header_bytes: int = 65536,
        max_body_bytes: int = MAX_BODY_BYTES,
        ssl_context: ssl.SSLContext | None = None,
        watch: DeadlineWatch | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        self._pool = ConnectionPool(max_connections)
        self._timeouts = {"connect": connect_timeout, "read": idle_timeout, "write": idle_timeout}
        self._request_timeout = request_timeout
        self._max_header_bytes = max_header_bytes
        self._max_body_bytes = max_body_bytes
        self._ssl_context = ssl_context
        self._watch = watch or DeadlineWatch()
        self._proxy = proxy
        self._scratch = memoryview(bytearray(_SCRATCH_BYTES))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its complete response.

        Raises:
            httpx.TransportError: The request failed; the subclass says how.
        """
        origin = _origin(request.url)
        outgoing = await wire_request(request)
        timeout = RequestTimeout(request.extensions.get("timeout", self._timeouts), self._request_timeout)
        await self._pool.acquire(timeout)
        try:
            return _Response(await self._exchange(origin, outgoing, timeout))
        finally:
            self._pool.release()

    async def aclose(self) -> None:
        """Close the idle connections; a busy connection is closed by the task that uses it."""
        self._pool.close()
        await trio.lowlevel.checkpoint()

    async def _exchange(
        self, origin: Origin, request: WireRequest, timeout: RequestTimeout
    ) -> ResponseParser:
        """Use an idle connection; if there is none, or it turns out to be closed, a new one."""
        connection = self._pool.take(origin)
        if connection is not None:
            try:
                return await self._use(connection, origin, request, timeout)
            except (httpx.ReadError, httpx.RemoteProtocolError):
                if connection.answered or (connection.sent and request.method not in _IDEMPOTENT):
                    raise
        connection = await self._connect(origin, timeout)
        return await self._use(connection, origin, request, timeout)

    async def _use(
        self, connection: Connection, origin: Origin, request: WireRequest, timeout: RequestTimeout
    ) -> ResponseParser:
        try:
            if not self._watch.running:
                with timeout.bounded("read"):
                    return await connection.exchange(request, timeout)
            return await self._use_watched(connection, request, timeout)
        finally:
            self._pool.give_back(origin, connection)

    async def _use_watched(
        self, connection: Connection, request: WireRequest, timeout: RequestTimeout
    ) -> ResponseParser:
        self._watch.add(connection, timeout)
        try:
            return await connection.exchange(request, timeout)
        except trio.ClosedResourceError:
            raise timeout.error() from None
        finally:
            self._watch.discard(connection)

    async def _connect(self, origin: Origin, timeout: RequestTimeout) -> Connection:
        self._pool.make_room()
        with timeout.bounded("connect"):
            stream = await self._open(*origin)
        return Connection(stream, self._scratch, self._max_header_bytes, self._max_body_bytes)

    async def _open(self, scheme: str, host: str, port: int) -> Stream:
        try:
            if scheme == "http":
                return TcpStream(await connect(host, port))
            proxy = self._proxy
            sock = await (connect_through(proxy, host, port) if proxy else connect(host, port))
            return await open_tls(sock, self._tls_context(), host)
        # UnicodeError: the host is not a valid name; RuntimeError: no thread is left to look it up in
        except (OSError, UnicodeError, RuntimeError) as error:
            url = f"{scheme}://{authority(host, port)}"
            raise httpx.ConnectError(f"cannot connect to {url}: {_reasons(error)}") from error

    def _tls_context(self) -> ssl.SSLContext:
        """Return the TLS context, created on first use: loading the authorities' certificates takes 20 ms."""
        if self._ssl_context is None:
            self._ssl_context = httpx.create_ssl_context()
        self._ssl_context.set_alpn_protocols(["http/1.1"])
        return self._ssl_context


def _reasons(error: Exception) -> str:
    """Return why connecting failed, which Trio's message does not say; each reason once."""
    cause = error.__cause__
    if not isinstance(cause, BaseExceptionGroup):
        return str(error)
    return "; ".join(dict.fromkeys(getattr(each, "strerror", None) or str(each) for each in cause.exceptions))


class _Response(httpx.Response):
    """An httpx response whose headers are parsed on first access, which S3 needs only for errors.

    Parsing the headers is most of the cost of an httpx response.
    """

    def __init__(self, received: ResponseParser) -> None:
        extensions: dict[str, Any] = {"first_byte_at": received.first_byte_at, "body": received.body}
        super().__init__(received.status, stream=BufferStream(received.body), extensions=extensions)
        self._received = received
        del self.headers  # remove the instance attribute that would hide the property

    @cached_property
    def headers(self) -> httpx.Headers:  # type: ignore[override] # an attribute in the base class
        return httpx.Headers(self._received.headers)


def open_transport(
    kind: Literal["lean", "httpx"],
    *,
    max_connections: int,
    verify: ssl.SSLContext | None = None,
    connect_timeout: float = 5.0,
    idle_timeout: float = 10.0,
    request_timeout: float = 60.0,
    max_body_bytes: int = MAX_BODY_BYTES,
    watch: DeadlineWatch | None = None,
    proxy: Proxy | None = None,
) -> httpx.AsyncBaseTransport:
    """Open the transport that ``S3_TRANSPORT`` names.

    Args:
        kind: ``lean`` for `LeanTransport`, ``httpx`` for `HttpxTransport`.
        max_connections: Maximum number of open connections.
        verify: For HTTPS; None checks certificate and host name against httpx's authorities.
        connect_timeout: Seconds to connect.
        idle_timeout: Seconds without progress in sending or receiving.
        request_timeout: Seconds for the whole request.
        max_body_bytes: Largest accepted body of a response.
        watch: Enforces the deadlines of `LeanTransport`.
        proxy: HTTPS servers are connected to through it.
    """
    if kind == "lean":
        return LeanTransport(
            max_connections=max_connections,
            connect_timeout=connect_timeout,
            idle_timeout=idle_timeout,
            request_timeout=request_timeout,
            max_body_bytes=max_body_bytes,
            ssl_context=verify,
            watch=watch,
            proxy=proxy,
        )
    return HttpxTransport(
        {"connect": connect_timeout, "read": idle_timeout, "write": idle_timeout},
        request_timeout,
        max_body_bytes,
        verify=verify if verify is not None else True,
        proxy=httpx_proxy(proxy) if proxy else None,
        limits=httpx.Limits(max_connections=max_connections, max_keepalive_connections=max_connections),
    )


async def response_body(response: httpx.Response) -> bytes | bytearray:
    """Return the body of a response as it was sent, without a copy where its transport allows that."""
    body: bytes | bytearray | None = response.extensions.get("body")
    return await raw_body(response) if body is None else body


def _origin(url: httpx.URL) -> Origin:
    """Return scheme, host and port.

    Raises:
        httpx.UnsupportedProtocol: The URL is not an http or https URL with a host.
    """
    scheme = url.scheme
    if scheme not in _DEFAULT_PORTS or not url.host:
        raise httpx.UnsupportedProtocol(f"the URL must begin with http:// or https:// and a host, not {url}")
    return scheme, url.host, url.port or _DEFAULT_PORTS[scheme]
