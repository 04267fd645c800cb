"""A TCP proxy on loopback that spoils the connection between the service and one backend.

    service ──► FaultProxy ──► Redis or S3        requests: service to backend; replies: back

It runs a Trio loop in a thread of its own, so that a test can drive it while it waits for a process.

A blackhole here is what a partition of the network is: nothing is lost on the way, everything arrives
late. What the service sent before it gave a connection up reaches the backend when the partition ends,
perhaps a minute after it was sent: the nastiest case for whoever counts.
"""

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from types import TracebackType
from typing import Self

import attrs
import trio

LOOPBACK = "127.0.0.1"
DELAY_SECONDS = 0.2
TRICKLE_SECONDS = 0.05
_BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)


class Fault(StrEnum):
    """What happens to connections, those that are open and new ones."""

    PASS = "pass"
    DELAY = "delay"
    """Every part of a reply comes late."""
    RESET = "reset"
    """RST to both sides."""
    BLACKHOLE = "blackhole"
    """Nothing moves; when it ends, everything held arrives."""
    HALF_CLOSED = "half-closed"
    """The service sees the end of the replies; its requests are still carried out."""
    TRUNCATED = "truncated"
    """Half of a reply, then the end; the request was carried out."""
    TRICKLE = "trickle"
    """Replies come byte by byte."""


@attrs.define(eq=False)
class _Link:
    client: trio.SocketStream
    server: trio.SocketStream | None = None
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    def reset(self) -> None:
        """End both sides with RST instead of FIN (socket(7), SO_LINGER)."""
        for stream in (self.client, self.server):
            if stream is not None:
                with suppress(OSError):
                    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.scope.cancel()


class FaultProxy:
    """Passes connections on, as well or as badly as it is told; a context manager.

    Args:
        upstream: The backend's port on loopback.

    Attributes:
        port: Where it listens.
        fault: What happens at present.
    """

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.port = 0
        self.fault = Fault.PASS
        self._links: set[_Link] = set()
        self._changed = trio.Event()
        self._scope = trio.CancelScope()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._run,), daemon=True)

    def begin(self, fault: Fault) -> None:
        """Begin a fault; returns when open connections have felt it."""
        self._call(lambda: self._begin(fault))

    def end(self) -> None:
        """Let everything pass again."""
        self.begin(Fault.PASS)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._scope.cancel)
        self._thread.join()

    def _call(self, action: Callable[[], None]) -> None:
        """Run an action in the proxy's loop and wait for it; the caller may itself run in Trio."""
        done = threading.Event()

        def act() -> None:
            action()
            done.set()

        self._token.run_sync_soon(act)
        done.wait()

    def _begin(self, fault: Fault) -> None:
        self.fault = fault
        changed, self._changed = self._changed, trio.Event()
        changed.set()
        for link in list(self._links):
            self._afflict(link)

    def _afflict(self, link: _Link) -> None:
        if self.fault is Fault.RESET:
            link.reset()
        elif self.fault is Fault.HALF_CLOSED:
            with suppress(OSError):
                link.client.socket.shutdown(socket.SHUT_WR)

    async def _run(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        (listener,) = await trio.open_tcp_listeners(0, host=LOOPBACK)
        self.port = listener.socket.getsockname()[1]
        with self._scope:
            self._ready.set()
            await trio.serve_listeners(self._serve, [listener])

    async def _serve(self, client: trio.SocketStream) -> None:
        link = _Link(client)
        self._links.add(link)
        try:
            with link.scope, suppress(*_BROKEN):
                async with client:
                    await self._pass_on(link)
        finally:
            self._links.discard(link)

    async def _pass_on(self, link: _Link) -> None:
        self._afflict(link)
        await self._held()
        link.server = await trio.open_tcp_stream(LOOPBACK, self.upstream)
        async with link.server, trio.open_nursery() as pumps:
            pumps.start_soon(self._requests, link, link.server)
            pumps.start_soon(self._replies, link, link.server)

    async def _requests(self, link: _Link, server: trio.SocketStream) -> None:
        with suppress(*_BROKEN):
            async for data in link.client:
                await self._held()
                await server.send_all(data)
            await self._held()
            await server.send_eof()
            return
        link.scope.cancel()

    async def _replies(self, link: _Link, server: trio.SocketStream) -> None:
        with suppress(*_BROKEN):
            async for data in server:
                await self._held()
                await self._reply(link, bytes(data))
        await self._held()
        link.scope.cancel()

    async def _reply(self, link: _Link, data: bytes) -> None:
        match self.fault:
            case Fault.HALF_CLOSED:
                return
            case Fault.TRUNCATED:
                await link.client.send_all(data[: len(data) // 2])
                link.scope.cancel()
            case Fault.DELAY:
                await trio.sleep(DELAY_SECONDS)
                await link.client.send_all(data)
            case Fault.TRICKLE:
                await self._trickle(link, data)
            case _:
                await link.client.send_all(data)

    async def _trickle(self, link: _Link, data: bytes) -> None:
        for i in range(len(data)):
            if self.fault is not Fault.TRICKLE:
                await link.client.send_all(data[i:])
                return
            await link.client.send_all(data[i : i + 1])
            await trio.sleep(TRICKLE_SECONDS)

    async def _held(self) -> None:
        while self.fault is Fault.BLACKHOLE:
            await self._changed.wait()
