"""HTTP/1.1 as bytes, without any input or output (RFC 9112): a request's head out, a response in.

Parsing is `httptools`' (Node's llhttp), which takes a twentieth of h11's time. Its leniencies stay
switched off, so doubled lengths and smuggled framing are errors. Only where a body's length is known
does the parser stop early: it sees the head and the few body bytes that came with it, and the
connection receives the rest straight into its buffer.
"""

from collections.abc import AsyncIterator

import httptools
import httpx

Buffer = bytes | bytearray | memoryview

_BODY_EXPECTED = frozenset(("POST", "PUT", "PATCH"))
_STATUS_WITHOUT_BODY = frozenset((204, 304))
_SWITCHING_PROTOCOLS = 101
_FIRST_FINAL_STATUS = 200


class BufferStream(httpx.AsyncByteStream):
    """A body that is one buffer already, such as a `bytearray`, which httpx's own types would copy.

    A request made with ``stream=`` gets no header from httpx: the caller (or the transport) gives all.

    Args:
        buffer: The whole body. It must not change while a request is under way.
    """

    def __init__(self, buffer: Buffer) -> None:
        self.buffer = buffer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.buffer  # type: ignore[misc]  # httpx says bytes, and takes any buffer (join, send)


async def request_body(request: httpx.Request) -> Buffer:
    """Return a request's body as one buffer, without a copy when it is one already.

    A streamed body is gathered first: S3 wants its length in the head, and a retry wants it again.

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
        request: Its extension ``target``, if any, replaces the URL's path and query, as in httpcore: so
            one `httpx.URL` serves many requests (parsing one costs more than all else that httpx does).
        length: The size of the body in bytes; the header is added where the caller left it out.

    Raises:
        httpx.LocalProtocolError: A line break in a header (it would smuggle a request), a blank in the
            target, or a ``Content-Length`` that is not the body's.
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
                continue  # the body is gathered: its length is known
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


class ResponseParser:
    """One final response, filled in by the parser's callbacks; interim ones (1xx) are skipped.

    Attributes:
        status: The status code, 0 until the head is complete.
        headers: Name and value as received.
        body: What of the body came through the parser.
        length: ``Content-Length`` in bytes, None when the body is chunked or ends with the connection.
        head_complete: The head has arrived.
        complete: The whole response has arrived.
        keep_alive: The server will take another request on this connection.
        first_byte_at: When its first byte had arrived, in Trio's clock; 0.0 before.
        encoded: The body has a ``Content-Encoding``.
    """

    def __init__(self, *, bodiless: bool) -> None:
        """Expect a response.

        Args:
            bodiless: The request was a HEAD: whatever the head says, no body follows.
        """
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.length: int | None = None
        self.first_byte_at = 0.0
        self.head_complete = self.complete = self.keep_alive = self.encoded = False
        self._bodiless = bodiless
        self._chunked = False
        self._fault = ""
        self._http: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)

    def feed(self, data: memoryview) -> None:
        """Take what the server sent.

        Raises:
            httpx.RemoteProtocolError: That is not HTTP, or framed in a way that we refuse.
        """
        assert self._http is not None, "fed after close"
        try:
            self._http.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.complete:
                raise httpx.RemoteProtocolError(self._fault or f"not an HTTP response: {error}") from error
            self.keep_alive = False  # bytes after the response: nobody asked for them
        if self._fault:
            raise httpx.RemoteProtocolError(self._fault)

    def feed_end(self) -> None:
        """Take the end of the connection, which is also the end of a body of unknown length.

        Raises:
            httpx.RemoteProtocolError: The response was cut short.
        """
        if not self.head_complete:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        if self.length is not None or self._chunked:
            raise httpx.RemoteProtocolError("Server disconnected before the end of the body.")
        self.complete = True

    def close(self) -> None:
        """Break the reference cycle with the parser, so that the garbage collector has nothing to do."""
        self._http = None

    # The callbacks of httptools.

    def on_message_begin(self) -> None:
        """Notice a second response that nobody asked for."""
        if self.complete:
            self.keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Decide how the body is framed (RFC 9112, 6.3)."""
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
                case b"content-encoding":
                    self.encoded = True
                case b"transfer-encoding":
                    if self._chunked or value.lower() != b"chunked":
                        self._fault = f"unsupported transfer coding {value!r}"
                    self._chunked = True
        self.keep_alive = self._http.should_keep_alive()
        self.head_complete = True
        self.complete = self._bodiless or status in _STATUS_WITHOUT_BODY

    def on_body(self, data: bytes) -> None:
        """Keep a part of the body."""
        if self.complete:
            self.keep_alive = False
        else:
            self.body += data

    def on_message_complete(self) -> None:
        """Notice the end of the final response; an interim one leaves `head_complete` unset."""
        self.complete = self.head_complete
