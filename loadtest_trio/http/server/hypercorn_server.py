"""HypercornServer: the same applications under the stock server, by the same interface."""

import logging
import socket
import sys

import trio
from hypercorn.config import Config, Sockets
from hypercorn.trio import serve

from loadtest_trio.http.address import authority
from loadtest_trio.http.server.app_errors import OnError, ignore_error
from loadtest_trio.http.server.asgi import App
from loadtest_trio.http.server.guard import GuardedApp
from loadtest_trio.http.server.limits import ServerLimits
from loadtest_trio.http.server.listening import listen


class HypercornServer:
    """Serves an ASGI application by Hypercorn.

    It keeps `ServerLimits` but for two: it accepts any number of connections, and it waits for ever for a
    client that takes no bytes. A slow head is cut off after ``idle_seconds``.

    Args:
        app: The application.
        host: The address to listen on; ``::`` for both families.
        port: The port; 0 for any free one.
        limits: What a client is granted.
        on_error: Is told the errors of the application, which are answered 500.
        has_lifespan: The application knows the lifespan protocol, and is started and shut down by it.

    Attributes:
        port: The port it listens on.
        url: Where it serves.

    Raises:
        OSError: The address cannot be listened on.
    """

    def __init__(
        self,
        app: App,
        host: str,
        port: int,
        *,
        limits: ServerLimits = ServerLimits(),  # noqa: B008 - frozen
        on_error: OnError = ignore_error,
        has_lifespan: bool = False,
    ) -> None:
        self._stop = trio.Event()
        self._app = GuardedApp(
            app, limits=limits, on_error=on_error, closing=self._stop.is_set, has_lifespan=has_lifespan
        )
        self._listening = listen(host, port, limits.backlog)
        self.port: int = self._listening.getsockname()[1]
        self.url = f"http://{authority(host, self.port)}"
        self._config = _configuration(self._listening, limits)

    def stop(self, grace_seconds: float) -> None:
        """End `run` in an orderly way.

        Args:
            grace_seconds: How long requests in work may take to be answered; then they are cancelled.
        """
        self._config.graceful_timeout = grace_seconds
        self._stop.set()

    def close(self) -> None:
        """Let go of the address without having served."""
        self._listening.close()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `stop`; cancelled, it cuts requests short."""
        with self._listening:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._serve)
                task_status.started()

    async def _serve(self, *, task_status: trio.TaskStatus[list[str]]) -> None:
        # Hypercorn's types are those of its own definition of ASGI.
        await serve(
            self._app,  # type: ignore[arg-type]
            self._config,
            shutdown_trigger=self._stop.wait,
            task_status=task_status,
            mode="asgi",
        )


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
