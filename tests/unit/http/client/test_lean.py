"""What only our transport does, or does better: limits, retries, and refusals."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio

from loadtest_trio.http.client.connection import Connection
from loadtest_trio.http.client.http1 import Buffer, WireRequest
from loadtest_trio.http.client.request_timeout import RequestTimeout
from loadtest_trio.http.client.transport import BufferStream, response_body

if TYPE_CHECKING:
    from tests.unit.http.client.conftest import Eventually, Open, Peer, Serve

# A socket that is dropped instead of closed fails the test in which it is collected.
pytestmark = pytest.mark.filterwarnings("error::ResourceWarning")

BODY = os.urandom(300_000)


async def fetch(
    transport: httpx.AsyncBaseTransport, url: str, method: str = "GET", content: Any = b"", **options: Any
) -> tuple[httpx.Response, bytes]:
    """Send one request; return the response with its body."""
    response = await transport.handle_async_request(httpx.Request(method, url, content=content, **options))
    return response, bytes(await response_body(response))


@pytest.mark.parametrize("surplus", [b"HTTP/1.1 500 Evil\r\nContent-Length: 0\r\n\r\n", b"gar", b"\0"])
async def test_bytes_after_a_response_end_the_connection(
    serve: Serve, open_with: Open, surplus: bytes
) -> None:
    """What comes with a response but after it is never taken for the next one."""

    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + surplus)
        await trio.sleep_forever()

    server = await serve(handler)
    transport = open_with()
    for _ in range(3):
        response, body = await fetch(transport, server.url())
        assert (response.status_code, body) == (200, b"ok")
    assert server.connections == 3


@pytest.mark.parametrize("framing", [b"Content-Length: 4", b"Transfer-Encoding: chunked"])
async def test_body_after_a_head_request_ends_the_connection(
    serve: Serve, open_with: Open, framing: bytes
) -> None:
    """A server that sends a body in answer to HEAD does not get its bytes taken for the next response."""

    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\nbody")
        await trio.sleep_forever()

    server = await serve(handler)
    transport = open_with()
    for _ in range(2):
        response, body = await fetch(transport, server.url(), "HEAD")
        assert (response.status_code, body) == (200, b"")
    assert server.connections == 2


async def test_wrong_content_length_is_rejected(serve: Serve, open_with: Open) -> None:
    """A body longer than it says does not go out."""
    server = await serve(expect_nobody)
    with pytest.raises(httpx.LocalProtocolError):
        await fetch(open_with(), server.url(), "PUT", b"four", headers={"Content-Length": "3"})


async def expect_nobody(peer: Peer) -> None:
    await peer.request()
    raise AssertionError("nothing may be sent")


async def test_the_body_is_the_buffer_it_was_received_into(serve: Serve, open_with: Open) -> None:
    """``extensions["body"]`` is one bytearray: nothing was copied, and it may be edited in place."""

    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.answer(BODY)

    response = await open_with().handle_async_request(httpx.Request("GET", (await serve(handler)).url()))
    body = response.extensions["body"]
    assert isinstance(body, bytearray)
    assert body is await response_body(response)
    body += b"more"  # no view of it is left open
    assert body == BODY + b"more"


@pytest.mark.parametrize(
    "length", [b"Content-Length: 100000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n186a0\r\n", b"\r\n"]
)
async def test_body_over_the_limit_is_rejected(serve: Serve, open_with: Open, length: bytes) -> None:
    """However it is framed, a body over the limit is an error, and the connection is closed."""

    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n", length, BODY[:100_000])
        await trio.sleep_forever()

    server = await serve(handler)
    transport = open_with(max_body_bytes=99_999, max_connections=1)
    for _ in range(2):
        with pytest.raises(httpx.RemoteProtocolError, match="over 99999 bytes"):
            await fetch(transport, server.url())
    assert server.connections == 2


@pytest.mark.parametrize(
    "start", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"]
)
async def test_head_over_the_limit_is_rejected(serve: Serve, open_with: Open, start: bytes) -> None:
    """An endless head ends at the limit."""

    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.send(start)
        while True:
            await peer.send(b"X: " + b"x" * 1000 + b"\r\n")

    server = await serve(handler)
    with pytest.raises(httpx.RemoteProtocolError, match="over 20000 bytes"):
        await fetch(open_with(max_header_bytes=20_000), server.url())


async def test_endless_interim_responses_are_rejected(serve: Serve, open_with: Open) -> None:
    """A server cannot keep a request alive with 1xx responses."""

    async def handler(peer: Peer) -> None:
        await peer.request()
        while True:
            await peer.send(b"HTTP/1.1 102 Processing\r\n\r\n")

    with pytest.raises(httpx.RemoteProtocolError, match="over 65536 bytes"):
        await fetch(open_with(), (await serve(handler)).url())


async def test_unexpected_protocol_switch_is_rejected(serve: Serve, open_with: Open) -> None:
    """101 is an error: nobody asked."""

    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nxyz")

    with pytest.raises(httpx.RemoteProtocolError, match="switched protocols"):
        await fetch(open_with(), (await serve(handler)).url())


@pytest.mark.parametrize(
    ("method", "times"), [("GET", 2), ("HEAD", 2), ("PUT", 2), ("DELETE", 2), ("POST", 1)]
)
async def test_request_on_a_closing_connection_is_retried_once(
    serve: Serve, open_with: Open, method: str, times: int
) -> None:
    """A reused connection that dies under a request: sent again if that does no harm, with its whole body."""
    seen = []

    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.answer(b"")
        seen.append(await peer.request())
        if peer.number == 2:
            await peer.answer(b"")

    async def second(peer: Peer) -> None:
        if peer.number == 1:
            await handler(peer)
        else:
            seen.append(await peer.request())
            await peer.answer(b"")

    server = await serve(second)
    transport = open_with(max_connections=1)
    await fetch(transport, server.url())
    if times == 1:
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await fetch(transport, server.url(), method, b"body")
    else:
        assert (await fetch(transport, server.url(), method, b"body"))[0].status_code == 200
    assert [body for _, body in seen] == [b"body"] * times


async def test_request_on_a_new_connection_is_not_retried(serve: Serve, open_with: Open) -> None:
    """A server that hangs up at once is an error after one attempt, and after two behind a reused one."""

    async def handler(peer: Peer) -> None:
        await peer.request()
        if peer.number == 2:
            await peer.answer(b"")
            await peer.request()

    server = await serve(handler)
    transport = open_with()
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await fetch(transport, server.url())
    assert server.connections == 1
    await fetch(transport, server.url())
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await fetch(transport, server.url())
    assert server.connections == 3


async def test_half_answered_request_is_not_retried(serve: Serve, open_with: Open) -> None:
    """Once a byte of the answer has come, a lost connection is an error even for a GET."""

    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.answer(b"")
        await peer.request()
        await peer.send(b"HTTP/1.1 2")

    server = await serve(handler)
    transport = open_with()
    await fetch(transport, server.url())
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await fetch(transport, server.url())
    assert server.connections == 1


async def test_unexpected_bytes_on_an_idle_connection_close_it(serve: Serve, open_with: Open) -> None:
    """Bytes that come while the connection is idle make it unusable."""
    sent = trio.Event()

    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.answer(b"%d" % peer.number)
        await peer.send(b"HTTP/1.1 500 Evil\r\nContent-Length: 0\r\n\r\n")
        sent.set()
        await trio.sleep_forever()

    server = await serve(handler)
    transport = open_with()
    assert (await fetch(transport, server.url()))[1] == b"1"
    await sent.wait()
    assert (await fetch(transport, server.url()))[1] == b"2"


async def test_the_newest_connection_is_used_first(serve: Serve, open_with: Open) -> None:
    """Last in, first out: after a burst, single requests stay on one connection."""

    async def handler(peer: Peer) -> None:
        while True:
            await peer.request()
            await trio.sleep(0.01)
            await peer.answer(b"%d" % peer.number)

    server = await serve(handler)
    transport = open_with()
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(fetch, transport, server.url())
    assert server.connections == 4
    assert len({(await fetch(transport, server.url()))[1] for _ in range(5)}) == 1


async def test_idle_connections_to_other_origins_make_room(serve: Serve, open_with: Open) -> None:
    """Several origins share the slots: there are never more connections than slots."""

    async def handler(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.answer(b"")

    servers = [await serve(handler) for _ in range(5)]
    transport = open_with(max_connections=2)
    for server in servers * 2:
        await fetch(transport, server.url())
        await trio.testing.wait_all_tasks_blocked(0.005)
        assert sum(each.open_now for each in servers) <= 2


async def test_synchronous_body_is_rejected(open_with: Open) -> None:
    """A synchronous iterable, as httpx takes a bytearray for, is an error with a hint, not a hang."""
    request = httpx.Request("PUT", "http://127.0.0.1:1/", content=[b"abc"])
    with pytest.raises(httpx.LocalProtocolError, match="asynchronous"):
        await open_with().handle_async_request(request)


async def test_missing_headers_are_added(serve: Serve, open_with: Open) -> None:
    """A request made with ``stream=``, to which httpx adds nothing, still gets Host and Content-Length."""

    async def handler(peer: Peer) -> None:
        head, body = await peer.request()
        await peer.answer(head + body)

    server = await serve(handler)
    request = httpx.Request("PUT", server.url(), stream=BufferStream(b"abc"))
    answer = await response_body(await open_with().handle_async_request(request))
    assert answer == b"PUT / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 3abc" % server.port


@pytest.mark.parametrize("target", [b"/a b", b"/a\r\nEvil: b", b"/ HTTP/1.1\r\n"])
async def test_target_cannot_smuggle_a_request(open_with: Open, target: bytes) -> None:
    """A blank or a line break in the target is refused."""
    request = httpx.Request("GET", "http://127.0.0.1:1/", extensions={"target": target})
    with pytest.raises(httpx.LocalProtocolError):
        await open_with().handle_async_request(request)


async def test_closed_transport_rejects_requests(
    serve: Serve, open_with: Open, eventually: Eventually
) -> None:
    """After aclose a request is refused, and one under way ends normally without leaving a connection."""
    started, go_on = trio.Event(), trio.Event()

    async def handler(peer: Peer) -> None:
        await peer.request()
        started.set()
        await go_on.wait()
        await peer.answer(b"done")
        await peer.request()

    server = await serve(handler)
    transport = open_with()

    async def under_way() -> None:
        assert (await fetch(transport, server.url()))[1] == b"done"

    async with trio.open_nursery() as nursery:
        nursery.start_soon(under_way)
        await started.wait()
        await transport.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await fetch(transport, server.url())
        go_on.set()
    await eventually(lambda: server.open_now == 0)


class HalfDeaf:
    """A stream that breaks while the request goes out, and has the answer nevertheless."""

    bytes_sent = 0

    def __init__(self, answer: bytes) -> None:
        self.answer = answer

    async def send(self, head: bytes, body: Buffer, timeout: RequestTimeout) -> None:
        raise BrokenPipeError

    async def wait_readable(self) -> None:
        await trio.lowlevel.checkpoint()

    def receive_nowait(self, into: memoryview) -> int:
        into[: len(self.answer)] = self.answer
        return len(self.answer)

    def fileno(self) -> int:
        return -1

    def wake(self) -> None:
        """Nobody waits."""

    def close(self) -> None:
        """Nothing to close."""


async def test_half_sent_request_ends_the_connection() -> None:
    """The answer to a request that did not go out whole counts, but the connection is not used again."""
    stream = HalfDeaf(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
    connection = Connection(stream, memoryview(bytearray(65536)), 1000, 1000)
    response = await connection.exchange(WireRequest("PUT", b"head", b"body"), RequestTimeout({}, 10))
    assert (response.status, response.keep_alive) == (413, True)
    assert not connection.reusable
