"""HypercornServer: the same applications under the stock server, by the same interface."""

import logging
import socket
import sys

import trio
from hypercorn.config import Config, Sockets
from hypercorn.trio import run, serve
from hypercorn.trio.tcp_server import TCPServer

from loadtest_trio.http.server.guard import GuardedApp
from loadtest_trio.http.server.limits import ServerLimits
from loadtest_trio.http.server.server import Server


class HypercornServer(Server):
    """See `Server`.

    It keeps `ServerLimits` but for two: it accepts any number of connections, and it waits for ever for a
    client that takes no bytes. A slow head is cut off after ``idle_seconds``.
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


class _Connection(TCPServer):
    """A connection whose faults end it alone.

    Hypercorn lets an error of its own, such as two answers sent at once to a malformed request, end all
    connections and the server. What the application raises never comes here.
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


run.TCPServer = _Connection  # type: ignore[attr-defined]  # there is no other way in


class _Config(Config):
    """Hypercorn's configuration with a socket that is open already, and stays its opener's to close."""

    def __init__(self, listening: socket.socket) -> None:
        super().__init__()
        self._listening = listening

    def create_sockets(self) -> Sockets:
        """Return the socket instead of opening one."""
        return Sockets([], [self._listening], [])


def _configuration(listening: socket.socket, limits: ServerLimits) -> Config:
    config = _Config(listening)
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
