"""An HTTP client that sends exactly the bytes it is given, and reads answers as h11 does."""

from types import TracebackType

import attrs
import h11
import trio
import trio.testing


@attrs.frozen
class Answer:
    """A response.

    Attributes:
        status: The status code.
        headers: With names in lower case.
        body: Without its framing.
        interim: Status codes of the interim responses before it.
    """

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    interim: list[int]


class RawClient:
    """One connection.

    Args:
        stream: Connected; the client closes it.
        patience: Seconds to wait for the next bytes, before the test fails.
    """

    def __init__(self, stream: trio.SocketStream, patience: float = 10.0) -> None:
        self._patience = patience
        self.stream = stream
        self._buffer = b""

    @classmethod
    async def connect(cls, port: int, host: str = "127.0.0.1", patience: float = 10.0) -> "RawClient":
        """Connect to a port."""
        return cls(await trio.open_tcp_stream(host, port), patience)

    async def __aenter__(self) -> "RawClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await trio.aclose_forcefully(self.stream)

    async def send(self, *parts: bytes) -> None:
        """Send each part by itself."""
        for part in parts:
            await self.stream.send_all(part)
            await trio.testing.wait_all_tasks_blocked()

    async def get(self, path: bytes = b"/", *headers: bytes) -> Answer:
        """Send a GET and return the answer."""
        lines = [b"GET %b HTTP/1.1" % path, b"Host: test", *headers]
        await self.stream.send_all(b"\r\n".join(lines) + b"\r\n\r\n")
        return await self.answer()

    async def answer(self, method: str = "GET") -> Answer:
        """Read the next answer.

        Raises:
            EOFError: The connection ended before its first byte.
            h11.RemoteProtocolError: It is malformed or cut short.
        """
        parser = h11.Connection(h11.CLIENT)
        parser.send(h11.Request(method=method, target="/", headers=[("host", "test")]))
        parser.send(h11.EndOfMessage())
        if self._buffer:
            parser.receive_data(self._buffer)
        seen, interim, body = bool(self._buffer), [], b""
        head: h11.Response | None = None
        while not isinstance(event := parser.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                data = await self._receive()
                if not data and not seen:
                    raise EOFError
                seen = True
                parser.receive_data(data)
            elif isinstance(event, h11.InformationalResponse):
                interim.append(event.status_code)
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
        self._buffer = parser.trailing_data[0]
        assert head is not None
        return Answer(head.status_code, dict(head.headers), body, interim)

    async def _receive(self) -> bytes:
        with trio.fail_after(self._patience):
            return bytes(await self.stream.receive_some())

    async def is_closed(self) -> bool:
        """Wait for the end of the connection; return False if something else arrives."""
        try:
            return not self._buffer and await self._receive() == b""
        except trio.BrokenResourceError:
            return True
