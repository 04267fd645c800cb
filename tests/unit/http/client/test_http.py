"""What both transports must do: the same suite over ours and httpx's, against a real server."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio
from trio.testing import MockClock

from loadtest_trio.http.client.transport import BufferStream, open_transport, response_body

if TYPE_CHECKING:
    from tests.unit.http.client.conftest import Eventually, Open, Peer, Serve, Server

BODY = os.urandom(300_000)


async def fetch(
    transport: httpx.AsyncBaseTransport, url: str, method: str = "GET", content: Any = b"", **options: Any
) -> tuple[httpx.Response, bytes]:
    """Send one request; return the response with its body, got both ways."""
    response = await transport.handle_async_request(httpx.Request(method, url, content=content, **options))
    body = await response_body(response)
    assert await response.aread() == body
    return response, bytes(body)


async def test_body_of_known_length_arrives(serve: Serve, open_any: Open) -> None:
    """A 300 KB body arrives unchanged, however the server cuts it up."""

    async def handler(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(
                b"HTTP/1.1 200 OK\r\nConte", b"nt-Length: 300000\r\n\r", b"\n", BODY[:1], BODY[1:70000]
            )
            await peer.send(BODY[70000:])

    server = await serve(handler)
    transport = open_any()
    for _ in range(3):
        response, body = await fetch(transport, server.url())
        assert (response.status_code, body == BODY) == (200, True)
    assert server.connections == 1


async def test_upload_arrives(serve: Serve, open_any: Open) -> None:
    """A 4 MB body goes out unchanged, from bytes and from a buffer, behind the given headers."""
    big = os.urandom(4_000_000)

    async def handler(peer: Peer) -> None:
        while True:
            head, body = await peer.request()
            ok = body == big and b"PUT /k%20ey?x=1 HTTP/1.1" in head and b"x-amz-date: now" in head
            await peer.answer(b"same" if ok else b"different")

    server = await serve(handler)
    transport = open_any()
    _, answer = await fetch(transport, server.url("/k%20ey?x=1"), "PUT", big, headers={"x-amz-date": "now"})
    assert answer == b"same"
    headers = [(b"Host", b"x"), (b"x-amz-date", b"now"), (b"Content-Length", b"%d" % len(big))]
    request = httpx.Request(
        "PUT",
        server.url("/"),
        headers=headers,
        stream=BufferStream(memoryview(bytearray(big))),
        extensions={"target": b"/k%20ey?x=1"},
    )
    assert await (await transport.handle_async_request(request)).aread() == b"same"


async def test_streamed_upload_arrives(serve: Serve, open_any: Open) -> None:
    """A body from an asynchronous generator of declared length arrives whole."""

    async def handler(peer: Peer) -> None:
        _, body = await peer.request()
        await peer.answer(body)

    async def parts() -> AsyncIterator[bytes]:
        for part in (b"one ", b"two ", b"three"):
            yield part

    server = await serve(handler)
    _, echo = await fetch(open_any(), server.url(), "PUT", parts(), headers={"Content-Length": "13"})
    assert echo == b"one two three"


async def test_chunked_body_arrives(serve: Serve, open_any: Open) -> None:
    """Chunks are joined, extensions and trailers dropped, and the connection is used again."""

    async def handler(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhel", b"lo\r\n")
            await peer.send(b"%x\r\n" % len(BODY), BODY, b"\r\n0\r\nTrailer: t\r\n\r\n")

    server = await serve(handler)
    transport = open_any()
    for _ in range(2):
        assert (await fetch(transport, server.url()))[1] == b"hello" + BODY
    assert server.connections == 1


async def test_trailers_are_no_headers_and_have_an_end(serve: Serve) -> None:
    """What follows a chunked body is dropped, and cut off when it never ends."""

    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.send(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nETag: t\r\n\r\n"
        )
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n")
        while True:
            await peer.send(b"x-trailer: %d\r\n" % 10**50 * 100)

    server = await serve(handler)
    transport = open_transport("lean", max_connections=1)
    response, body = await fetch(transport, server.url())
    assert (body, "etag" in response.headers) == (b"a", False)
    with pytest.raises(httpx.RemoteProtocolError, match="add nothing to its body"):
        await fetch(transport, server.url())


async def test_body_that_ends_with_the_connection_arrives(serve: Serve, open_any: Open) -> None:
    """Without a length the end of the connection ends the body, and the next request gets another one."""

    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.0 200 OK\r\n\r\n", BODY)

    server = await serve(handler)
    transport = open_any()
    for _ in range(2):
        assert (await fetch(transport, server.url()))[1] == BODY
    assert server.connections == 2


@pytest.mark.parametrize(
    ("method", "status"), [("HEAD", b"200 OK"), ("GET", b"204 No Content"), ("GET", b"304 Not Modified")]
)
async def test_responses_without_a_body(serve: Serve, open_any: Open, method: str, status: bytes) -> None:
    """HEAD, 204 and 304 have no body, and the connection serves on."""
    length = b"" if status.startswith(b"204") else b"Content-Length: 12345\r\n"

    async def handler(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(b"HTTP/1.1 ", status, b"\r\nETag: e\r\n", length, b"\r\n")

    server = await serve(handler)
    transport = open_any()
    for _ in range(2):
        response, body = await fetch(transport, server.url(), method)
        assert (response.status_code, response.headers["etag"], body) == (int(status[:3]), "e", b"")
    assert server.connections == 1


async def test_interim_responses_are_skipped(serve: Serve, open_any: Open) -> None:
    """100 and 103 are not the answer, whether they come alone or with it."""

    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await peer.send(
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        )
        await peer.request()
        await peer.answer(b"more")

    server = await serve(handler)
    transport = open_any()
    response, body = await fetch(transport, server.url(), "PUT", b"x", headers={"Expect": "100-continue"})
    assert (response.status_code, body, "link" in response.headers) == (200, b"ok", False)
    assert (await fetch(transport, server.url()))[1] == b"more"


async def test_large_heads_and_repeated_headers_are_accepted(serve: Serve, open_any: Open) -> None:
    """A head of 40 KB is accepted; names keep their values, repeated ones all of them."""

    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.answer(b"x", b"Big: " + b"b" * 40_000, b"Many: 1", b"many: 2", b"Empty:")

    response, _ = await fetch(open_any(), (await serve(handler)).url())
    assert len(response.headers["big"]) == 40_000
    assert response.headers.get_list("Many") == ["1", "2"]
    assert response.headers["empty"] == ""


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"gzip,aws-chunked", b"br", b"unknown"])
async def test_content_encoding_is_ignored(serve: Serve, open_any: Open, coding: bytes) -> None:
    """A body is handed over as it was sent, whatever its Content-Encoding says of it."""

    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.answer(BODY, b"Content-Encoding: " + coding)

    request = httpx.Request("GET", (await serve(handler)).url())
    response = await open_any().handle_async_request(request)
    assert bytes(await response_body(response)) == BODY


async def test_aread_decodes_an_encoded_body(serve: Serve, open_any: Open) -> None:
    """`aread` decodes, as httpx does; the body as it was sent remains at hand."""

    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.answer(gzip.compress(BODY), b"Content-Encoding: gzip")

    request = httpx.Request("GET", (await serve(handler)).url())
    response = await open_any().handle_async_request(request)
    assert gzip.decompress(await response_body(response)) == BODY
    assert await response.aread() == BODY


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x16 a TLS alert",
    ],
)
async def test_broken_response_is_an_error(serve: Serve, open_any: Open, response: bytes) -> None:
    """A response cut short or malformed raises, at once, and the transport works on."""

    async def handler(peer: Peer) -> None:
        head, _ = await peer.request()
        await (peer.answer(b"fine") if b"/good" in head else peer.send(response))

    server = await serve(handler)
    transport = open_any(max_connections=1)
    for _ in range(2):
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await fetch(transport, server.url("/bad"))
    assert (await fetch(transport, server.url("/good")))[1] == b"fine"


async def test_connection_close_is_honoured(serve: Serve, open_any: Open) -> None:
    """After ``Connection: close`` the next request gets a new connection, even if the server lingers."""

    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.answer(b"bye", b"Connection: close")
        await trio.sleep_forever()

    server = await serve(handler)
    transport = open_any()
    for _ in range(3):
        assert (await fetch(transport, server.url(), "POST"))[1] == b"bye"
    assert server.connections == 3


async def test_a_stale_connection_is_replaced(serve: Serve, open_any: Open) -> None:
    """A connection that the server closed while it was idle is noticed before it is used, even for a POST."""
    closed = trio.Event()

    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.answer(b"%d" % peer.number)
        await peer.stream.aclose()
        closed.set()

    server = await serve(handler)
    transport = open_any()
    for expected in (b"1", b"2", b"3"):
        assert (await fetch(transport, server.url(), "POST", b"data"))[1] == expected
        await closed.wait()
        closed = trio.Event()


async def test_refused_connection_is_a_connect_error(open_any: Open) -> None:
    """A refused connection is a ConnectError that names the address, and leaves the slot free."""
    transport = open_any(max_connections=1)
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    for _ in range(3):
        with pytest.raises(httpx.ConnectError):
            await fetch(transport, f"http://127.0.0.1:{port}/")


async def test_reason_of_a_failed_connect_is_told() -> None:
    """Of all addresses of a name, not only that all of them failed."""
    transport = open_transport("lean", max_connections=1)
    with pytest.raises(httpx.ConnectError, match=r"127\.0\.0\.1:1: .*[Rr]efused"):
        await fetch(transport, "http://127.0.0.1:1/")


async def test_name_that_no_thread_can_look_up_is_a_connect_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives no thread, S3 is out; the request is not at fault."""

    def no_thread(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(trio.to_thread, "run_sync", no_thread)
    monkeypatch.setattr("trio._socket.trio.to_thread.run_sync", no_thread)
    with pytest.raises(httpx.ConnectError, match="can't start new thread"):
        await fetch(open_transport("lean", max_connections=1), "http://localhost:1/")


async def test_unknown_host_is_a_connect_error(open_any: Open) -> None:
    """A name that does not resolve is a ConnectError."""
    with pytest.raises(httpx.ConnectError):
        await fetch(open_any(), "http://no-such-host.invalid/")


async def test_other_schemes_are_rejected(open_any: Open) -> None:
    """Only http and https."""
    with pytest.raises(httpx.UnsupportedProtocol):
        await fetch(open_any(), "ftp://127.0.0.1/")


async def test_host_name_is_resolved(serve: Serve, open_any: Open) -> None:
    """``localhost`` leads to the server, with the name in the Host header."""

    async def handler(peer: Peer) -> None:
        head, _ = await peer.request()
        await peer.answer(head)

    server = await serve(handler)
    _, head = await fetch(open_any(), server.url("/", host="localhost"))
    assert re.search(rb"(?i)\r\nhost: localhost:%d\b" % server.port, head)


async def test_server_that_never_answers_times_out(
    serve: Serve, open_any: Open, virtual_clock: MockClock
) -> None:
    """ReadTimeout after the idle time, or the request's own; the slot is free again."""

    async def handler(peer: Peer) -> None:
        await peer.request()
        await trio.sleep_forever()

    server = await serve(handler)
    transport = open_any(max_connections=1, idle_timeout=10)
    for extensions, seconds in (({}, 10), ({"timeout": {"read": 3, "connect": 5}}, 3)):
        started = trio.current_time()
        with pytest.raises(httpx.ReadTimeout):
            await fetch(transport, server.url(), extensions=extensions)
        assert seconds <= trio.current_time() - started <= 1.1 * seconds + 0.1


async def test_stalled_body_times_out(serve: Serve, open_any: Open, virtual_clock: MockClock) -> None:
    """A connection that dies in the middle of a body, unseen, is a ReadTimeout after the idle time."""

    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 500)
        await trio.sleep_forever()

    server = await serve(handler)
    started = trio.current_time()
    with pytest.raises(httpx.ReadTimeout):
        await fetch(open_any(idle_timeout=10), server.url())
    assert 10 <= trio.current_time() - started <= 11.1


async def trickle(peer: Peer) -> None:
    """Answer a byte every five seconds."""
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n")
    for _ in range(12):
        await trio.sleep(5)
        await peer.send(b"x")


async def test_slow_body_is_not_idle(serve: Serve, open_any: Open, virtual_clock: MockClock) -> None:
    """Bytes that keep moving reset the idle time."""
    server = await serve(trickle)
    assert (await fetch(open_any(idle_timeout=10, request_timeout=300), server.url()))[1] == b"x" * 12


async def test_slow_body_ends_at_the_request_timeout(
    serve: Serve, open_any: Open, virtual_clock: MockClock
) -> None:
    """The whole request has a limit too."""
    server = await serve(trickle)
    started = trio.current_time()
    with pytest.raises(httpx.ReadTimeout):
        await fetch(open_any(idle_timeout=10, request_timeout=30), server.url())
    assert 30 <= trio.current_time() - started < 31


async def test_stalled_upload_times_out(serve: Serve, open_any: Open, virtual_clock: MockClock) -> None:
    """An upload nobody reads is a WriteTimeout."""

    async def handler(peer: Peer) -> None:
        await trio.sleep_forever()

    server = await serve(handler)
    with pytest.raises(httpx.WriteTimeout):
        await fetch(open_any(idle_timeout=10), server.url(), "PUT", bytes(64 * 1024 * 1024))


async def test_waiting_for_a_slot_times_out(serve: Serve, open_any: Open, virtual_clock: MockClock) -> None:
    """With every slot busy a request waits, and gives up after its ``pool`` timeout."""

    async def handler(peer: Peer) -> None:
        while True:
            await peer.request()
            await trio.sleep(8)
            await peer.answer(b"late")

    server = await serve(handler)
    transport = open_any(max_connections=1, idle_timeout=100)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fetch, transport, server.url())
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(httpx.PoolTimeout):
            await fetch(transport, server.url(), extensions={"timeout": {"pool": 2, "read": 100}})
        assert (await fetch(transport, server.url()))[1] == b"late"
    assert server.connections == 1


async def test_early_response_to_an_upload_is_read(serve: Serve, open_any: Open) -> None:
    """A server that answers and closes without reading the upload is heard."""

    async def handler(peer: Peer) -> None:
        await peer.stream.receive_some(1000)
        await peer.answer(b"too big", b"Connection: close", status=b"413 Too Large")
        await peer.tcp.send_eof()
        while await peer.stream.receive_some(1_000_000):
            pass

    response, body = await fetch(open_any(), (await serve(handler)).url(), "PUT", bytes(8_000_000))
    assert (response.status_code, body) == (413, b"too big")


@pytest.mark.parametrize(
    "headers",
    [{"X": "a\r\nEvil: b"}, {"X": "a\nEvil: b"}, {"X": "a\0b"}],
)
async def test_line_breaks_in_headers_are_rejected(
    serve: Serve, open_any: Open, headers: dict[str, str]
) -> None:
    """A header cannot smuggle another one."""
    server = await serve(expect_nobody)
    with pytest.raises(httpx.LocalProtocolError):
        await fetch(open_any(), server.url(), headers=headers)


async def expect_nobody(peer: Peer) -> None:
    await peer.request()
    raise AssertionError("nothing may be sent")


async def test_tasks_share_the_slots(serve: Serve, open_any: Open) -> None:
    """Fifty tasks get each their own answer over no more than eight connections."""

    async def handler(peer: Peer) -> None:
        while True:
            head, _ = await peer.request()
            await trio.sleep(0.001)
            await peer.answer(head.split()[1] + BODY[:20_000])

    server = await serve(handler)
    transport = open_any(max_connections=8)

    async def client(number: int) -> None:
        for turn in range(4):
            _, body = await fetch(transport, server.url(f"/{number}/{turn}"))
            assert body == f"/{number}/{turn}".encode() + BODY[:20_000]

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(client, number)
    assert server.open_at_most <= 8


async def test_aclose_closes_all_connections(
    serve: Serve, open_any: Open, open_fds: Callable[[], int], eventually: Eventually
) -> None:
    """Closing the transport closes every connection: as many file descriptors as before."""

    async def handler(peer: Peer) -> None:
        while True:
            await peer.request()
            await trio.sleep(0.001)
            await peer.answer(b"x")

    server = await serve(handler)
    await fetch_many(open_any(), server)  # whatever is opened once, such as DNS threads
    await eventually(lambda: server.open_now <= 4)
    before = open_fds()
    transport = open_any(max_connections=8)
    await fetch_many(transport, server)
    assert open_fds() > before
    await transport.aclose()
    await eventually(lambda: open_fds() <= before)


async def fetch_many(transport: httpx.AsyncBaseTransport, server: Server) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(fetch, transport, server.url())
