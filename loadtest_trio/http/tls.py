"""TLS as a `Stream`: Python's `ssl` on the non-blocking socket itself.

Alternatives, by the CPU of a 200 KB GET or PUT over TLS 1.3: `trio.SSLStream` passes the scheduler at every
record of 16 KB; a pump of our own between the socket and two `ssl.MemoryBIO`s makes a quarter of the system
calls, but copies each byte twice more, and came out a tenth dearer, besides half a megabyte of buffers a
connection. `ssl.SSLSocket` decrypts from the kernel's buffer into ours and encrypts from ours.
"""

import socket
import ssl
from contextlib import ExitStack

import trio

from loadtest_trio.http.client.http1 import Buffer
from loadtest_trio.http.client.request_timeout import Timer


class TlsStream:
    """The client's end of a TLS session, a `Stream`; to be opened by `open_tls`.

    Args:
        sock: Non-blocking; this object owns it from now on.
    """

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._socket = sock
        self._fd = sock.fileno()
        self.bytes_sent = 0

    async def handshake(self) -> None:
        """Agree on keys and check the certificate.

        Raises:
            OSError: The connection broke or, as `ssl.SSLError`, the certificate was refused.
        """
        while True:
            try:
                return self._socket.do_handshake()
            except ssl.SSLWantReadError:
                await trio.lowlevel.wait_readable(self._fd)
            except ssl.SSLWantWriteError:
                await trio.lowlevel.wait_writable(self._fd)

    def receive_nowait(self, into: memoryview) -> int:
        """See `Stream.receive_nowait`. An end without close_notify, which may be a cut, is an OSError.

        Takes as many records as there are; what stops it short is raised by the next call.
        """
        received = 0
        try:
            while received < len(into):
                count = self._socket.recv_into(into[received:])
                if not count:
                    break
                received += count
        except ssl.SSLWantReadError:
            if not received:
                raise BlockingIOError from None
        except OSError:
            if not received:
                raise
        return received

    async def wait_readable(self) -> None:
        """See `Stream.wait_readable`; only after `receive_nowait` has said that OpenSSL holds nothing."""
        await trio.lowlevel.wait_readable(self._fd)

    async def send(self, head: bytes, body: Buffer, timer: Timer) -> None:
        """See `Stream.send`: a record a system call, as OpenSSL has it."""
        for part in (head, body):
            with memoryview(part) as view:
                sent = 0
                while sent < len(view):
                    try:
                        count = self._socket.send(view[sent:])
                    except ssl.SSLWantWriteError:
                        timer.start("write")
                        await trio.lowlevel.wait_writable(self._fd)
                    else:
                        sent += count
                        self.bytes_sent += count

    def fileno(self) -> int:
        """See `Stream.fileno`."""
        return self._fd

    def wake(self) -> None:
        """See `Stream.wake`."""
        trio.lowlevel.notify_closing(self._fd)

    def close(self) -> None:
        """See `Stream.close`. Sends no close_notify: HTTP's own framing tells whole from cut short."""
        self._socket.close()


async def open_tls(sock: socket.socket, context: ssl.SSLContext, host: str) -> TlsStream:
    """Put TLS on a connected, non-blocking socket, or close it.

    Args:
        sock: Connected.
        context: What to verify and to offer.
        host: The name that the server's certificate must bear.

    Raises:
        OSError: The handshake failed; `ssl.SSLCertVerificationError` says why a certificate was refused.
    """
    with ExitStack() as on_failure:
        on_failure.callback(sock.close)  # closes nothing once wrap_socket has taken the socket over
        secured = context.wrap_socket(
            sock, server_hostname=host, do_handshake_on_connect=False, suppress_ragged_eofs=False
        )
        on_failure.callback(secured.close)
        stream = TlsStream(secured)
        await stream.handshake()
        on_failure.pop_all()
    return stream
