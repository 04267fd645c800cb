"""Proxies: which one the environment names for a server, and the tunnel through it."""

from __future__ import annotations

import re
import ssl
from functools import partial
from typing import TYPE_CHECKING
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined] # in no stub

import attrs
import httpx
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from loadtest_trio.http.client.proxy import Proxy, ProxySettingError, find_proxy, is_excepted
from loadtest_trio.http.client.transport import response_body

if TYPE_CHECKING:
    from tests.unit.http.client.conftest import Kind, Open, Peer, Serve

S3 = httpx.URL("https://bkt.s3.eu-west-1.amazonaws.com/")


@pytest.mark.parametrize(
    ("environ", "url", "proxy"),
    [
        ({}, S3, None),
        ({"HTTPS_PROXY": ""}, S3, None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, S3, Proxy("proxy", 3128)),
        ({"https_proxy": "http://lower:1", "HTTPS_PROXY": "http://upper:1"}, S3, Proxy("lower", 1)),
        ({"ALL_PROXY": "http://all:1"}, S3, Proxy("all", 1)),
        ({"HTTPS_PROXY": "proxy:3128"}, S3, Proxy("proxy", 3128)),
        ({"HTTPS_PROXY": "http://proxy"}, S3, Proxy("proxy", 80)),
        ({"HTTPS_PROXY": "http://[::1]:3128/"}, S3, Proxy("::1", 3128)),
        ({"HTTPS_PROXY": "http://me:p%40ss@proxy:1"}, S3, Proxy("proxy", 1, "Basic bWU6cEBzcw==")),
        ({"HTTPS_PROXY": "http://proxy:1"}, httpx.URL("http://127.0.0.1:8333"), None),
        ({"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": ".amazonaws.com"}, S3, None),
        ({"HTTPS_PROXY": "http://proxy:1", "no_proxy": "*"}, S3, None),
    ],
)
def test_proxy_is_the_one_of_the_environment(
    environ: dict[str, str], url: httpx.URL, proxy: Proxy | None
) -> None:
    """HTTPS_PROXY, or ALL_PROXY, unless NO_PROXY names the server; plain HTTP goes direct."""
    assert find_proxy(environ, url) == proxy


@pytest.mark.parametrize(
    "value", ["https://me:hidden@proxy:1", "socks5://proxy:1", "http://", "http://h:port", "http://xn--zz:1"]
)
def test_proxy_that_cannot_be_used_is_an_error(value: str) -> None:
    """It is named and not ignored, and its password is not shown."""
    with pytest.raises(ProxySettingError, match=r"^HTTPS_PROXY must be") as caught:
        find_proxy({"HTTPS_PROXY": value}, S3)
    assert "hidden" not in str(caught.value)


def test_repr_hides_the_password() -> None:
    """The credentials of a proxy are not printed."""
    assert "bWU6" not in f"{Proxy('proxy', 1, 'Basic bWU6cEBzcw==')!r}"


@pytest.mark.parametrize(
    ("host", "port", "excepted", "verdict"),
    [
        ("s3.example", 443, "s3.example", True),
        ("S3.Example.", 443, " s3.EXAMPLE ", True),
        ("b.s3.example", 443, "s3.example", True),
        ("b.s3.example", 443, ".s3.example,other", True),
        ("b.s3.example", 443, "*.s3.example", True),
        ("bs3.example", 443, "s3.example", False),
        ("s3.example", 443, "s3.example:443", True),
        ("s3.example", 443, "s3.example:9000", False),
        ("s3.example", 443, "", False),
        ("s3.example", 443, " , .", False),
        ("10.1.2.3", 443, "10.0.0.0/8", True),
        ("10.1.2.3", 443, "10.1.2.3:443", True),
        ("11.1.2.3", 443, "10.0.0.0/8", False),
        ("::1", 443, "::1", True),
        ("::1", 443, "[::1]:443", True),
        ("fd00::5", 443, "fd00::/8,10.0.0.0/8", True),
    ],
)
def test_exceptions(host: str, port: int, excepted: str, verdict: bool) -> None:
    """NO_PROXY holds names with their subdomains, addresses and networks, with or without a port."""
    assert is_excepted(host, port, excepted) is verdict


labels = st.text("ab", min_size=1, max_size=2)
hosts = st.lists(labels, min_size=1, max_size=3).map(".".join)


@given(hosts, st.lists(hosts | hosts.map(".{}".format), max_size=3).map(",".join))
def test_names_are_excepted_as_in_the_standard_library(host: str, excepted: str) -> None:
    """For names, the verdict is urllib's."""
    theirs = bool(proxy_bypass_environment(host, {"no": excepted}))
    assert is_excepted(host, 443, excepted) is theirs


@attrs.define
class Forwarder:
    """A proxy: what it was asked, and where it leads instead of there."""

    port: int
    answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n"
    asked: list[bytes] = attrs.field(factory=list)

    async def handle(self, peer: Peer) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += await peer.stream.receive_some()
        self.asked.append(head)
        await peer.stream.send_all(self.answer)
        if not self.answer.startswith(b"HTTP/1.1 200"):
            return
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as onward, trio.open_nursery() as both:
            both.start_soon(self._copy, peer.stream, onward)
            await self._copy(onward, peer.stream)
            both.cancel_scope.cancel()

    async def _copy(self, source: trio.abc.Stream, target: trio.abc.Stream) -> None:
        while data := await source.receive_some():
            await target.send_all(data)


async def echo(peer: Peer) -> None:
    """Answer each request with its body."""
    while True:
        _, body = await peer.request()
        await peer.answer(body)


async def test_requests_pass_through_the_tunnel(
    serve: Serve, open_any: Open, kind: Kind, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """TLS is with the server, whose name is asked of the proxy; the connection is kept alive."""
    server = await serve(echo, server_tls)
    forwarder = Forwarder(server.port)
    front = await serve(forwarder.handle)
    verify = {"verify" if kind == "httpx" else "ssl_context": client_tls}
    transport = open_any(proxy=Proxy("127.0.0.1", front.port, "Basic abc"), **verify)
    for body in (b"one", b"x" * 500_000):
        request = httpx.Request("PUT", f"https://localhost:{server.port}/", content=body)
        assert await response_body(await transport.handle_async_request(request)) == body
    assert len(forwarder.asked) == 1
    assert forwarder.asked[0].startswith(f"CONNECT localhost:{server.port} HTTP/1.1\r\n".encode())
    assert b"proxy-authorization: basic abc" in forwarder.asked[0].lower()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
        b"SSH-2.0\r\n\r\n",
        b"",
    ],
)
async def test_refused_tunnel_is_a_proxy_error(serve: Serve, open_with: Open, answer: bytes) -> None:
    """The error names the proxy and its answer."""
    forwarder = Forwarder(1, answer)
    front = await serve(forwarder.handle)
    transport = open_with(proxy=Proxy("127.0.0.1", front.port))
    with pytest.raises(httpx.ProxyError, match=re.escape(f"the proxy 127.0.0.1:{front.port}")):
        await transport.handle_async_request(httpx.Request("GET", "https://s3.example/"))


async def test_absent_proxy_is_a_connect_error(open_with: Open) -> None:
    """Nobody listens at the proxy."""
    transport = open_with(proxy=Proxy("127.0.0.1", 1))
    with pytest.raises(httpx.ConnectError):
        await transport.handle_async_request(httpx.Request("GET", "https://s3.example/"))


async def test_cancelled_tunnel_leaks_nothing(serve: Serve, open_with: Open, open_fds: partial[int]) -> None:
    """A proxy that never answers is a connect timeout, and its socket is closed."""

    async def silent(peer: Peer) -> None:
        await trio.sleep_forever()

    front = await serve(silent)
    transport = open_with(proxy=Proxy("127.0.0.1", front.port), connect_timeout=0.2)
    before = open_fds()
    with pytest.raises(httpx.ConnectTimeout):
        await transport.handle_async_request(httpx.Request("GET", "https://s3.example/"))
    assert open_fds() <= before + 1  # the server's end


async def test_plain_http_goes_direct(serve: Serve, open_with: Open) -> None:
    """Only HTTPS is tunnelled."""
    server = await serve(echo)
    transport = open_with(proxy=Proxy("127.0.0.1", 1))
    request = httpx.Request("PUT", server.url(), content=b"body")
    assert await response_body(await transport.handle_async_request(request)) == b"body"
