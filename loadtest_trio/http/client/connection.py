"""One keep-alive connection: a request out, its whole response in.

The life of a connection, and the invariant that makes it safe to cancel:

    open ──► exchange ──► complete response ──► reusable ──► exchange ...
                 │
                 └─ error, cancellation, "Connection: close", surplus bytes ──► not reusable ──► closed

`reusable` is true only between a complete response and the next request: `exchange` clears it first and
sets it last, so whatever ends an exchange early leaves a connection that the pool closes.
"""

import httpx
import trio

from loadtest_trio.http.client.http1 import Buffer, ResponseParser
from loadtest_trio.http.client.request_timeout import Timer
from loadtest_trio.http.streams import Stream

_HEAD_BYTES = 4096  # of the first receive: enough for S3's head, little of the body passes the parser


class Connection:
    """A stream with the state of its last exchange.

    Args:
        stream: Connected; this object owns it.
        scratch: Where heads and chunked bodies land. Shared by all connections: what is received is
            handed to the parser before anybody else runs.
        max_header_bytes: Largest head of a response.
        max_body_bytes: Largest body of a response.

    Attributes:
        reusable: See the module.
        sent: A byte of the last request went out.
        answered: A byte of its response has arrived.
    """

    def __init__(
        self, stream: Stream, scratch: memoryview, max_header_bytes: int, max_body_bytes: int
    ) -> None:
        self.reusable = False
        self.sent = self.answered = False
        self._stream = stream
        self._scratch = scratch
        self._max_header_bytes = max_header_bytes
        self._max_body_bytes = max_body_bytes

    def is_stale(self) -> bool:
        """Tell whether the server has closed the idle connection, or sent what nobody asked for."""
        try:
            self._stream.receive_nowait(self._scratch)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def close(self) -> None:
        """Close at once."""
        self.reusable = False
        self._stream.close()

    def wake(self) -> None:
        """Let the exchange that waits for the socket end with `trio.ClosedResourceError`."""
        self._stream.wake()

    async def exchange(self, method: str, head: bytes, body: Buffer, timer: Timer) -> ResponseParser:
        """Send a request and receive its response, body and all.

        Raises:
            httpx.TransportError: Anything that can go wrong but a timeout, which is the timer's to raise.
            trio.ClosedResourceError: It was woken.
        """
        self.reusable = self.sent = self.answered = False
        response = ResponseParser(bodiless=method == "HEAD")
        sent_before = self._stream.bytes_sent
        try:
            refused = not await self._send(head, body, timer)
            self.sent = self._stream.bytes_sent > sent_before
            await self._receive_head(response, timer)
            if not response.complete:
                await self._receive_body(response, timer)
        finally:
            response.close()
        self.reusable = response.keep_alive and not refused
        return response

    async def _send(self, head: bytes, body: Buffer, timer: Timer) -> bool:
        """Send; False when the server has stopped listening, which a refused upload's answer may explain."""
        try:
            await self._stream.send(head, body, timer)
        except OSError:
            return False
        return True

    async def _receive_head(self, response: ResponseParser, timer: Timer) -> None:
        """Receive up to the end of the head. Waits first: the one checkpoint that every request passes."""
        timer.start("read")
        await self._stream.wait_readable()
        response.first_byte_at = trio.current_time()
        received = 0
        while not response.head_complete:
            count = await self._receive(self._scratch[:_HEAD_BYTES], timer)
            if count:
                response.feed(self._scratch[:count])
            else:
                response.feed_end()
            received += count
            if received > self._max_header_bytes and not response.head_complete:
                raise httpx.RemoteProtocolError(f"the response head is over {self._max_header_bytes} bytes")

    async def _receive_body(self, response: ResponseParser, timer: Timer) -> None:
        if response.length is None:
            await self._receive_unknown_length(response, timer)
        else:
            response.body = await self._receive_known_length(response, response.length, timer)

    async def _receive_known_length(self, response: ResponseParser, length: int, timer: Timer) -> bytearray:
        """Receive the rest of the body straight into one buffer, past the parser."""
        self._check_size(length)
        body = bytearray(length)
        received = len(response.body)
        body[:received] = response.body
        with memoryview(body) as view:
            while received < length:
                count = await self._receive(view[received:], timer)
                if not count:
                    response.feed_end()
                received += count
        return body

    async def _receive_unknown_length(self, response: ResponseParser, timer: Timer) -> None:
        """Receive a body that is chunked, or ends with the connection, through the parser."""
        while not response.complete:
            count = await self._receive(self._scratch, timer)
            if count:
                response.feed(self._scratch[:count])
            else:
                response.feed_end()
            self._check_size(len(response.body))

    async def _receive(self, into: memoryview, timer: Timer) -> int:
        """Receive what is there, or wait for something; 0 is the end of the connection."""
        while True:
            try:
                count = self._stream.receive_nowait(into)
            except BlockingIOError:
                timer.start("read")
                await self._stream.wait_readable()
            except OSError as error:
                raise httpx.ReadError(str(error)) from error
            else:
                self.answered = self.answered or count > 0
                return count

    def _check_size(self, length: int) -> None:
        if length > self._max_body_bytes:
            raise httpx.RemoteProtocolError(f"the response body is over {self._max_body_bytes} bytes")
