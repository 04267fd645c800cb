"""Non-blocking byte streams: TCP here, TLS in `tls.py`.

A stream moves bytes without waiting and raises `BlockingIOError` when there are none to move; its user
decides when to wait, and for how long. Trio's own `SocketStream` passes through the scheduler after every
successful `recv`, a whole turn of the loop; trying first and waiting only when the kernel has nothing
leaves one wait a response.
"""

import socket
from typing import Protocol

import trio

from loadtest_trio.http.client.http1 import Buffer
from loadtest_trio.http.client.request_timeout import Timer


class Stream(Protocol):
    """What a connection needs of TCP or TLS."""

    @property
    def bytes_sent(self) -> int:
        """What the kernel has taken so far."""

    def receive_nowait(self, into: memoryview) -> int:
        """Receive up to ``len(into)`` bytes; 0 is the end. Raises BlockingIOError when there are none yet."""

    async def wait_readable(self) -> None:
        """Wait until `receive_nowait` may find something."""

    async def send(self, head: bytes, body: Buffer, timer: Timer) -> None:
        """Send both, without joining them."""

    def fileno(self) -> int:
        """Return the socket's descriptor, for a selector."""

    def wake(self) -> None:
        """Let who waits for the socket find it closed; it is not yet."""

    def close(self) -> None:
        """Close the socket at once; never waits, so a cancelled task can do it."""


class TcpStream:
    """A connected TCP socket.

    Args:
        sock: Non-blocking; this object owns it from now on.
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

    async def send(self, head: bytes, body: Buffer, timer: Timer) -> None:
        """See `Stream.send`: one `sendmsg` when the kernel's buffer has the room."""
        sent = self._send_nowait([head, body])
        if sent == len(head) + len(body):
            return
        for part in (head, body):
            with memoryview(part) as view:
                while sent < len(view):
                    timer.start("write")
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
    """Connect by name, trying the addresses as RFC 8305 (happy eyeballs) says; Trio does that.

    Returns:
        A non-blocking socket, for a stream to own.

    Raises:
        OSError: The name is unknown or nobody listens.
    """
    stream = await trio.open_tcp_stream(host, port)
    sock = socket.socket(fileno=stream.socket.detach())
    sock.setblocking(False)
    # Trio's stream has set TCP_NODELAY, which we want, and TCP_NOTSENT_LOWAT to 16 KB, which would cut an
    # upload into a dozen waits; 0 is the system's default.
    sock.setsockopt(socket.IPPROTO_TCP, trio.socket.TCP_NOTSENT_LOWAT, 0)
    return sock
