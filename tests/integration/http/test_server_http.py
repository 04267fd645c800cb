"""HTTP/1.1 on raw sockets, under the lean server and under Hypercorn."""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING

import h11
import pytest
import trio
import trio.testing

from loadtest_trio.http.server.asgi import Receive, Scope, Send
from tests.support.raw_client import RawClient

if TYPE_CHECKING:
    from tests.integration.http.conftest import DemoApp, Serving

HEAD = b" HTTP/1.1\r\nHost: test\r\n"
CHUNKED = b"POST /echo" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


async def test_connection_carries_many_requests(client: RawClient, demo: DemoApp) -> None:
    """Requests follow each other on one connection; the application sees all of each."""
    for number in range(3):
        answer = await client.get(b"/?number=%d" % number, b"X-Number: %d" % number)
        assert (answer.status, answer.body) == (200, b'{"ok":true}')
        assert answer.headers[b"content-type"] == b"application/json"
        assert answer.headers[b"date"].endswith(b" GMT")
        assert b"connection" not in answer.headers
    assert [scope["query_string"] for scope in demo.scopes] == [b"number=0", b"number=1", b"number=2"]
    scope = demo.scopes[1]
    assert (b"x-number", b"1") in scope["headers"]
    assert {scope["client"] for scope in demo.scopes} == {client.stream.socket.getsockname()}
    for name, value in {"type": "http", "http_version": "1.1", "method": "GET", "scheme": "http"}.items():
        assert scope[name] == value
    assert (scope["path"], scope["raw_path"]) == ("/", b"/")
    assert scope["server"][1] == client.stream.socket.getpeername()[1]


@pytest.mark.parametrize(
    "request_head",
    [b"GET / HTTP/1.0\r\n\r\n", b"GET /" + HEAD + b"Connection: close\r\n\r\n"],
    ids=["HTTP/1.0", "Connection: close"],
)
async def test_connection_ends_where_the_client_wants_it(client: RawClient, request_head: bytes) -> None:
    """After HTTP/1.0 and after ``Connection: close`` the server says that it closes, and closes."""
    await client.send(request_head)
    answer = await client.answer()
    assert (answer.body, answer.headers[b"connection"]) == (b'{"ok":true}', b"close")
    assert await client.is_closed()


@pytest.mark.parametrize("split", [False, True], ids=["at once", "apart"])
async def test_nothing_behind_the_last_request_is_answered(
    client: RawClient, demo: DemoApp, split: bool
) -> None:
    """What comes behind ``Connection: close`` is no request (RFC 9112, 9.6)."""
    parts = [b"GET /?a" + HEAD + b"Connection: close\r\n\r\n", b"GET /?b" + HEAD + b"\r\n"]
    await client.send(*(parts if split else [b"".join(parts)]))
    answer = await client.answer()
    assert (answer.status, answer.headers[b"connection"]) == (200, b"close")
    assert await client.is_closed()
    assert [scope["query_string"] for scope in demo.scopes] == [b"a"]


async def test_http_1_0_connection_is_kept_on_request(serve_lean: Serving) -> None:
    """An old client that asks for it keeps its connection, and is told so."""
    async with await RawClient.connect((await serve_lean()).port) as client:
        for _ in range(2):
            await client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            assert (await client.answer()).headers[b"connection"] == b"keep-alive"


async def test_pipelined_requests_are_answered_in_order(client: RawClient) -> None:
    """Requests that arrive together are answered one after another, with their bodies kept apart."""
    requests = [
        b"POST /echo" + HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(b"%d" % number), b"%d" % number)
        for number in range(100)
    ]
    requests[50] = CHUNKED + b"1\r\n5\r\n1\r\n0\r\n0\r\n\r\n"
    await client.send(b"".join(requests))
    for number in range(100):
        assert (await client.answer()).body == b"%d" % number


async def test_pipelined_requests_cut_anywhere(client: RawClient) -> None:
    """Wherever the network cuts requests, they are the same."""
    request = CHUNKED + b"5\r\nabcde\r\n0\r\n\r\n" + b"POST /echo" + HEAD + b"Content-Length: 2\r\n\r\nhi"
    for at in range(1, len(request), 7):
        await client.send(request[:at], request[at:])
        assert (await client.answer()).body == b"abcde"
        assert (await client.answer()).body == b"hi"


async def test_one_empty_line_may_precede_a_request(serve_lean: Serving) -> None:
    """Old browsers send an empty line after a body (RFC 9112, 2.2)."""
    async with await RawClient.connect((await serve_lean()).port) as client:
        for _ in range(2):
            await client.send(b"\r\n")
            assert (await client.get()).status == 200


@pytest.mark.parametrize("size", [0, 1, 100, 70_000, 1_000_000])
async def test_bodies_come_back(client: RawClient, nursery: trio.Nursery, size: int) -> None:
    """Bodies of any size arrive whole, by length and in chunks, and so do the answers."""
    body = bytes(number % 251 for number in range(size))
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(part), part) for at in range(0, size, 9999) if (part := body[at : at + 9999])
    )
    for request in (
        b"POST /echo" + HEAD + b"Content-Length: %d\r\n\r\n%b" % (size, body),
        CHUNKED + chunks + b"0\r\n\r\n",
    ):
        nursery.start_soon(client.stream.send_all, request)
        assert (await client.answer()).body == body


async def test_body_in_a_packet_of_its_own(client: RawClient) -> None:
    """Many clients send head and body apart (`http.client` does); the connection is kept."""
    for _ in range(3):
        await client.send(b"POST /echo" + HEAD + b"Content-Length: 5\r\n\r\n", b"hello")
        answer = await client.answer()
        assert answer.body == b"hello"
        assert b"connection" not in answer.headers


async def test_expectation_is_met_before_the_body(client: RawClient) -> None:
    """A client that waits for a 100 gets it, sends its body and gets its answer."""
    await client.send(b"POST /echo" + HEAD + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert (await client.stream.receive_some()).startswith(b"HTTP/1.1 100 ")
    await client.send(b"hello")
    answer = await client.answer()
    assert (answer.status, answer.body, answer.interim) == (200, b"hello", [])


async def test_body_that_nobody_wants_is_not_asked_for(serve_lean: Serving) -> None:
    """Where the application answers without the body, there is no 100, and the connection ends."""
    async with await RawClient.connect((await serve_lean()).port) as client:
        await client.send(b"POST /ignore" + HEAD + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        answer = await client.answer()
        assert (answer.status, answer.interim, answer.headers[b"connection"]) == (404, [], b"close")
        assert await client.is_closed()


async def test_body_is_not_asked_for_when_it_has_come_already(serve_lean: Serving) -> None:
    """A client that did not wait needs no 100."""
    async with await RawClient.connect((await serve_lean()).port) as client:
        await client.send(b"POST /echo" + HEAD + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello")
        assert (await client.answer()).interim == []


async def test_ignored_body_that_has_arrived_does_not_end_the_connection(serve_lean: Serving) -> None:
    """What the application left of a body is dropped, and the next request is read behind it."""
    async with await RawClient.connect((await serve_lean()).port) as client:
        body_like_a_request = b"Content-Length: 5\r\n\r\nGET /"
        await client.send(b"POST /ignore" + HEAD + body_like_a_request + b"GET /" + HEAD + b"\r\n")
        first, second = await client.answer(), await client.answer()
        assert (first.status, second.status) == (404, 200)
        assert b"connection" not in first.headers


async def test_answer_reaches_a_client_that_still_sends(client: RawClient, nursery: trio.Nursery) -> None:
    """An answer that comes before the end of a long body is not lost when the connection closes."""

    async def send_on() -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            await client.stream.send_all(bytes(1_000_000))

    await client.send(b"POST /ignore" + HEAD + b"Content-Length: 1000000\r\n\r\n")
    nursery.start_soon(send_on)
    assert (await client.answer()).status == 404
    assert await client.is_closed()


@pytest.mark.parametrize("path", [b"/ignore", b"no path"])
async def test_connection_ends_in_order_though_the_client_still_sends(
    serve_lean: Serving, path: bytes
) -> None:
    """A client that sends before it reads meets no reset, which many take for the failure of the request."""
    async with await RawClient.connect((await serve_lean()).port) as client:
        await client.stream.send_all(b"POST " + path + HEAD + b"Content-Length: 1000000\r\n\r\n")
        for _ in range(10):
            await client.send(bytes(100_000))
        assert (await client.answer()).status in (400, 404)
        assert await client.stream.receive_some() == b""


async def test_head_is_answered_without_a_body(client: RawClient) -> None:
    """HEAD gets GET's headers, and the connection goes on."""
    for _ in range(2):
        await client.send(b"HEAD /" + HEAD + b"\r\n")
        answer = await client.answer("HEAD")
        assert (answer.status, answer.body, answer.headers[b"content-length"]) == (200, b"", b"11")
    assert (await client.get()).body == b'{"ok":true}'


async def test_answer_without_content(client: RawClient) -> None:
    """204 has neither body nor length."""
    answer = await client.get(b"/empty")
    assert (answer.status, answer.body) == (204, b"")
    assert b"content-length" not in answer.headers
    assert (await client.get()).status == 200


async def test_answer_in_parts(client: RawClient) -> None:
    """An answer of unknown length comes in chunks; an empty part is not its end."""
    answer = await client.get(b"/stream")
    assert answer.body == b"one two three"
    assert answer.headers[b"transfer-encoding"] == b"chunked"
    assert (await client.get()).status == 200


async def test_answer_in_parts_to_http_1_0(client: RawClient) -> None:
    """A client of HTTP/1.0 reads such an answer to the end of the connection."""
    await client.send(b"GET /stream HTTP/1.0\r\n\r\n")
    answer = await client.answer()
    assert answer.body == b"one two three"
    assert b"transfer-encoding" not in answer.headers
    assert await client.is_closed()


async def test_long_answer_to_a_slow_reader(client: RawClient) -> None:
    """An answer that does not fit into the system's buffers arrives as the client reads it."""
    answer = await client.get(b"/big")
    assert len(answer.body) == 20_000_000
    assert (await client.get()).status == 200


@pytest.mark.parametrize("path", [b"/error", b"/group", b"/silent"])
async def test_error_of_the_application_is_answered_500(
    client: RawClient, demo: DemoApp, path: bytes
) -> None:
    """An application that fails, or says nothing, is reported, and the client is told in general terms."""
    answer = await client.get(path)
    assert answer.status == 500
    assert answer.headers[b"content-type"] == b"application/problem+json"
    assert json.loads(answer.body)["status"] == 500
    assert b"no" not in json.loads(answer.body)["detail"].encode().split()
    (error,) = demo.errors
    assert path == b"/silent" or "no" in str(error) or isinstance(error, ExceptionGroup)


@pytest.mark.parametrize("path", [b"/late", b"/short"])
async def test_answer_that_breaks_off_is_not_taken_for_a_whole_one(
    client: RawClient, demo: DemoApp, path: bytes
) -> None:
    """When an answer has begun, all that can be done is to end the connection in the middle of it."""
    with pytest.raises((h11.RemoteProtocolError, trio.BrokenResourceError)):
        await client.get(path)
    assert len(demo.errors) == 1


async def test_answer_that_breaks_off_is_not_taken_for_a_whole_one_in_http_1_0(serve_lean: Serving) -> None:
    """Where the end of the connection is the end of the answer, the connection is reset."""
    async with await RawClient.connect((await serve_lean()).port) as client:
        await client.stream.send_all(b"GET /late HTTP/1.0\r\n\r\n")
        with pytest.raises(trio.BrokenResourceError):
            await client.answer()


async def test_server_goes_on_after_errors(serve: Serving) -> None:
    """Errors of one request do not concern others."""
    server = await serve()
    for path in (b"/error", b"/late", b"/silent", b"/group"):
        async with await RawClient.connect(server.port) as client:
            with contextlib.suppress(h11.RemoteProtocolError, trio.BrokenResourceError):
                await client.get(path)
    async with await RawClient.connect(server.port) as client:
        assert (await client.get()).status == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_unspecified_address_serves_both_families(serve: Serving, demo: DemoApp, host: str) -> None:
    """`::` takes clients of both families, and shows each with the address it has."""
    server = await serve(host="::")
    assert server.url == f"http://[::]:{server.port}"
    async with await RawClient.connect(server.port, host) as client:
        assert (await client.get()).status == 200
    assert demo.scopes[0]["client"][0].removeprefix("::ffff:") == host


async def test_request_cannot_change_the_headers_of_the_next(serve_lean: Serving) -> None:
    """Headers that were read once are remembered, but an application gets a list of its own."""
    seen: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(len(scope["headers"]))
        scope["headers"].append((b"x-internal", b"1"))
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    async with await RawClient.connect((await serve_lean(app)).port) as client:
        for _ in range(3):
            await client.get()
    assert seen == [1, 1, 1]


async def test_offer_of_http_2_is_declined(client: RawClient) -> None:
    """``curl --http2`` offers HTTP/2 with a request, with or without a body; it is served in HTTP/1.1."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    await client.send(b"GET /" + HEAD + offer + b"\r\n")
    assert (await client.answer()).body == b'{"ok":true}'
    await client.send(b"POST /echo" + HEAD + offer + b"Content-Length: 5\r\n\r\nhello")
    assert (await client.answer()).body == b"hello"
    assert (await client.get()).status == 200


async def test_http_2_without_an_offer_is_refused(client: RawClient) -> None:
    """Its preface is a request of a version that is not served."""
    await client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
    assert (await client.answer()).status == 505
    assert await client.is_closed()


async def test_client_that_sends_many_requests_at_once_leaves_others_a_turn(
    serve_lean: Serving, demo: DemoApp
) -> None:
    """Between pipelined requests other clients are served, also where the application never waits."""
    server = await serve_lean()
    async with (
        await RawClient.connect(server.port) as greedy,
        await RawClient.connect(server.port) as modest,
    ):
        await greedy.get(b"/greedy")
        await modest.get(b"/modest")
        demo.scopes.clear()
        for client, path, count in ((greedy, b"/greedy", 300), (modest, b"/modest", 1)):
            os.write(client.stream.socket.fileno(), (b"GET " + path + HEAD + b"\r\n") * count)
        assert (await modest.answer()).status == 404
        for _ in range(300):
            await greedy.answer()
    assert [scope["path"] for scope in demo.scopes].index("/modest") < 10
