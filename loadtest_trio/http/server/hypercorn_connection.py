"""One connection of Hypercorn's, without what lets a client harm others.

Hypercorn lets an error of its own end all connections and the server, waits for ever, and deaf to
cancellation, for a client that takes no bytes, answers the pair with 400 where a client sends more behind
``Connection: close``, and speaks HTTP/2 to whoever asks, without the limits that we set for HTTP/1.1.
"""

from math import inf
from typing import Any

import h11
import trio
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.tcp_server import TCPServer

_VERSIONS = (b"1.0", b"1.1")
_VERSION_NOT_SUPPORTED = 505
_PART_BYTES = 64 * 1024


class Sends:
    """Bounds how long the clients of one server may take no bytes.

    Args:
        seconds: For each 64 KiB of an answer.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = inf
        self._scopes: set[trio.CancelScope] = set()

    def end_by(self, when: float) -> None:
        """Let no send last longer than until then, in Trio's clock."""
        self._end = min(self._end, when)
        for scope in self._scopes:
            scope.deadline = min(scope.deadline, when)

    async def send(self, stream: trio.abc.SendStream, data: bytes) -> None:
        """Send all, undisturbed by cancellation: half an answer must not be followed by another.

        Raises:
            trio.BrokenResourceError: The client took too long, or is gone.
            trio.ClosedResourceError: The stream is closed.
        """
        view = memoryview(data)
        with trio.CancelScope(shield=True) as scope:
            self._scopes.add(scope)
            try:
                for at in range(0, len(view), _PART_BYTES):
                    scope.deadline = min(trio.current_time() + self._seconds, self._end)
                    await stream.send_all(view[at : at + _PART_BYTES])
            finally:
                self._scopes.discard(scope)
        if scope.cancelled_caught:
            raise trio.BrokenResourceError("the client takes no bytes")


class Connection(TCPServer):
    """A connection whose faults end it alone.

    What the application raises never comes here.
    """

    async def run(self) -> None:
        """Serve the connection."""
        try:
            await super().run()
        except BaseExceptionGroup as group:
            _, rest = group.split(Exception)  # a cancellation goes on
            if rest:
                raise rest from None
        except Exception:  # noqa: S110  # a client can cause it at will: not even a line in the log
            pass
        finally:
            await trio.aclose_forcefully(self.stream)

    async def protocol_send(self, event: Event) -> None:
        """Send a part of an answer, or pass on what else the protocol says."""
        if not isinstance(event, RawData):
            await super().protocol_send(event)
            return
        sends: Sends = self.config.sends  # type: ignore[attr-defined]
        async with self.send_lock:
            try:
                await sends.send(self.stream, event.data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                await trio.aclose_forcefully(self.stream)
                await self.protocol.handle(Closed())


class Http1(H11Protocol):
    """HTTP/1.1 and nothing else: what a client would rather speak is ignored (RFC 9110, 7.8)."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.connection = _Parser(h11.SERVER, max_incomplete_event_size=self.config.h11_max_incomplete_size)

    async def _check_protocol(self, event: h11.Request) -> None:
        """Switch to no other protocol."""

    async def _create_stream(self, request: h11.Request) -> None:
        if request.http_version in _VERSIONS:
            await super()._create_stream(request)
            return
        await self._send_error_response(_VERSION_NOT_SUPPORTED)
        await self.send(Closed())


class _Parser(h11.Connection):
    """Ignores what comes behind a request with ``Connection: close``, as RFC 9112, 9.6 demands."""

    def receive_data(self, data: bytes) -> None:
        if self.their_state is not h11.MUST_CLOSE:
            super().receive_data(data)

    def next_event(self) -> Any:
        if self.their_state is h11.MUST_CLOSE:
            return h11.NEED_DATA
        return super().next_event()
