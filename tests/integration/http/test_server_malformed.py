"""Bad input on raw sockets: an answer or a close within a second, never a crash, no descriptor left."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import trio
import trio.testing
from hypercorn.trio.tcp_server import TCPServer
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest_trio.http.server import LeanServer, ServerLimits
from tests.integration.http.conftest import DemoApp, Serving
from tests.support.malformed import malformed_request
from tests.support.raw_client import RawClient

if TYPE_CHECKING:
    from trio.testing import MockClock

REQUESTS = 10_000
AT_ONCE = 50
# Shorter than what is allowed for an answer: what could still become a request is cut off in time, too.
PATIENCE: dict[str, Any] = {
    "head_seconds": 0.2,
    "body_seconds": 0.2,
    "idle_seconds": 0.2,
    "write_seconds": 0.2,
}
STATUS_LINE = re.compile(rb"HTTP/1\.1 (100|200|204|400|404|408|413|417|431|501|505) ")


async def send_malformed(port: int, data: bytes, *, half_close: bool) -> bytes:
    """Send bytes and return the first of the answer, none if the connection was closed.

    Raises:
        trio.TooSlowError: There was neither within a second.
    """
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        try:
            with trio.fail_after(1):
                await stream.send_all(data)
                if half_close:
                    await stream.send_eof()
                return bytes(await stream.receive_some())
        except trio.BrokenResourceError:
            return b""


async def test_malformed_requests(serve_lean: Serving, demo: DemoApp, autojump_clock: MockClock) -> None:
    """Ten thousand spoiled requests: each is answered or closed within a second, and nothing is left."""
    server = await serve_lean(**PATIENCE)
    rng = random.Random(20261125)
    await send_malformed(server.port, b"GET / HTTP/1.0\r\n\r\n", half_close=False)
    await trio.testing.wait_all_tasks_blocked()
    open_before = psutil.Process().num_fds()
    answers: dict[bytes, int] = {}

    async def send_some() -> None:
        for _ in range(REQUESTS // AT_ONCE):
            data = malformed_request(rng)
            answer = await send_malformed(server.port, data, half_close=rng.random() < 0.3)
            assert not answer or STATUS_LINE.match(answer), data
            answers[answer[9:12]] = answers.get(answer[9:12], 0) + 1

    async with trio.open_nursery() as nursery:
        for _ in range(AT_ONCE):
            nursery.start_soon(send_some)
    assert sum(answers.values()) == REQUESTS
    assert answers[b"400"] > REQUESTS / 4, answers
    assert demo.errors == []
    await trio.sleep(3)
    assert psutil.Process().num_fds() == open_before
    async with await RawClient.connect(server.port) as client:
        assert (await client.get()).status == 200


@settings(max_examples=300)
@given(
    st.one_of(
        st.binary(max_size=400),
        st.binary(max_size=60).map(lambda data: b"GET / HTTP/1.1\r\nHost: a\r\n" + data + b"\r\n\r\n"),
        st.binary(max_size=60).map(
            lambda data: b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + data
        ),
        st.integers(0, 2**64).map(lambda seed: malformed_request(random.Random(seed))),
    ),
    st.booleans(),
)
def test_any_bytes(data: bytes, half_close: bool) -> None:
    """Whatever arrives, the client hears within a second, and the server can stop in order."""

    async def run() -> None:
        demo = DemoApp()
        server = LeanServer(demo, "127.0.0.1", 0, limits=ServerLimits(**PATIENCE), on_error=demo.on_error)
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run)
            answer = await send_malformed(server.port, data, half_close=half_close)
            assert not answer or STATUS_LINE.match(answer)
            server.stop(0)
        assert demo.errors == []

    trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"{}",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz",
    ],
    ids=["line feeds", "TLS", "JSON", "no chunk"],
)
async def test_nonsense_is_answered_before_it_ends(
    serve_lean: Serving, autojump_clock: MockClock, data: bytes
) -> None:
    """What cannot become a request is not waited for until the deadline of a head or a body."""
    server = await serve_lean()
    assert (await send_malformed(server.port, data, half_close=False)).startswith(b"HTTP/1.1 400 ")


SMUGGLING = {
    "length and chunks": b"Content-Length: 30\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": b"Transfer-Encoding: chunked\r\nContent-Length: 30\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 0\r\nContent-Length: 30\r\n\r\n",
    "obscured coding": b"Content-Length: 0\r\nTransfer-Encoding: xchunked\r\n\r\n",
    "blank before a colon": b"Content-Length: 0\r\nTransfer-Encoding : chunked\r\n\r\n",
    "folded coding": b"Content-Length: 0\r\nTransfer-Encoding:\r\n chunked\r\n\r\n",
    "bare line feeds": b"X: y\nContent-Length: 30\r\n\r\n",
    "end of the head by line feeds": b"Content-Length: 30\n\n",
    "chunk size by a line feed": b"Transfer-Encoding: chunked\r\n\r\n0\n\n",
    "extension with a line feed": b"Transfer-Encoding: chunked\r\n\r\n5;a\nbcdef\r\n0\r\n\r\n",
    "chunk that overruns its size": b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
    "chunk size beyond 64 bits": b"Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n",
}


@pytest.mark.parametrize("rest", SMUGGLING.values(), ids=SMUGGLING)
@pytest.mark.parametrize("split", [False, True], ids=["at once", "byte by byte"])
async def test_second_request_is_never_read_out_of_a_doubtful_one(
    serve_lean: Serving, demo: DemoApp, rest: bytes, split: bool
) -> None:
    """A request whose end is doubtful is answered 400, and the connection is closed with that."""
    smuggled = b"GET /secret HTTP/1.1\r\nHost: a\r\n\r\n"
    data = b"POST /echo HTTP/1.1\r\nHost: a\r\n" + rest + smuggled
    async with await RawClient.connect((await serve_lean()).port) as client:
        if split:
            for at in range(len(data)):
                try:
                    await client.send(data[at : at + 1])
                except trio.BrokenResourceError:
                    break
        else:
            await client.send(data)
        assert (await client.answer()).status == 400
        assert await client.is_closed()
    assert "/secret" not in {scope["path"] for scope in demo.scopes}
    assert demo.errors == []


async def test_a_fault_of_hypercorn_ends_one_connection_alone(
    demo: DemoApp, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chunk longer than its size can make it send two answers at once; the server goes on."""

    async def fault(_: TCPServer) -> None:
        raise trio.BusyResourceError("another task is currently sending data on this SocketStream")

    serving = Serving("hypercorn", demo, nursery)
    server = await serving()
    with monkeypatch.context() as patch:
        patch.setattr(TCPServer, "_read_data", fault)
        assert await send_malformed(server.port, b"", half_close=False) == b""
    async with await RawClient.connect(server.port) as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.answer()).status == 200
    serving.stop()
