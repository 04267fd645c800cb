"""A client's socket, with what was received from it and the deadlines of the waits for it.

Trying comes first and waiting second: most answers fit into the system's buffer, and are sent without a pass
through Trio's scheduler.
"""

import contextlib
import socket
import struct

import trio
from trio.lowlevel import wait_readable, wait_writable

from loadtest_trio.http.server.app_errors import ClientDisconnectedError
from loadtest_trio.http.server.asgi import Buffer
from loadtest_trio.http.server.shared import NEVER, Shared

_RECEIVE_BYTES = 16 * 1024
_LINGER_SECONDS = 1.0
_RESET = struct.pack("ii", 1, 0)  # struct linger: on, for 0 s


class SlowClientError(Exception):
    """A wait for the client ended by `Channel.wake`."""


class Channel:
    """A connected socket.

    Args:
        sock: Non-blocking; `close` closes it.
        client: Host and port of the client.
        shared: What it shares with the others of its server.

    Attributes:
        buffer: Bytes received and not yet used.
        read_deadline: When the present wait for bytes has taken too long, in Trio's clock.
        write_deadline: When the present wait to send has taken too long.
        idle: It waits for a request of which no byte has arrived.
        used: It has carried a request.
        broken: An answer was cut short.
    """

    __slots__ = (
        "_fd",
        "_sock",
        "broken",
        "buffer",
        "client",
        "idle",
        "read_deadline",
        "shared",
        "used",
        "write_deadline",
    )

    def __init__(self, sock: socket.socket, client: tuple[str, int], shared: Shared) -> None:
        self._sock = sock
        self._fd = sock.fileno()
        self.client = client
        self.shared = shared
        self.buffer = b""
        self.read_deadline = self.write_deadline = NEVER
        self.idle = self.used = self.broken = False

    async def wait_for_request(self) -> bool:
        """Wait for the first bytes of a request; return whether there are any."""
        self.idle = True
        self.read_deadline = self.shared.idle_deadline
        try:
            while not self.buffer:
                if not self.shared.draining:
                    await wait_readable(self._fd)
                if not self.receive_nowait() and self.shared.draining:
                    return False
                if self.buffer.startswith(b"\r\n"):  # an empty line may precede a request (RFC 9112, 2.2)
                    self.buffer = self.buffer[2:]
        except trio.ClosedResourceError:
            return self.receive_nowait()  # a request may have crossed the decision to close
        finally:
            self.idle = False
            self.read_deadline = NEVER
        return True

    async def receive(self) -> None:
        """Wait until something arrives, and add it to the buffer.

        Raises:
            ClientDisconnectedError: Nothing will arrive any more.
            SlowClientError: Somebody called `wake`.
        """
        while True:
            try:
                await wait_readable(self._fd)
            except trio.ClosedResourceError:
                raise SlowClientError from None
            if self.receive_nowait():
                return

    def receive_nowait(self) -> bool:
        """Add what has arrived to the buffer; return whether that is anything.

        Raises:
            ClientDisconnectedError: Nothing will arrive any more.
        """
        try:
            data = self._sock.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            raise ClientDisconnectedError("the client reset the connection") from error
        if not data:
            raise ClientDisconnectedError("the client closed the connection")
        self.buffer = self.buffer + data if self.buffer else data
        return True

    def send_nowait(self, data: Buffer) -> int:
        """Send what the system takes at once, and return how many bytes that is.

        Raises:
            ClientDisconnectedError: The client is gone.
        """
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            self.broken = True
            raise ClientDisconnectedError("the client is gone") from error

    async def send(self, data: Buffer) -> None:
        """Send all of it. If that fails or is cancelled, the channel is broken.

        Raises:
            ClientDisconnectedError: The client is gone, or took nothing for too long.
        """
        self.broken = True
        view = memoryview(data)
        while view := view[self.send_nowait(view) :]:
            self.write_deadline = self.shared.soon + self.shared.limits.write_seconds
            try:
                await wait_writable(self._fd)
            except trio.ClosedResourceError:
                raise ClientDisconnectedError("the client takes no bytes") from None
            finally:
                self.write_deadline = NEVER
        self.broken = False

    def wake(self) -> None:
        """Let whoever waits for the socket find that the time is up."""
        trio.lowlevel.notify_closing(self._fd)

    async def linger(self) -> None:
        """Say that nothing more will be sent, and drop for a moment what still arrives.

        Closing a socket with unread bytes resets the connection, and the client's system may then throw the
        answer away before the client has read it.

        Raises:
            ClientDisconnectedError: The client has closed its side: the answer has arrived.
            SlowClientError: It has not, and the moment is over.
        """
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
        self.read_deadline = self.shared.soon + _LINGER_SECONDS
        while True:
            self.buffer = b""
            await self.receive()

    def close(self) -> None:
        """Close the socket, at once."""
        if self.broken:  # or half an answer that ends with the connection would be taken for a whole one
            with contextlib.suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._sock.close()
