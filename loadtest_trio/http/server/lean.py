"""LeanServer: ASGI 3 over HTTP/1.1 on Trio sockets, with little between a request and its answer.

How it lives:

    run ─┬─ watch: looks at the clocks and wakes the connections whose deadline has passed
         ├─ accept ──► one task a connection (connection.py)
         └─ stop: accepting ends ──► idle connections close ──► the others finish, within the grace
"""

import contextlib
import errno

import trio

from loadtest_trio.http.server.channel import Channel
from loadtest_trio.http.server.connection import serve
from loadtest_trio.http.server.lifespan import lifespan
from loadtest_trio.http.server.listening import accept
from loadtest_trio.http.server.server import Server
from loadtest_trio.http.server.shared import TICK_SECONDS, Shared

_NO_DESCRIPTORS = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_BROKEN = frozenset((errno.EBADF, errno.EINVAL, errno.ENOTSOCK))
_FULL_SECONDS = 0.1
_ACCEPTED_AT_ONCE = 64


class LeanServer(Server):
    """See `Server`.

    The application runs in the task of its connection, which takes no further request before the application
    has returned. `stop` called again can shorten the grace.
    """

    def _set_up(self) -> None:
        self._shared = Shared(self._app, self._limits, self._on_error, (self._host, self.port))
        self._channels: set[Channel] = set()
        self._room = trio.lowlevel.ParkingLot()
        self._stopping = trio.Event()
        self._serving = trio.CancelScope()
        self._grace = 0.0

    def stop(self, grace_seconds: float) -> None:
        """See `Server.stop`."""
        if self._stopping.is_set():
            self._serving.deadline = min(self._serving.deadline, trio.current_time() + grace_seconds)
        self._grace = grace_seconds
        self._shared.draining = self._shared.closing = True
        self._stopping.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """See `Server.run`.

        Raises:
            AppError: The lifespan of the application failed.
        """
        with self._listening:
            async with contextlib.AsyncExitStack() as stack:
                if self._has_lifespan:
                    self._shared.state = await stack.enter_async_context(lifespan(self._app))
                self._shared.tick()
                watching = await stack.enter_async_context(trio.open_nursery())
                watching.start_soon(self._watch)
                await self._serve(task_status)
                watching.cancel_scope.cancel()

    async def _serve(self, task_status: trio.TaskStatus[None]) -> None:
        with self._serving:
            async with trio.open_nursery() as connections:
                async with trio.open_nursery() as accepting:
                    accepting.start_soon(self._accept, connections)
                    task_status.started()
                    await self._stopping.wait()
                    accepting.cancel_scope.cancel()
                with contextlib.suppress(OSError):
                    self._accept_waiting(connections)  # to the client, these are connected already
                self._listening.close()
                self._serving.deadline = trio.current_time() + self._grace
                for channel in self._channels:
                    if channel.idle:
                        channel.wake()

    async def _accept(self, connections: trio.Nursery) -> None:
        while True:
            await trio.lowlevel.wait_readable(self._listening)
            try:
                full = not self._accept_waiting(connections)
            except OSError as error:
                if error.errno in _BROKEN:
                    raise
                full = error.errno in _NO_DESCRIPTORS
            if full:
                await self._make_room()

    def _accept_waiting(self, connections: trio.Nursery) -> bool:
        """Accept clients that wait; return False when there is no room for the first of them."""
        for number in range(_ACCEPTED_AT_ONCE):
            if len(self._channels) >= self._limits.connections:
                return number > 0
            try:
                sock, client = accept(self._listening)
            except BlockingIOError:
                break
            channel = Channel(sock, client, self._shared)
            self._channels.add(channel)
            connections.start_soon(self._connection, channel)
        return True

    async def _make_room(self) -> None:
        """Wait for a connection to end; as long as clients wait outside, none is kept for a later request."""
        self._shared.closing = full = True
        while full:
            if idle := next((each for each in self._channels if each.idle and each.used), None):
                idle.wake()
            with trio.move_on_after(_FULL_SECONDS):
                await self._room.park()
            full = len(self._channels) >= self._limits.connections
        self._shared.closing = self._shared.draining

    async def _connection(self, channel: Channel) -> None:
        try:
            await serve(channel)
        except Exception as error:
            self._shared.on_error({"type": "http", "client": channel.client}, error)
        finally:
            self._channels.discard(channel)
            self._room.unpark_all()

    async def _watch(self) -> None:
        while True:
            self._shared.tick()
            now = trio.current_time()
            for channel in self._channels:
                if channel.read_deadline <= now or channel.write_deadline <= now:
                    channel.wake()
            await trio.sleep(TICK_SECONDS)
