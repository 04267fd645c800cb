"""A request's body as it arrives on its channel, within its time."""

from loadtest_trio.http.server.body import Body, ChunkedBody, SizedBody
from loadtest_trio.http.server.channel import Channel, SlowClientError
from loadtest_trio.http.server.refusal import RefusedError
from loadtest_trio.http.server.request import HeaderBlock
from loadtest_trio.http.server.response import CONTINUE
from loadtest_trio.http.server.shared import NEVER


class BodyReader:
    """Reads the body of one request.

    Args:
        channel: Where it arrives, and what is behind it stays.
        block: The headers, which say that there is a body.
    """

    __slots__ = ("_body", "_channel", "_deadline", "_expected")

    def __init__(self, channel: Channel, block: HeaderBlock) -> None:
        self._channel = channel
        self._body: Body
        if block.chunked:
            self._body = ChunkedBody(channel.shared.limits.body_bytes)
        else:
            self._body = SizedBody(block.length)
        self._expected = block.expects_continue
        self._deadline = NEVER

    @property
    def complete(self) -> bool:
        """All of the body was read."""
        return self._body.complete

    @property
    def has_arrived(self) -> bool:
        """All of the body was read or is known to be in the buffer."""
        return self._body.complete or self._body.ends_within(self._channel.buffer)

    def drop(self) -> bool:
        """Drop what is left of the body; return False if not all of it has arrived."""
        if not self.has_arrived:
            return False
        if not self._body.complete:
            _, self._channel.buffer = self._body.take(self._channel.buffer)
        return True

    async def next_part(self, *, ask: bool) -> bytes:
        """Wait for more of the body, and return it; nothing only at its end.

        Args:
            ask: Whether a client that waits to be asked for the body is asked.

        Raises:
            RefusedError: The body is malformed, too long or too slow.
            ClientDisconnectedError: The client left before its end.
        """
        channel, body = self._channel, self._body
        while True:
            data, channel.buffer = body.take(channel.buffer)
            if data or body.complete:
                return data
            if self._expected and ask:
                self._expected = False
                await channel.send(CONTINUE)
            await self._receive()

    async def _receive(self) -> None:
        channel, seconds = self._channel, self._channel.shared.limits.body_seconds
        if self._deadline == NEVER:
            self._deadline = channel.shared.soon + seconds
        channel.read_deadline = self._deadline
        try:
            await channel.receive()
        except SlowClientError:
            raise RefusedError(408, f"the body took longer than {seconds} s") from None
        finally:
            channel.read_deadline = NEVER
