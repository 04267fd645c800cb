"""One GET on one connection, by h11: its limits are made for servers that mean harm.

Why not the transport under the S3 client: that one trusts its server, returns only complete responses and is
tuned for throughput. Here a body is cut off at a limit, and heads, chunk headers and trailers are bounded.
"""

from collections.abc import Sequence

import attrs
import h11
import httpx
import trio

from loadtest_trio import __version__
from loadtest_trio.errors import FetchRefusedError, FetchUnreachableError
from loadtest_trio.handlers.http_fetch.page import Page

_RECEIVE_BYTES = 65_536
_MOST_HEAD_BYTES = 65_536
_REDIRECTS = frozenset((301, 302, 303, 307, 308))


async def get(stream: trio.abc.Stream, url: httpx.URL, max_bytes: int) -> Page:
    """Send a GET and receive the answer; of a redirect, the head only.

    The body is asked for as it is (``Accept-Encoding: identity``) and never unpacked: a few kilobytes of
    compressed zeros would become gigabytes.

    Args:
        stream: Connected to the URL's host.
        url: What to get.
        max_bytes: Where to cut the body off.

    Raises:
        FetchUnreachableError: The connection broke, or what came is not a complete HTTP answer.
        FetchRefusedError: The URL cannot be put into a request.
    """
    exchange = _Exchange(stream)
    try:
        await exchange.send(url)
        response = await exchange.receive_head()
        page = Page(str(url), response.status_code, _readable(response.headers), b"")
        if redirect_target(page):
            return page
        body = await exchange.receive_body(max_bytes)
        truncated = len(body) > max_bytes
        del body[max_bytes:]
        return attrs.evolve(page, body=bytes(body), truncated=truncated)
    except h11.LocalProtocolError as error:
        raise FetchRefusedError(f"{url} cannot be requested: {error}") from error
    except h11.RemoteProtocolError as error:
        raise FetchUnreachableError(f"{url} sent no complete HTTP answer: {error}") from error
    except trio.BrokenResourceError as error:
        raise FetchUnreachableError(f"{url}: the connection broke: {error.__cause__ or error}") from error


def redirect_target(page: Page) -> str:
    """Return where an answer sends us, or "" when it is the end."""
    if page.status not in _REDIRECTS:
        return ""
    return next((value for name, value in page.headers if name.lower() == "location"), "")


class _Exchange:
    """A connection for one request and its answer."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MOST_HEAD_BYTES)

    async def send(self, url: httpx.URL) -> None:
        headers = [
            ("Host", url.netloc.decode("ascii")),
            ("User-Agent", f"loadtest-trio/{__version__}"),
            ("Accept", "*/*"),
            ("Accept-Encoding", "identity"),
            ("Connection", "close"),
        ]
        head = self._http.send(h11.Request(method="GET", target=url.raw_path, headers=headers))
        end = self._http.send(h11.EndOfMessage())
        await self._stream.send_all((head or b"") + (end or b""))

    async def receive_head(self) -> h11.Response:
        while True:
            event = await self._event()
            if isinstance(event, h11.Response):
                return event

    async def receive_body(self, max_bytes: int) -> bytearray:
        """Receive to the end, or until there is more than `max_bytes`."""
        body = bytearray()
        while len(body) <= max_bytes:
            event = await self._event()
            if not isinstance(event, h11.Data):
                break
            body += event.data
        return body

    async def _event(self) -> h11.Event | type[h11.PAUSED]:
        # Passes the scheduler each time: thousands of one-byte chunks must not hold up the loop.
        await trio.lowlevel.checkpoint()
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event  # type: ignore[return-value] # mypy: does not narrow a sentinel away
            self._http.receive_data(bytes(await self._stream.receive_some(_RECEIVE_BYTES)))


def _readable(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
