"""HypercornServer: the same applications under the stock server, by the same interface."""

import logging
import socket
import sys

import trio
from hypercorn import protocol
from hypercorn.config import Config, Sockets
from hypercorn.trio import run, serve

from loadtest_trio.http.server.guard import GuardedApp
from loadtest_trio.http.server.hypercorn_connection import Connection, Http1, Sends
from loadtest_trio.http.server.limits import ServerLimits
from loadtest_trio.http.server.server import Server


class HypercornServer(Server):
    """See `Server`.

    It keeps `ServerLimits` but for one: it accepts any number of connections. A slow head is cut off after
    ``idle_seconds``.
    """

    def _set_up(self) -> None:
        self._stop = trio.Event()
        self._guarded = GuardedApp(
            self._app,
            limits=self._limits,
            on_error=self._on_error,
            closing=self._stop.is_set,
            has_lifespan=self._has_lifespan,
        )
        self._config = _configuration(self._listening, self._limits)

    def stop(self, grace_seconds: float) -> None:
        """See `Server.stop`."""
        self._config.graceful_timeout = grace_seconds
        self._config.sends.end_by(trio.current_time() + grace_seconds)
        self._stop.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """See `Server.run`."""
        with self._listening:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._serve)
                task_status.started()

    async def _serve(self, *, task_status: trio.TaskStatus[list[str]]) -> None:
        # Hypercorn's types are those of its own definition of ASGI.
        await serve(
            self._guarded,  # type: ignore[arg-type]
            self._config,
            shutdown_trigger=self._stop.wait,
            task_status=task_status,
            mode="asgi",
        )


run.TCPServer = Connection  # type: ignore[attr-defined]  # there is no other way in
protocol.H11Protocol = Http1  # type: ignore[attr-defined]


class _Config(Config):
    """Hypercorn's configuration with a socket that is open already, and stays its opener's to close."""

    def __init__(self, listening: socket.socket, limits: ServerLimits) -> None:
        super().__init__()
        self._listening = listening
        self.sends = Sends(limits.write_seconds)

    def create_sockets(self) -> Sockets:
        """Return the socket instead of opening one."""
        return Sockets([], [self._listening], [])


def _configuration(listening: socket.socket, limits: ServerLimits) -> _Config:
    config = _Config(listening, limits)
    config.accesslog = None
    config.errorlog = _silent_logger()
    config.include_server_header = False
    config.backlog = limits.backlog
    config.h11_max_incomplete_size = limits.head_bytes
    config.keep_alive_timeout = limits.idle_seconds
    config.keep_alive_max_requests = sys.maxsize
    return config


def _silent_logger() -> logging.Logger:
    logger = logging.getLogger("loadtest_trio.hypercorn")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger
