"""TLS as a `Stream`: an `ssl.SSLSocket` on the non-blocking socket.

Alternatives, by the CPU of a 200 KB GET or PUT over TLS 1.3: `trio.SSLStream` executes a checkpoint at
every record of 16 KB. Copying between the socket and two `ssl.MemoryBIO`s makes a quarter of the system calls
but two more copies of each byte; it cost a tenth more CPU, and half a megabyte of buffers a connection.
`ssl.SSLSocket` decrypts from the kernel's buffer into ours and encrypts from ours.
"""

import socket
import ssl
from contextlib import ExitStack

import trio

from loadtest_trio.http.client.http1 import Buffer
from loadtest_trio.http.client.request_timeout import RequestTimeout


class TlsStream:
    """The client side of a TLS session, a `Stream`; created by `open_tls`.

    Args:
        sock: A non-blocking socket; this object owns it from now on.
    """

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._socket = sock
        self._fd = sock.fileno()
        self.bytes_sent = 0

    async def handshake(self) -> None:
        """Negotiate keys and verify the certificate.

        Raises:
            OSError: The connection failed or, as `ssl.SSLError`, the certificate was rejected.
        """
        while True:
            try:
                return self._socket.do_handshake()
            except ssl.SSLWantReadError:
                await trio.lowlevel.wait_readable(self._fd)
            except ssl.SSLWantWriteError:
                await trio.lowlevel.wait_writable(self._fd)

    def receive_nowait(self, into: memoryview) -> int:
        """See `Stream.receive_nowait`. An end without close_notify may be a truncation: an OSError.

        Receives as many records as there are; the next call raises an error that interrupts it.
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
        """See `Stream.wait_readable`; call it only after `receive_nowait` has emptied OpenSSL's buffer."""
        await trio.lowlevel.wait_readable(self._fd)

    async def send(self, head: bytes, body: Buffer, timeout: RequestTimeout) -> None:
        """See `Stream.send`: OpenSSL makes one system call per record."""
        for part in (head, body):
            with memoryview(part) as view:
                sent = 0
                while sent < len(view):
                    try:
                        count = self._socket.send(view[sent:])
                    except ssl.SSLWantWriteError:
                        timeout.start("write")
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
        """See `Stream.close`. Sends no close_notify: HTTP's framing already shows truncation."""
        self._socket.close()


async def open_tls(sock: socket.socket, context: ssl.SSLContext, host: str) -> TlsStream:
    """Start TLS on a connected, non-blocking socket; close the socket on failure.

    Args:
        sock: A connected socket.
        context: The TLS settings.
        host: The name that the server's certificate must bear.

    Raises:
        OSError: The handshake failed; `ssl.SSLCertVerificationError` says why a certificate was rejected.
    """
    with ExitStack() as on_failure:
        on_failure.callback(sock.close)  # no effect after wrap_socket has detached the socket
        secured = context.wrap_socket(
            sock, server_hostname=host, do_handshake_on_connect=False, suppress_ragged_eofs=False
        )
        on_failure.callback(secured.close)
        stream = TlsStream(secured)
        await stream.handshake()
        on_failure.pop_all()
    return stream
