"""Non-blocking byte streams: TCP here, TLS in `tls.py`.

A stream never waits by itself: it raises `BlockingIOError` if there are no bytes, and the caller decides
when and how long to wait. Trio's `SocketStream` executes a checkpoint after every successful `recv`, a full
turn of the event loop; waiting only when the kernel has no bytes leaves one wait per response.
"""

import socket
from typing import Protocol

import trio

from loadtest_trio.http.client.http1 import Buffer
from loadtest_trio.http.client.request_timeout import RequestTimeout


class Stream(Protocol):
    """The interface of a TCP or TLS stream."""

    @property
    def bytes_sent(self) -> int:
        """Number of bytes that the kernel has accepted."""

    def receive_nowait(self, into: memoryview) -> int:
        """Receive up to ``len(into)`` bytes; 0 is the end. Raises BlockingIOError if there are none yet."""

    async def wait_readable(self) -> None:
        """Wait until `receive_nowait` may return bytes."""

    async def send(self, head: bytes, body: Buffer, timeout: RequestTimeout) -> None:
        """Send head and body without joining them; restarts the timeout's write phase before every wait."""

    def fileno(self) -> int:
        """Return the socket's descriptor, for a selector."""

    def wake(self) -> None:
        """Make tasks that wait for the socket raise `trio.ClosedResourceError`; does not close it."""

    def close(self) -> None:
        """Close the socket without waiting, so that a cancelled task can do it."""


class TcpStream:
    """A connected TCP socket.

    Args:
        sock: A non-blocking socket; this object owns it from now on.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._fd = sock.fileno()
        self.bytes_sent = 0

    def receive_nowait(self, into: memoryview) -> int:
        """See `Stream.receive_nowait`."""
        return self._socket.recv_into(into)

    async def wait_readable(self) -> None:
        """See `Stream.wait_readable`."""
        await trio.lowlevel.wait_readable(self._fd)

    async def send(self, head: bytes, body: Buffer, timeout: RequestTimeout) -> None:
        """See `Stream.send`: a single `sendmsg` if the kernel's buffer has room."""
        sent = self._send_nowait([head, body])
        if sent == len(head) + len(body):
            return
        for part in (head, body):
            with memoryview(part) as view:
                while sent < len(view):
                    timeout.start("write")
                    await trio.lowlevel.wait_writable(self._fd)
                    sent += self._send_nowait([view[sent:]])
                sent -= len(view)

    def _send_nowait(self, parts: list[Buffer]) -> int:
        try:
            sent = self._socket.sendmsg(parts)
        except BlockingIOError:
            return 0
        self.bytes_sent += sent
        return sent

    def fileno(self) -> int:
        """See `Stream.fileno`."""
        return self._fd

    def wake(self) -> None:
        """See `Stream.wake`."""
        trio.lowlevel.notify_closing(self._fd)

    def close(self) -> None:
        """See `Stream.close`."""
        self._socket.close()


async def connect(host: str, port: int) -> socket.socket:
    """Connect to a host by name; Trio tries its addresses as in RFC 8305 (happy eyeballs).

    Returns:
        A non-blocking socket for a stream to own.

    Raises:
        OSError: The name is unknown or the connection was refused.
    """
    stream = await trio.open_tcp_stream(host, port)
    sock = socket.socket(fileno=stream.socket.detach())
    sock.setblocking(False)
    # Trio sets TCP_NODELAY, which we want, and TCP_NOTSENT_LOWAT to 16 KB, which would split an upload into
    # a dozen waits; 0 restores the system's default.
    sock.setsockopt(socket.IPPROTO_TCP, trio.socket.TCP_NOTSENT_LOWAT, 0)
    return sock
