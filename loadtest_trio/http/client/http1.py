"""HTTP/1.1 messages as bytes, without I/O (RFC 9112): writes request heads, parses responses.

`httptools` (Node's llhttp) parses in a twentieth of h11's time. Its leniency options stay off, so repeated
lengths and ambiguous framing are errors. A body of known length bypasses the parser, which sees only the
head and the first body bytes; the connection receives the rest directly into its buffer.
"""

from collections.abc import AsyncIterator

import attrs
import httptools
import httpx

Buffer = bytes | bytearray | memoryview

_BODY_EXPECTED = frozenset(("POST", "PUT", "PATCH"))
_STATUS_WITHOUT_BODY = frozenset((204, 304))
_SWITCHING_PROTOCOLS = 101
_FIRST_FINAL_STATUS = 200


class BodyTooLargeError(httpx.RemoteProtocolError):
    """The body of a response is larger than the transport accepts.

    Args:
        limit: The largest accepted body in bytes.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(f"the response body is over {limit} bytes")
        self.limit = limit


class BufferStream(httpx.AsyncByteStream):
    """A body in one buffer, such as a `bytearray`, which httpx's own types would copy.

    httpx adds no headers to a request made with ``stream=``: the caller or the transport sets them all.

    Args:
        buffer: The whole body. It must not change while a request is under way.
    """

    def __init__(self, buffer: Buffer) -> None:
        self.buffer = buffer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.buffer  # type: ignore[misc]  # httpx declares bytes but accepts any buffer


async def raw_body(response: httpx.Response) -> bytes:
    """Return the body of a response as it was sent: without decoding, which `httpx.Response.aread` does."""
    assert isinstance(response.stream, httpx.AsyncByteStream)
    return b"".join([part async for part in response.stream])


async def request_body(request: httpx.Request) -> Buffer:
    """Return the body of a request as one buffer, without a copy if it already is one.

    A streamed body is collected first: S3 requires its length in the head, and a retry sends it again.

    Raises:
        httpx.LocalProtocolError: The body is a synchronous stream.
    """
    if isinstance(request.stream, BufferStream):
        return request.stream.buffer
    if not isinstance(request.stream, httpx.AsyncByteStream):
        raise httpx.LocalProtocolError("the body must be bytes or an asynchronous stream", request=request)
    parts = [part async for part in request.stream]
    return parts[0] if len(parts) == 1 else b"".join(parts)


def request_head(request: httpx.Request, length: int) -> bytes:
    """Write the request line and the headers, in the caller's order and spelling.

    Args:
        request: Its extension ``target``, if any, replaces the path and query of the URL, as in httpcore.
            One `httpx.URL` then serves many requests; parsing one is the largest part of httpx's cost.
        length: The size of the body in bytes; sets ``Content-Length`` if the request has none.

    Raises:
        httpx.LocalProtocolError: A header holds a line break (which would smuggle a request), the target
            holds a blank, or ``Content-Length`` is not the length of the body.
    """
    target: bytes = request.extensions.get("target") or request.url.raw_path
    lines = [b"%b %b HTTP/1.1" % (request.method.encode("ascii"), target)]
    has_host = has_length = False
    for name, value in request.headers.raw:
        match name.lower():
            case b"host":
                has_host = True
            case b"content-length":
                has_length = True
                if value != b"%d" % length:
                    raise httpx.LocalProtocolError(f"the body has {length} bytes, not {value!r}")
            case b"transfer-encoding":
                continue  # the length of the body is known by now
        lines.append(name + b": " + value)
    if not has_host:
        lines.insert(1, b"Host: " + request.url.netloc)
    if not has_length and (length or request.method in _BODY_EXPECTED):
        lines.append(b"Content-Length: %d" % length)
    head = b"\r\n".join(lines) + b"\r\n\r\n"
    breaks = len(lines) + 1
    if (
        head.count(b"\n") != breaks
        or head.count(b"\r") != breaks
        or b"\0" in head
        or lines[0].count(b" ") != 2
    ):
        raise httpx.LocalProtocolError("a header or the target holds a character that HTTP forbids")
    return head


@attrs.frozen
class WireRequest:
    """A request as it is sent.

    Attributes:
        method: The method.
        head: Request line and headers.
        body: The request body.
    """

    method: str
    head: bytes
    body: Buffer


async def wire_request(request: httpx.Request) -> WireRequest:
    """Turn an httpx request into bytes.

    Raises:
        httpx.LocalProtocolError: See `request_body` and `request_head`.
    """
    body = await request_body(request)
    return WireRequest(request.method, request_head(request, len(body)), body)


class ResponseParser:
    """One final response, filled in by the callbacks of the parser; interim responses (1xx) are skipped.

    Attributes:
        status: The status code; 0 until the head is complete.
        headers: Names and values as received.
        body: The part of the body that passed through the parser.
        length: ``Content-Length`` in bytes; None if the body is chunked or ends with the connection.
        head_complete: Whether the head has arrived.
        complete: Whether the whole response has arrived.
        keep_alive: Whether the server accepts another request on this connection.
        first_byte_at: When the first byte arrived, in Trio's clock; 0.0 before.
    """

    def __init__(self, *, bodiless: bool) -> None:
        """Expect a response.

        Args:
            bodiless: The request was a HEAD: no body follows, whatever the head says.
        """
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.length: int | None = None
        self.first_byte_at = 0.0
        self.head_complete = self.complete = self.keep_alive = False
        self._bodiless = bodiless
        self._chunked = False
        self._fault = ""
        self._http: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)

    def feed(self, data: memoryview) -> None:
        """Parse received bytes.

        Raises:
            httpx.RemoteProtocolError: The bytes are not HTTP, or the framing is not accepted.
        """
        assert self._http is not None, "fed after close"
        try:
            self._http.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.complete:
                raise httpx.RemoteProtocolError(self._fault or f"not an HTTP response: {error}") from error
            self.keep_alive = False  # unexpected bytes after the response
        if self._fault:
            raise httpx.RemoteProtocolError(self._fault)

    def feed_end(self) -> None:
        """Note the end of the connection, which also ends a body of unknown length.

        Raises:
            httpx.RemoteProtocolError: The response was cut short.
        """
        if not self.head_complete:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        if self.length is not None or self._chunked:
            raise httpx.RemoteProtocolError("Server disconnected before the end of the body.")
        self.complete = True

    def close(self) -> None:
        """Break the reference cycle with the parser to spare the garbage collector."""
        self._http = None

    # Callbacks of httptools.

    def on_message_begin(self) -> None:
        """Detect an unexpected second response."""
        if self.complete:
            self.keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store a header; trailers, which follow a chunked body, are dropped (RFC 9110, 6.5.1)."""
        if not self.head_complete:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Determine the framing of the body (RFC 9112, 6.3)."""
        if self.complete:
            return
        assert self._http is not None
        status = self._http.get_status_code()
        if status < _FIRST_FINAL_STATUS:
            if status == _SWITCHING_PROTOCOLS:
                self._fault = "the server switched protocols without being asked"
            self.headers.clear()
            return
        self.status = status
        for name, value in self.headers:
            match name.lower():
                case b"content-length":
                    self.length = int(value)
                case b"transfer-encoding":
                    if self._chunked or value.lower() != b"chunked":
                        self._fault = f"unsupported transfer coding {value!r}"
                    self._chunked = True
        self.keep_alive = self._http.should_keep_alive()
        self.head_complete = True
        self.complete = self._bodiless or status in _STATUS_WITHOUT_BODY

    def on_body(self, data: bytes) -> None:
        """Store a part of the body."""
        if self.complete:
            self.keep_alive = False
        else:
            self.body += data

    def on_message_complete(self) -> None:
        """Detect the end of the final response; an interim response leaves `head_complete` unset."""
        self.complete = self.head_complete
