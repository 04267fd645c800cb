"""Responses: framed so that every client finds their end, whatever the application said."""

from typing import Any

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest_trio.http.server.app_errors import AppError
from loadtest_trio.http.server.asgi import Headers
from loadtest_trio.http.server.response import Response

DATE = b"date: Sun, 06 Nov 1994 08:49:37 GMT"


def encode(
    *parts: bytes,
    status: int = 200,
    headers: Headers | None = None,
    method: str = "GET",
    version: str = "1.1",
    close: bool = False,
) -> tuple[bytes, bool]:
    """Return the bytes of a response, and whether its end is the connection's."""
    response = Response(method, version)
    response.start({"type": "http.response.start", "status": status, "headers": headers or []})
    last = len(parts) - 1
    data = b"".join(response.encode(part, at < last, DATE, close) for at, part in enumerate(parts))
    assert response.complete
    return data, response.close


def test_whole_response() -> None:
    """Status, the application's headers, and what the server adds: length and date."""
    data, close = encode(b"hello", headers=[(b"x-one", b"1")])
    assert data == b"HTTP/1.1 200 OK\r\nx-one: 1\r\n" + DATE + b"\r\ncontent-length: 5\r\n\r\nhello"
    assert not close


@pytest.mark.parametrize(
    ("case", "head", "body", "closes"),
    [
        ({"headers": [(b"Content-Length", b"5")]}, b"Content-Length: 5", b"hello", False),
        ({"headers": [(b"date", b"today")]}, b"date: today", b"hello", False),
        ({"close": True}, b"connection: close", b"hello", True),
        ({"headers": [(b"connection", b"Close")]}, b"connection: close", b"hello", True),
        ({"version": "1.0"}, b"connection: keep-alive", b"hello", False),
        ({"version": "1.0", "close": True}, b"connection: close", b"hello", True),
        ({"method": "HEAD"}, b"content-length: 5", b"", False),
        ({"method": "HEAD", "headers": [(b"content-length", b"9")]}, b"content-length: 9", b"", False),
        ({"status": 304, "headers": [(b"content-length", b"9")]}, b"content-length: 9", b"", False),
        ({"status": 299}, b"HTTP/1.1 299 \r\n", b"hello", False),
    ],
)
def test_head(case: dict[str, Any], head: bytes, body: bytes, closes: bool) -> None:
    """Each case has its header once, and its body or none."""
    data, close = encode(b"hello", **case)
    start, _, rest = data.partition(b"\r\n\r\n")
    assert (start + b"\r\n").count(head) == 1
    assert (rest, close) == (body, closes)
    assert start.lower().count(b"content-length") == 1
    assert start.lower().count(b"date: ") == 1


@pytest.mark.parametrize(("status", "method"), [(204, "GET"), (304, "GET"), (200, "HEAD")])
def test_empty_answer_without_a_length(status: int, method: str) -> None:
    """204 and 304 tell no length; an empty answer to HEAD does not claim that GET's is empty."""
    data, _ = encode(b"", status=status, method=method)
    assert b"length" not in data
    assert data.endswith(b"\r\n\r\n")


def test_streamed_answer_is_chunked() -> None:
    """Without a length, parts are sent as chunks; an empty part is not the last chunk."""
    data, close = encode(b"he", b"", b"llo", b"")
    assert data.partition(b"\r\n\r\n")[2] == b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
    assert b"transfer-encoding: chunked" in data
    assert not close


def test_streamed_answer_with_a_length_is_sent_as_it_is() -> None:
    """Where the application told the length there are no chunks."""
    data, _ = encode(b"he", b"llo", headers=[(b"content-length", b"5"), (b"transfer-encoding", b"chunked")])
    assert data.partition(b"\r\n\r\n")[2] == b"hello"
    assert b"chunked" not in data


def test_streamed_answer_in_http_1_0_ends_with_the_connection() -> None:
    """HTTP/1.0 has no chunks."""
    data, close = encode(b"he", b"llo", version="1.0")
    assert data.partition(b"\r\n\r\n")[2] == b"hello"
    assert close


def test_streamed_answer_to_head() -> None:
    """The head says how GET would be answered, and nothing follows it."""
    data, _ = encode(b"he", b"llo", method="HEAD")
    assert data.endswith(b"transfer-encoding: chunked\r\n\r\n")


@pytest.mark.parametrize(
    "header",
    [
        (b"x", b"a\r\nset-cookie: b"),
        (b"x", b"a\nb"),
        (b"x", b"a\rb"),
        (b"x", b"a\0b"),
        (b"x\r\ny", b"a"),
        (b"content-length", b"+5"),
        (b"content-length", b"x"),
    ],
)
def test_header_that_would_write_headers_is_an_error(header: tuple[bytes, bytes]) -> None:
    """No value of a header gets a line of its own into the head."""
    with pytest.raises(AppError):
        encode(b"hello", headers=[header])


@pytest.mark.parametrize("status", [100, 199, 1000, "200", None])
def test_status_that_is_none(status: Any) -> None:
    """The status of a response is a number from 200 on."""
    with pytest.raises(AppError):
        encode(b"", status=status)


def test_two_lengths_are_an_error() -> None:
    """An application cannot smuggle either."""
    with pytest.raises(AppError):
        encode(b"hello", headers=[(b"content-length", b"5"), (b"Content-Length", b"5")])


@pytest.mark.parametrize("parts", [(b"hell",), (b"hello!",), (b"he", b"ll"), (b"hello", b"!"), (b"",)])
def test_body_of_another_length_is_an_error(parts: tuple[bytes, ...]) -> None:
    """The body has the length that the head told, or the client would wait, or read on in the next answer."""
    with pytest.raises(AppError):
        encode(*parts, headers=[(b"content-length", b"5")])


def test_order_of_messages() -> None:
    """A body before its start, a second start and anything after the end are errors."""
    start = {"type": "http.response.start", "status": 200}
    with pytest.raises(AppError):
        Response("GET", "1.1").encode(b"", False, DATE, False)
    response = Response("GET", "1.1")
    response.start(start)
    with pytest.raises(AppError):
        response.start(start)
    response.encode(b"", False, DATE, False)
    with pytest.raises(AppError):
        response.encode(b"", False, DATE, False)


@given(
    st.lists(st.binary(max_size=30), min_size=1, max_size=5),
    st.sampled_from([200, 204, 304, 404, 599]),
    st.sampled_from(["GET", "HEAD", "POST"]),
    st.booleans(),
    st.booleans(),
)
def test_another_implementation_reads_the_same(
    parts: list[bytes], status: int, method: str, told: bool, close: bool
) -> None:
    """h11 finds the end of every response where we put it, and the same body."""
    body = b"".join(parts)
    headers = [(b"content-length", b"%d" % len(body))] if told and status != 204 else []
    data, closes = encode(*parts, status=status, headers=headers, method=method, close=close)
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("host", "a"), ("content-length", "0")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    got = b""
    while not isinstance(event := client.next_event(), h11.EndOfMessage):
        assert event is not h11.NEED_DATA
        got += event.data if isinstance(event, h11.Data) else b""
    assert got == (b"" if method == "HEAD" or status in (204, 304) else body)
    assert (client.their_state is h11.MUST_CLOSE) is closes
    assert client.trailing_data[0] == b""
