"""One keep-alive connection: sends a request and receives its complete response.

The states of a connection, and the invariant that makes cancellation safe:

    open ──► exchange ──► complete response ──► reusable ──► exchange ...
                 │
                 └─ error, cancellation, "Connection: close", surplus bytes ──► not reusable ──► closed

`reusable` is true only between a complete response and the next request: `exchange` clears it first and
sets it last, so an exchange that ends early always leaves a connection that the pool closes.
"""

import httpx
import trio

from loadtest_trio.http.client.http1 import BodyTooLargeError, ResponseParser, WireRequest
from loadtest_trio.http.client.request_timeout import RequestTimeout
from loadtest_trio.http.streams import Stream

_HEAD_BYTES = 4096  # size of the first receive: holds S3's head; little of the body passes through the parser


class Connection:
    """A stream and the state of its last exchange.

    Args:
        stream: A connected stream; this object owns it.
        scratch: Buffer for heads and chunked bodies. All connections share it: received bytes are passed
            to the parser before another task runs.
        max_header_bytes: Largest accepted head of a response.
        max_body_bytes: Largest accepted body of a response.

    Attributes:
        reusable: Whether the connection can serve another request.
        sent: Whether any byte of the last request was sent.
        answered: Whether any byte of its response has arrived.
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
        """Return whether the server has closed the idle connection or sent unexpected bytes."""
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
        """Make the exchange that waits for the socket raise `trio.ClosedResourceError`."""
        self._stream.wake()

    async def exchange(self, request: WireRequest, timeout: RequestTimeout) -> ResponseParser:
        """Send a request and receive its complete response.

        Args:
            request: The request.
            timeout: Restarted before every wait; the caller enforces it.

        Raises:
            httpx.TransportError: The exchange failed, other than by a timeout.
            trio.ClosedResourceError: `wake` was called.
        """
        self.reusable = self.sent = self.answered = False
        response = ResponseParser(bodiless=request.method == "HEAD")
        sent_before = self._stream.bytes_sent
        try:
            refused = not await self._send(request, timeout)
            self.sent = self._stream.bytes_sent > sent_before
            await self._receive_head(response, timeout)
            if not response.complete:
                await self._receive_body(response, timeout)
        finally:
            response.close()
        self.reusable = response.keep_alive and not refused
        return response

    async def _send(self, request: WireRequest, timeout: RequestTimeout) -> bool:
        """Send a request; False if the server stopped reading: its response to the upload may say why."""
        try:
            await self._stream.send(request.head, request.body, timeout)
        except OSError:
            return False
        return True

    async def _receive_head(self, response: ResponseParser, timeout: RequestTimeout) -> None:
        """Receive the head. Waits first, so every request passes at least one checkpoint."""
        timeout.start("read")
        await self._stream.wait_readable()
        response.first_byte_at = trio.current_time()
        received = 0
        while not response.head_complete:
            count = await self._receive(self._scratch[:_HEAD_BYTES], timeout)
            if count:
                response.feed(self._scratch[:count])
            else:
                response.feed_end()
            received += count
            if received > self._max_header_bytes and not response.head_complete:
                raise httpx.RemoteProtocolError(f"the response head is over {self._max_header_bytes} bytes")

    async def _receive_body(self, response: ResponseParser, timeout: RequestTimeout) -> None:
        if response.length is None:
            await self._receive_unknown_length(response, timeout)
        else:
            response.body = await self._receive_known_length(response, response.length, timeout)

    async def _receive_known_length(
        self, response: ResponseParser, length: int, timeout: RequestTimeout
    ) -> bytearray:
        """Receive the rest of the body directly into one buffer, bypassing the parser."""
        self._check_size(length)
        body = bytearray(length)
        received = len(response.body)
        body[:received] = response.body
        with memoryview(body) as view:
            while received < length:
                count = await self._receive(view[received:], timeout)
                if not count:
                    response.feed_end()
                received += count
        return body

    async def _receive_unknown_length(self, response: ResponseParser, timeout: RequestTimeout) -> None:
        """Receive a body that is chunked or ends with the connection, through the parser.

        Bytes that add nothing to the body, trailers and extensions of chunks, are bounded as the head is.
        """
        idle, length = 0, len(response.body)
        while not response.complete:
            count = await self._receive(self._scratch, timeout)
            if count:
                response.feed(self._scratch[:count])
            else:
                response.feed_end()
            idle = idle + count if len(response.body) == length else 0
            length = len(response.body)
            self._check_size(length)
            if idle > self._max_header_bytes:
                raise httpx.RemoteProtocolError(f"over {idle} bytes of the response add nothing to its body")

    async def _receive(self, into: memoryview, timeout: RequestTimeout) -> int:
        """Receive available bytes, waiting if there are none; 0 means the end of the connection."""
        while True:
            try:
                count = self._stream.receive_nowait(into)
            except BlockingIOError:
                timeout.start("read")
                await self._stream.wait_readable()
            except OSError as error:
                raise httpx.ReadError(str(error)) from error
            else:
                self.answered = self.answered or count > 0
                return count

    def _check_size(self, length: int) -> None:
        if length > self._max_body_bytes:
            raise BodyTooLargeError(self._max_body_bytes)
