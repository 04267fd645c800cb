"""One connection to Redis on the event loop: a command out, its reply in.

redis-py connects, in a thread: names, TLS, login, database. That happens seldom. From then on its socket is
used here without blocking: a call in a thread costs more than twice as much, for two hand-overs and two waits
for the interpreter's lock, which the event loop holds (benchmarks/README.md, "Findings").

A call that has begun is never cut short from outside: it may be a claim, and the messages it takes would be
forgotten. It ends by itself, since every wait on the socket is bounded.
"""

import ssl
from typing import Any

import hiredis
import redis
import trio
from redis.connection import DefaultParser
from trio.lowlevel import wait_readable, wait_writable

_RECEIVE_BYTES = 64 * 1024
_INCOMPLETE = object()
_LATER = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Wire:
    """A connected socket, and the parser of what arrives on it.

    Args:
        connection: redis-py's, which has connected; this object owns it.
        timeout: For sending and between two parts of a reply, in seconds.

    Attributes:
        reply_seconds: For a whole reply.
    """

    reply_seconds = 10.0

    def __init__(self, connection: Any, timeout: float) -> None:
        self._connection = connection
        self._socket = connection._sock
        self._socket.setblocking(False)
        self._fd = self._socket.fileno()
        self._tls = isinstance(self._socket, ssl.SSLSocket)
        self._timeout = timeout
        parser: Any = DefaultParser
        self._reader = hiredis.Reader(
            protocolError=redis.InvalidResponse, replyError=parser.parse_error, notEnoughData=_INCOMPLETE
        )

    async def exchange(self, command: tuple[object, ...]) -> Any:
        """Send a command and receive its reply.

        After any error but that of an error reply the connection must be closed.

        Returns:
            The reply: bytes, int, None or a list.

        Raises:
            redis.ResponseError: An error reply, or another of redis-py's classes for one.
            redis.TimeoutError: Nothing was taken, or nothing came, for too long.
            redis.ConnectionError: The server closed the connection.
            OSError: The connection broke.
        """
        data = hiredis.pack_command(command)  # type: ignore[arg-type]  # its own says one element
        began = trio.current_time()
        with trio.CancelScope(shield=True, deadline=began + self._timeout) as scope:
            sent = self._send_nowait(data)
            if sent < len(data):
                await self._send_rest(memoryview(data)[sent:], scope)
            reply = await self._receive(scope, began + self.reply_seconds)
            if isinstance(reply, Exception):
                raise reply
            return reply
        raise redis.TimeoutError(f"no whole reply within {trio.current_time() - began:.1f} s")

    def close(self) -> None:
        """Close the socket, at once."""
        self._connection.disconnect()

    async def _send_rest(self, data: memoryview, scope: trio.CancelScope) -> None:
        while data:
            await wait_writable(self._fd)
            sent = self._send_nowait(data)
            data = data[sent:]
            scope.deadline = trio.current_time() + self._timeout

    def _send_nowait(self, data: bytes | memoryview) -> int:
        try:
            return int(self._socket.send(data))
        except _LATER:
            return 0

    async def _receive(self, scope: trio.CancelScope, end: float) -> Any:
        while True:
            await wait_readable(self._fd)
            self._take()
            reply = self._reader.gets()
            if reply is not _INCOMPLETE:
                return reply
            scope.deadline = min(end, trio.current_time() + self._timeout)

    def _take(self) -> None:
        """Give everything that has arrived to the parser."""
        while True:
            try:
                data = self._socket.recv(_RECEIVE_BYTES)
            except _LATER:
                return
            if not data:
                raise redis.ConnectionError("Connection closed by server.")
            self._reader.feed(data)
            if len(data) < _RECEIVE_BYTES and not (self._tls and self._socket.pending()):
                return  # to ask once more would cost a system call and an exception
