"""A request's body out of the bytes behind its head (RFC 9112, 6 and 7.1), without input or output.

Both kinds are asked in the same way: ``take`` what the connection has buffered, until ``complete``.
"""

import re
from collections.abc import Callable
from typing import Protocol

from loadtest_trio.http.server.refusal import RefusedError

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_SIZE_LINE = re.compile(
    rb"([0-9A-Fa-f]{1,16})(?:;" + _TOKEN + rb"(?:=(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?)*\r\n"
)
_SIZE_LINE_BEGUN = re.compile(rb"[0-9A-Fa-f]{1,16}(?:;[\t -~\x80-\xff]*)?\r?")
_TRAILER_LINE = re.compile(rb"(?:" + _TOKEN + rb":[\t -~\x80-\xff]*)?\r\n")
_TRAILER_LINE_BEGUN = re.compile(rb"(?:" + _TOKEN + rb"(?::[\t -~\x80-\xff]*)?)?\r?")
_LONGEST_LINE = 1024
_MOST_TRAILERS = 100
# How much longer than the body its framing may be: chunks of one byte each are a way to waste our time.
_MOST_FRAMING = 16 * 1024


class Body(Protocol):
    """What a connection needs of a body."""

    complete: bool
    """All of it was taken."""

    def ends_within(self, buffer: bytes, /) -> bool:
        """Whether the rest of it is known to be in a buffer."""

    def take(self, buffer: bytes) -> tuple[bytes, bytes]:
        """Return the part of the body that the buffer begins with, and the rest of the buffer.

        Raises:
            RefusedError: It is malformed or too long.
        """


class SizedBody:
    """A body whose length the head told.

    Args:
        length: In bytes, more than none.
    """

    __slots__ = ("_left", "complete")

    def __init__(self, length: int) -> None:
        self._left = length
        self.complete = False

    def ends_within(self, buffer: bytes) -> bool:
        """See `Body.ends_within`."""
        return self._left <= len(buffer)

    def take(self, buffer: bytes) -> tuple[bytes, bytes]:
        """See `Body.take`."""
        data = buffer[: self._left]
        self._left -= len(data)
        self.complete = not self._left
        return data, buffer[len(data) :]


class ChunkedBody:
    """A body in chunks; their extensions and the trailers are checked and dropped.

    Args:
        limit: Most bytes of body.
    """

    __slots__ = ("_framing", "_left", "_limit", "_next", "_taken", "_trailers", "complete")

    def __init__(self, limit: int) -> None:
        self.complete = False
        self._limit = limit
        self._left = 0  # of the chunk that is being read
        self._taken = self._framing = self._trailers = 0
        # Reads what comes next at a position and returns how far it got: no further, it needs more bytes.
        # (A function, because a bound method would be a reference cycle.)
        self._next: Callable[[ChunkedBody, bytes, int, list[bytes]], int] = ChunkedBody._size

    def ends_within(self, _: bytes) -> bool:
        """See `Body.ends_within`: chunks are not read ahead to find out."""
        return self.complete

    def take(self, buffer: bytes) -> tuple[bytes, bytes]:
        """See `Body.take`."""
        at, before = -1, 0
        parts: list[bytes] = []
        while at != before and not self.complete:
            at, before = before, self._next(self, buffer, before, parts)
        data = b"".join(parts)
        self._framing += before - len(data)
        if self._framing > _MOST_FRAMING + self._taken:
            raise RefusedError(400, "the chunks are too small, or what is around them too long")
        return data, buffer[before:]

    def _size(self, buffer: bytes, at: int, _: list[bytes]) -> int:
        line = _SIZE_LINE.match(buffer, at)
        if line is None:
            return _line_to_come(buffer, at, _SIZE_LINE_BEGUN)
        self._left = int(line[1], 16)
        if self._taken + self._left > self._limit:
            raise RefusedError(413, f"the body is longer than {self._limit} bytes")
        self._next = ChunkedBody._data if self._left else ChunkedBody._trailer
        return line.end()

    def _data(self, buffer: bytes, at: int, parts: list[bytes]) -> int:
        data = buffer[at : at + self._left]
        parts.append(data)
        self._left -= len(data)
        self._taken += len(data)
        if not self._left:
            self._next = ChunkedBody._data_end
        return at + len(data)

    def _data_end(self, buffer: bytes, at: int, _: list[bytes]) -> int:
        end = buffer[at : at + 2]
        if end == b"\r\n":
            self._next = ChunkedBody._size
            return at + 2
        if end not in (b"", b"\r"):
            raise RefusedError(400, "a chunk does not end where its size says")
        return at

    def _trailer(self, buffer: bytes, at: int, _: list[bytes]) -> int:
        line = _TRAILER_LINE.match(buffer, at)
        if line is None:
            return _line_to_come(buffer, at, _TRAILER_LINE_BEGUN)
        self._trailers += 1
        if self._trailers > _MOST_TRAILERS:
            raise RefusedError(431, f"more than {_MOST_TRAILERS} trailer lines")
        self.complete = line.end() - at == 2
        return line.end()


def _line_to_come(buffer: bytes, at: int, begun: re.Pattern[bytes]) -> int:
    """Return the same position, when a line that is not whole can still become one."""
    if at < len(buffer) and not begun.fullmatch(buffer, at):
        raise RefusedError(400, "malformed chunk")
    if len(buffer) - at > _LONGEST_LINE:
        raise RefusedError(400, "a line of a chunked body is too long")
    return at
