"""One GET against whatever a server may send."""

from contextlib import suppress

import httpx
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import memory_stream_pair

from loadtest_trio.errors import FetchUnreachableError
from loadtest_trio.handlers.http_fetch.exchange import get
from loadtest_trio.handlers.http_fetch.page import Page

URL = httpx.URL("http://example.com:8080/path?query#fragment")
PIECES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 302 Found\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Location: http://h/\r\n",
        b"Bad Header\r\n",
        b" folded\r\n",
        b"\r\n",
        b"\n",
        b"abc",
        b"3\r\nabc\r\n",
        b"0\r\n\r\n",
        b"\x00",
    ]
)


async def exchange(answer: bytes, max_bytes: int = 100) -> tuple[Page, bytes]:
    """Return what a GET makes of an answer, and the request."""
    client, server = memory_stream_pair()
    await server.send_all(answer)
    await server.send_eof()
    page = await get(client, URL, max_bytes)
    return page, bytes(await server.receive_some())


async def test_request_names_the_host_and_declines_compression() -> None:
    _, request = await exchange(b"HTTP/1.1 204 No Content\r\n\r\n")
    lines = request.decode().split("\r\n")
    assert lines[0] == "GET /path?query HTTP/1.1"
    assert "Host: example.com:8080" in lines
    assert "Accept-Encoding: identity" in lines
    assert "Connection: close" in lines


async def test_body_of_a_redirect_is_not_received() -> None:
    page, _ = await exchange(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 9\r\n\r\nhalf")
    assert (page.status, page.body) == (302, b"")


@given(st.lists(PIECES | st.binary(max_size=20), max_size=12).map(b"".join))
def test_any_answer_is_a_page_or_unreachable(answer: bytes) -> None:
    """No bytes from a server raise anything but the one error, or make a body longer than the limit."""

    async def run() -> None:
        with suppress(FetchUnreachableError):
            page, _ = await exchange(answer, max_bytes=2)
            assert 200 <= page.status < 1000
            assert len(page.body) <= 2

    trio.run(run)


@pytest.mark.parametrize(("size", "truncated"), [(2, False), (3, True)])
async def test_limit_itself_is_not_too_long(size: int, truncated: bool) -> None:
    page, _ = await exchange(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * size, max_bytes=2)
    assert (page.body, page.truncated) == (b"xx", truncated)
