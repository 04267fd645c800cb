"""HTTPS, over both transports where both can."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio
import trustme
from trio.testing import MockClock

from loadtest_trio.http.client.transport import response_body

if TYPE_CHECKING:
    from tests.unit.http.client.conftest import Eventually, Kind, Open, Peer, Serve

# A socket that is dropped instead of closed fails the test in which it is collected.
pytestmark = pytest.mark.filterwarnings("error::ResourceWarning")

BODY = os.urandom(1_000_000)


async def fetch(
    transport: httpx.AsyncBaseTransport, url: str, method: str = "GET", content: Any = b"", **options: Any
) -> tuple[httpx.Response, bytes]:
    """Send one request; return the response with its body."""
    response = await transport.handle_async_request(httpx.Request(method, url, content=content, **options))
    return response, bytes(await response_body(response))


def tls_option(kind: Kind, context: ssl.SSLContext) -> dict[str, Any]:
    """Name the option for a context: the factory's for httpx's transport, our class's own."""
    return {"ssl_context": context} if kind != "httpx" else {"verify": context}


async def echo(peer: Peer) -> None:
    """Answer each request with its body."""
    while True:
        _, body = await peer.request()
        await peer.answer(body)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_bodies_go_both_ways(
    serve: Serve,
    open_any: Open,
    kind: Kind,
    server_tls: ssl.SSLContext,
    client_tls: ssl.SSLContext,
    version: ssl.TLSVersion,
) -> None:
    """1 MB up and down on one connection: session tickets are not taken for garbage."""
    client_tls.minimum_version = client_tls.maximum_version = version
    server = await serve(echo, server_tls)
    transport = open_any(**tls_option(kind, client_tls))
    for size in (0, 1, 16_384, 1_000_000):
        response, body = await fetch(transport, server.url(), "PUT", BODY[:size])
        assert (response.status_code, body == BODY[:size]) == (200, True)
    assert server.connections == 1


async def test_host_name_is_verified(
    serve: Serve, open_any: Open, kind: Kind, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """The right name passes; a certificate for another host is refused with the reason."""
    server = await serve(echo, server_tls)
    transport = open_any(**tls_option(kind, client_tls))
    assert (await fetch(transport, server.url(host="localhost"), "PUT", b"x"))[1] == b"x"

    other = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority = trustme.CA()
    authority.issue_cert("example.org").configure_cert(other)
    authority.configure_trust(client_tls)
    server = await serve(echo, other)
    with pytest.raises(
        httpx.ConnectError, match=r"not valid for '127\.0\.0\.1'" if kind != "httpx" else None
    ):
        await fetch(transport, server.url())


async def test_unknown_authority_is_rejected(
    serve: Serve, open_any: Open, kind: Kind, server_tls: ssl.SSLContext
) -> None:
    """Verification is on without being asked for, against the public authorities."""
    server = await serve(echo, server_tls)
    transport = open_any(max_connections=1)
    for _ in range(2):
        with pytest.raises(
            httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED" if kind != "httpx" else None
        ):
            await fetch(transport, server.url())


async def test_plain_http_server_is_a_connect_error(
    serve: Serve, open_any: Open, kind: Kind, client_tls: ssl.SSLContext
) -> None:
    """A server that speaks plain HTTP on the port is a ConnectError."""

    async def handler(peer: Peer) -> None:
        await peer.stream.receive_some(1)
        await peer.answer(b"what?", status=b"400 Bad Request")

    server = await serve(handler)
    with pytest.raises(httpx.ConnectError):
        await fetch(open_any(**tls_option(kind, client_tls)), f"https://127.0.0.1:{server.port}/")


async def test_silent_server_is_a_connect_timeout(
    serve: Serve, open_any: Open, kind: Kind, client_tls: ssl.SSLContext, virtual_clock: MockClock
) -> None:
    """The handshake belongs to the connect timeout."""

    async def handler(peer: Peer) -> None:
        await trio.sleep_forever()

    server = await serve(handler)
    started = trio.current_time()
    with pytest.raises(httpx.ConnectTimeout):
        await fetch(
            open_any(connect_timeout=5, **tls_option(kind, client_tls)), f"https://127.0.0.1:{server.port}/"
        )
    assert 5 <= trio.current_time() - started < 6


@pytest.mark.parametrize("politely", [True, False])
async def test_a_stale_connection_is_replaced(
    serve: Serve,
    open_any: Open,
    kind: Kind,
    server_tls: ssl.SSLContext,
    client_tls: ssl.SSLContext,
    politely: bool,
    eventually: Eventually,
) -> None:
    """A connection closed while idle, with close_notify or without, is noticed before it is used."""
    closed = []

    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.answer(b"%d" % peer.number)
        await (peer.stream if politely else peer.tcp).aclose()
        closed.append(peer.number)

    server = await serve(handler, server_tls)
    transport = open_any(**tls_option(kind, client_tls))
    for number in (1, 2, 3):
        assert (await fetch(transport, server.url(), "POST", b"data"))[1] == b"%d" % number
        await eventually(lambda: bool(closed) and closed[-1] == server.connections)


async def test_truncated_tls_stream_is_not_the_end_of_a_body(
    serve: Serve, open_with: Open, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """Without a length only close_notify ends a body: a cut connection is an error."""

    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n", BODY[:50_000])
        await (peer.stream if peer.number == 1 else peer.tcp).aclose()

    server = await serve(handler, server_tls)
    transport = open_with(ssl_context=client_tls)
    assert (await fetch(transport, server.url()))[1] == BODY[:50_000]
    with pytest.raises(httpx.ReadError):
        await fetch(transport, server.url())


async def test_http11_is_negotiated(
    serve: Serve, open_any: Open, kind: Kind, authority: trustme.CA, client_tls: ssl.SSLContext
) -> None:
    """ALPN offers http/1.1 and nothing else, to a server that would rather speak h2."""
    spoken = []
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    context.set_alpn_protocols(["h2", "http/1.1"])

    async def handler(peer: Peer) -> None:
        await peer.request()
        assert peer.tls is not None
        spoken.append(peer.tls.selected_alpn_protocol())
        await peer.answer(b"x")

    server = await serve(handler, context)
    await fetch(open_any(**tls_option(kind, client_tls)), server.url())
    assert spoken == ["http/1.1"]
