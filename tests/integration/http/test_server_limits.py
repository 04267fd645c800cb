"""What a server grants a client, in bytes, seconds and connections."""

from __future__ import annotations

import errno
import json
from typing import TYPE_CHECKING

import h11
import pytest
import trio
import trio.testing

from loadtest_trio.http.server import listening
from tests.support.raw_client import RawClient

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.integration.http.conftest import DemoApp, Serving

HEAD = b" HTTP/1.1\r\nHost: test\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
# Deadlines are looked at every quarter of a second, and are counted from the next look.
LATENESS = 2 * 0.25


async def refused(client: RawClient, status: int) -> None:
    """Read an answer that refuses, and the end of the connection."""
    answer = await client.answer()
    assert answer.status == status
    assert answer.headers[b"connection"] == b"close"
    assert await client.is_closed()


async def test_long_head_is_refused(serve: Serving) -> None:
    """A head beyond the limit is answered 431, whether it ends or not."""
    server = await serve(head_bytes=2000)
    async with await RawClient.connect(server.port) as client:
        await client.send(b"GET /" + HEAD, b"X: " + b"x" * 3000)
        await refused(client, 431)


@pytest.mark.parametrize("size", [2000, 2001, 30_000])
async def test_limit_of_a_head_is_exact(serve_lean: Serving, size: int) -> None:
    """A head of the limit's size is served, one byte more is not."""
    head = b"GET /" + HEAD + b"X: "
    head += b"x" * (size - len(head) - 4) + b"\r\n\r\n"
    async with await RawClient.connect((await serve_lean(head_bytes=2000)).port) as client:
        await client.send(head)
        assert (await client.answer()).status == (200 if size == 2000 else 431)


async def test_many_headers_are_refused(serve_lean: Serving) -> None:
    """So are more headers than anybody needs."""
    async with await RawClient.connect((await serve_lean(headers=10)).port) as client:
        await client.send(b"GET /" + HEAD + b"X: y\r\n" * 10 + b"\r\n")
        await refused(client, 431)


async def test_long_body_is_refused_by_its_length(serve: Serving, demo: DemoApp) -> None:
    """A body that says that it is too long is answered 413 before it comes."""
    async with await RawClient.connect((await serve(body_bytes=1000)).port) as client:
        await client.send(b"POST /echo" + HEAD + b"Content-Length: 1001\r\n\r\n" + bytes(1001))
        answer = await client.answer()
        assert (answer.status, json.loads(answer.body)["status"]) == (413, 413)
        assert answer.headers[b"connection"] == b"close"
        assert await client.is_closed()
    assert demo.scopes == []


async def test_long_body_is_refused_by_its_chunks(serve: Serving, demo: DemoApp) -> None:
    """A body in chunks is answered 413 when it passes the limit; the application is told of a disconnect."""
    async with await RawClient.connect((await serve(body_bytes=1000)).port) as client:
        chunk = b"1f4\r\n" + bytes(500) + b"\r\n"
        await client.send(b"POST /echo" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n", chunk, chunk, chunk)
        await client.send(b"0\r\n\r\n")
        await refused(client, 413)
    assert demo.left.is_set()
    assert demo.errors == []


@pytest.mark.parametrize("framing", [b"Content-Length: 1000\r\n\r\n", CHUNKED + b"3e8\r\n"])
async def test_body_of_the_limit_is_accepted(serve: Serving, framing: bytes) -> None:
    """A body of exactly the limit is served."""
    end = b"\r\n0\r\n\r\n" if CHUNKED in framing else b""
    async with await RawClient.connect((await serve(body_bytes=1000)).port) as client:
        await client.send(b"POST /echo" + HEAD + framing, bytes(1000) + end)
        assert (await client.answer()).body == bytes(1000)


@pytest.mark.parametrize("begun", [b"", b"POST /echo" + HEAD + b"Content-Length: 2\r\n\r\nhi"])
async def test_idle_connection_is_closed(serve: Serving, autojump_clock: MockClock, begun: bytes) -> None:
    """A connection without a request, whether new or used, ends after the idle time, without a word."""
    async with await RawClient.connect((await serve(idle_seconds=5)).port, patience=60) as client:
        if begun:
            await client.send(begun)
            assert (await client.answer()).body == b"hi"
        start = trio.current_time()
        assert await client.is_closed()
        assert 5 <= trio.current_time() - start <= 5 + LATENESS


async def test_slow_head_is_cut_off(serve: Serving, autojump_clock: MockClock) -> None:
    """A head that trickles in is cut off at its deadline, which no further byte puts off."""
    server = await serve(head_seconds=5, idle_seconds=5)
    async with await RawClient.connect(server.port, patience=60) as client:
        start = trio.current_time()
        for byte in b"GET /" + HEAD:
            try:
                await client.stream.send_all(bytes([byte]))
            except trio.BrokenResourceError:
                break
            await trio.sleep(1)
            if trio.current_time() - start > 5 + LATENESS:
                break
        if server.__class__.__name__ == "LeanServer":
            await refused(client, 408)
        else:
            assert await client.is_closed()
        assert trio.current_time() - start <= 7


@pytest.mark.parametrize("framing", [b"Content-Length: 100\r\n\r\n", CHUNKED + b"64\r\n"])
async def test_slow_body_is_cut_off(
    serve: Serving, demo: DemoApp, autojump_clock: MockClock, framing: bytes
) -> None:
    """A body that trickles in is answered 408 at its deadline; the application is told of a disconnect."""
    server = await serve(body_seconds=5, idle_seconds=50)
    async with await RawClient.connect(server.port, patience=60) as client:
        start = trio.current_time()
        await client.send(b"POST /echo" + HEAD + framing)
        for _ in range(4):
            await client.stream.send_all(b"x")
            await trio.sleep(1)
        assert (await client.answer()).status == 408
        assert (
            5 <= trio.current_time() - start <= 5 + LATENESS + 1
        )  # under Hypercorn, the rest is dropped first
        assert await client.is_closed()
    assert demo.left.is_set()
    assert demo.errors == []


async def test_time_of_the_application_is_not_the_clients(
    serve: Serving, demo: DemoApp, autojump_clock: MockClock
) -> None:
    """No deadline of the client passes while the application works."""
    server = await serve(head_seconds=1, body_seconds=1, write_seconds=1, idle_seconds=1)
    async with await RawClient.connect(server.port, patience=1000) as client:
        await client.stream.send_all(b"GET /wait" + HEAD + b"\r\n")
        await trio.sleep(100)
        demo.go_on.set()
        assert (await client.answer()).body == b"waited"


async def test_client_that_reads_nothing_is_cut_off(
    serve: Serving, demo: DemoApp, autojump_clock: MockClock
) -> None:
    """A client that takes no bytes of its answer loses its connection; it is no error of the application."""
    async with await RawClient.connect((await serve(write_seconds=5)).port, patience=60) as client:
        await client.stream.send_all(b"GET /big" + HEAD + b"\r\n")
        await trio.sleep(20)
        with pytest.raises((trio.BrokenResourceError, h11.RemoteProtocolError)):
            await client.answer()
    assert demo.errors == []


async def test_slow_reader_is_not_cut_off_while_it_reads(serve: Serving, autojump_clock: MockClock) -> None:
    """Each byte taken begins the wait anew."""
    async with await RawClient.connect((await serve(write_seconds=5)).port, patience=60) as client:
        await client.stream.send_all(b"GET /big" + HEAD + b"\r\n")
        size = 0
        while size < 20_000_000:
            size += len(await client.stream.receive_some(2_000_000))
            await trio.sleep(2)


async def test_clients_beyond_the_limit_wait(serve_lean: Serving, demo: DemoApp) -> None:
    """Beyond the limit clients wait outside, and are served when there is room."""
    server = await serve_lean(connections=2)
    answers = []

    async def ask(path: bytes) -> None:
        async with await RawClient.connect(server.port) as client:
            answers.append((await client.get(path)).body)

    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(ask, b"/wait")
        await demo.asked.wait()
        nursery.start_soon(ask, b"/")
        await trio.sleep(0.3)
        assert answers == []
        demo.go_on.set()
    assert sorted(answers) == [b"waited", b"waited", b'{"ok":true}']


async def test_idle_connections_make_room(serve_lean: Serving) -> None:
    """A connection that only waits for its next request does not keep others out."""
    server = await serve_lean(connections=3)
    async with (
        await RawClient.connect(server.port) as first,
        await RawClient.connect(server.port) as second,
        await RawClient.connect(server.port) as third,
    ):
        for client in (first, second, third):
            assert (await client.get()).status == 200
        async with await RawClient.connect(server.port) as another:
            assert (await another.get()).status == 200
        closed = 0
        for client in (first, second, third):
            with trio.move_on_after(0.2):
                closed += await client.is_closed()
        assert closed == 1


async def test_connection_without_a_request_yet_is_not_closed_to_make_room(serve_lean: Serving) -> None:
    """A client that has just connected is about to ask: its connection is not taken for an idle one."""
    server = await serve_lean(connections=1)
    async with (
        await RawClient.connect(server.port) as first,
        await RawClient.connect(server.port) as second,
    ):
        await second.send(b"GET /" + HEAD + b"\r\n")
        await trio.sleep(1.0)  # the server has noticed that somebody waits
        answer = await first.get()
        assert (answer.status, answer.headers[b"connection"]) == (200, b"close")
        assert (await second.answer()).status == 200


async def test_server_out_of_descriptors_goes_on(
    serve_lean: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a free descriptor no client can be accepted; they are when there is one again."""
    server = await serve_lean()
    accept, failures = listening.accept, 3

    def failing(*arguments: object) -> object:
        nonlocal failures
        if failures:
            failures -= 1
            raise OSError(errno.EMFILE, "too many open files")
        return accept(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("loadtest_trio.http.server.lean.accept", failing)
    async with await RawClient.connect(server.port) as client:
        assert (await client.get()).status == 200
    assert failures == 0
