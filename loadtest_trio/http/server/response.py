"""A response as bytes, out of the messages of ASGI (RFC 9112, 6), without input or output."""

from http import HTTPStatus

from loadtest_trio.http.server.app_errors import AppError
from loadtest_trio.http.server.asgi import Buffer, Message

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}".encode()
    for status in HTTPStatus
    if status >= HTTPStatus.OK
}
_HIGHEST_STATUS = 999
_BODILESS = frozenset((204, 304))  # they have no body, and tell no length
_OURS = frozenset((b"content-length", b"transfer-encoding", b"connection", b"date"))


class Response:
    """Turns one response into bytes and holds the application to the rules.

    Args:
        method: Of the request: the answer to HEAD has no body.
        version: Of the request: HTTP/1.0 knows no chunks.

    Attributes:
        begun: Bytes of it were made.
        complete: All of its bytes were made.
        close: The connection ends with it.
    """

    __slots__ = (
        "_bodiless",
        "_chunked",
        "_left",
        "_method",
        "_start",
        "_version",
        "begun",
        "close",
        "complete",
    )

    def __init__(self, method: str, version: str) -> None:
        self._method = method
        self._version = version
        self._start: Message | None = None
        self._left: int | None = None  # bytes of body that must follow, if their number is known
        self._bodiless = self._chunked = False
        self.begun = self.complete = self.close = False

    def start(self, message: Message) -> None:
        """Take ``http.response.start``; its bytes are made together with those of the body.

        Raises:
            AppError: The response has started already.
        """
        if self._start is not None:
            raise AppError("the response has started already")
        self._start = message

    def encode(self, body: Buffer, more: bool, date: bytes, close: bool) -> bytes:
        """Return the bytes for a part of the body, with the head before the first.

        Args:
            body: The part, which may be empty.
            more: Further parts follow.
            date: The header line with the date, without its end.
            close: The server is going to close the connection after this response.

        Raises:
            AppError: ASGI or HTTP forbid this response.
        """
        if self.complete:
            raise AppError("the response has ended already")
        head = b"" if self.begun else self._head(len(body), more, date, close)
        if self._left is not None and not self._bodiless:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise AppError("the body is not as long as Content-Length says")
        self.begun = True
        self.complete = not more
        if self._bodiless:
            return head
        if self._chunked:
            chunk = b"%x\r\n%b\r\n" % (len(body), bytes(body)) if body else b""
            return head + chunk + (b"" if more else b"0\r\n\r\n")
        return head + body

    def _head(self, size: int, more: bool, date: bytes, close: bool) -> bytes:
        if self._start is None:
            raise AppError("the response has not started")
        status = self._start["status"]
        lines = [_STATUS_LINES.get(status) or _unnamed_status_line(status)]
        self.close = close
        dated = False
        for header in self._start.get("headers", ()):
            name = header[0].lower()
            if name in _OURS:
                if name == b"date":
                    dated = True
                elif not self._heed(name, header[1]):
                    continue
            lines.append(b": ".join(header))
        if not dated:
            lines.append(date)
        self._bodiless = status in _BODILESS or self._method == "HEAD"
        if self._left is None and status not in _BODILESS:
            self._frame(lines, size, more)
        if self.close:
            lines.append(b"connection: close")
        elif self._version == "1.0":
            lines.append(b"connection: keep-alive")
        lines.append(b"\r\n")
        head = b"\r\n".join(lines)
        if len(head.translate(None, b"\r\n\0")) != len(head) - 2 * len(lines):
            raise AppError("a header of the response holds a line break or a NUL")
        return head

    def _heed(self, name: bytes, value: bytes) -> bool:
        """Heed a header that is the server's affair; return whether it is sent as it is."""
        if name == b"content-length":
            if not value.isdigit() or self._left is not None:
                raise AppError(f"Content-Length is not one number: {value!r}")
            self._left = int(value)
            return True
        if name == b"connection" and b"close" in value.lower():
            self.close = True
        return False

    def _frame(self, lines: list[bytes], size: int, more: bool) -> None:
        """Decide how the client finds the end of a body whose length the application did not tell.

        Args:
            lines: Of the head, which may get another one.
            size: Bytes of the first part.
            more: There are further parts.
        """
        if not more:
            if size or not self._bodiless:  # an empty answer to HEAD does not tell the length of one to GET
                self._left = size
                lines.append(b"content-length: %d" % size)
        elif self._version == "1.1":
            self._chunked = True
            lines.append(b"transfer-encoding: chunked")
        else:
            self.close = True


def whole_response(messages: tuple[Message, Message], date: bytes) -> bytes:
    """Return the bytes of a response that no application made.

    Args:
        messages: The start and the only part of the body.
        date: The header line with the date, without its end.
    """
    response = Response("GET", "1.1")
    response.start(messages[0])
    return response.encode(messages[1]["body"], False, date, True)


def _unnamed_status_line(status: object) -> bytes:
    if not (isinstance(status, int) and HTTPStatus.OK <= status <= _HIGHEST_STATUS):
        raise AppError(f"{status!r} is not the status of a response")
    return b"HTTP/1.1 %d " % status
