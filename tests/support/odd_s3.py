"""An S3 that answers as told, byte for byte: for answers that no real server gives on demand.

It keeps objects in memory, checks no signature, and knows GET, PUT, DELETE and ListObjectsV2 of path-style
addresses. An `Oddity` replaces the answers to some of the requests.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

import attrs
import trio

Affects = Callable[[str, str], bool]
"""Whether a request is answered oddly, by kind (GET, PUT, DELETE, LIST) and key."""


def answer(status: int = 200, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    """Write a response.

    Args:
        status: The status code.
        body: The body.
        *headers: Whole header lines.
        length: What Content-Length says instead of the truth.
    """
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def refusal(status: int, code: str, *headers: str) -> bytes:
    """Write an S3 error response."""
    document = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>No.</Message></Error>'
    return answer(status, document.encode(), "Content-Type: application/xml", *headers)


@attrs.define
class Oddity:
    """An odd answer.

    Attributes:
        response: The bytes to send; the connection is closed behind them if they are not a whole response.
        affects: Which requests get it.
        times: How many requests get it.
        closes: Whether the connection is closed behind it.
        delay: Seconds before it.
    """

    response: bytes
    affects: Affects = lambda kind, key: True
    times: int = 2**60
    closes: bool = False
    delay: float = 0.0


@attrs.define
class OddS3:
    """The server.

    Attributes:
        objects: Key -> contents.
        oddities: Tried in order.
        listed: Key -> further elements of its entry in a listing, such as a storage class.
        requests: How many arrived, by kind.
        accepted_key: Requests signed with another access key get InvalidAccessKeyId; "": none do.
        port: Where it listens.
    """

    objects: dict[str, bytes] = attrs.field(factory=dict)
    oddities: list[Oddity] = attrs.field(factory=list)
    listed: dict[str, str] = attrs.field(factory=dict)
    requests: Counter[str] = attrs.field(factory=Counter)
    accepted_key: str = ""
    port: int = 0

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["OddS3"]:
        """Serve for the length of the block."""
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            self.port = listeners[0].socket.getsockname()[1]
            nursery.start_soon(trio.serve_listeners, self._connection, listeners)
            yield self
            nursery.cancel_scope.cancel()

    async def _connection(self, stream: trio.SocketStream) -> None:
        received = b""
        try:
            while True:
                while b"\r\n\r\n" not in received:
                    received += await _more(stream)
                head, _, received = received.partition(b"\r\n\r\n")
                lines = head.decode("latin-1").split("\r\n")
                length = next((int(x[15:]) for x in lines if x.lower().startswith("content-length:")), 0)
                while len(received) < length:
                    received += await _more(stream)
                body, received = received[:length], received[length:]
                method, target, _ = lines[0].split(" ")
                if f"Credential={self.accepted_key}" not in head.decode("latin-1"):
                    await stream.send_all(refusal(403, "InvalidAccessKeyId"))
                elif not await self._answer(stream, method, target, body):
                    return
        except (trio.BrokenResourceError, trio.ClosedResourceError, EOFError):
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async def _answer(self, stream: trio.SocketStream, method: str, target: str, body: bytes) -> bool:
        key = unquote(target.partition("?")[0]).partition("/")[2].partition("/")[2]
        kind = method if key else "LIST"
        self.requests[kind] += 1
        for oddity in self.oddities:
            if oddity.times > 0 and oddity.affects(kind, key):
                oddity.times -= 1
                await trio.sleep(oddity.delay)
                await stream.send_all(oddity.response)
                return not oddity.closes
        await stream.send_all(self._usual(kind, key, body))
        return True

    def _usual(self, kind: str, key: str, body: bytes) -> bytes:
        match kind:
            case "LIST":
                return answer(200, self.listing(), "Content-Type: application/xml")
            case "PUT":
                self.objects[key] = body
                return answer(200, b"", 'ETag: "0"')
            case "DELETE":
                self.objects.pop(key, None)
                return b"HTTP/1.1 204 No Content\r\n\r\n"
        if key in self.objects:
            return answer(200, self.objects[key], 'ETag: "0"')
        return refusal(404, "NoSuchKey")

    def listing(self) -> bytes:
        """Return the listing of all objects on one page."""
        entries = "".join(
            f"<Contents><Key>{escape(quote(key))}</Key><Size>{len(body)}</Size>{self.listed.get(key, '')}"
            "</Contents>"
            for key, body in sorted(self.objects.items())
        )
        return (
            "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>"
            f"{entries}</ListBucketResult>"
        ).encode()


async def _more(stream: trio.SocketStream) -> bytes:
    data = await stream.receive_some()
    if not data:
        raise EOFError
    return bytes(data)
