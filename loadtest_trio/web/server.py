"""HealthService: the application under Hypercorn."""

import errno
import logging
import socket
from contextlib import nullcontext

import trio
from hypercorn.config import Config, Sockets
from hypercorn.trio import serve
from quart_trio import QuartTrio

from loadtest_trio.errors import ConfigurationError, SettingFault
from loadtest_trio.web.dashboard import Hub


class HealthService:
    """Serves the application until told to stop, and lets a request in flight finish.

    The port is opened here and not by Hypercorn, so that a port that is taken is known at once.

    Args:
        app: What to serve.
        host: The address to listen on.
        port: The port; 0 for any free one.
        hub: Where open dashboards get their lines; None without a dashboard.

    Raises:
        ConfigurationError: The address cannot be listened on.
    """

    def __init__(self, app: QuartTrio, host: str, port: int, hub: Hub | None = None) -> None:
        self._app = app
        self._hub = hub
        self._stop = trio.Event()
        self._socket = _listen(host, port)
        self.port: int = self._socket.getsockname()[1]

    def stop(self) -> None:
        """End `run` in Hypercorn's own orderly way; cancelling it would cut requests short."""
        self._stop.set()
        if self._hub:
            self._hub.close()  # a stream would last as long as somebody watches

    def close(self) -> None:
        """Let go of the address without ever having served."""
        self._socket.close()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `stop`."""
        config = _Listening(self._socket)
        config.accesslog = None
        config.errorlog = _silent_logger()
        config.graceful_timeout = 2.0
        task_status.started()
        try:
            with self._hub.listening() if self._hub else nullcontext():
                await serve(self._app, config, shutdown_trigger=self._stop.wait)
        finally:
            self._socket.close()


class _Listening(Config):
    """Hypercorn's configuration with a socket that is open already, and stays its opener's to close."""

    def __init__(self, listening: socket.socket) -> None:
        super().__init__()
        self._listening = listening

    def create_sockets(self) -> Sockets:
        """Return the socket instead of opening one."""
        return Sockets([], [self._listening], [])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        hints = {errno.EADDRINUSE: "a port that is free", errno.EACCES: "a port above 1023"}
        allowed = hints.get(error.errno or 0, f"an address that can be listened on ({error.strerror})")
        fault = SettingFault("HEALTH_HOST and HEALTH_PORT", f"{host}:{port}", allowed, "health endpoint")
        raise ConfigurationError([fault]) from error


def _silent_logger() -> logging.Logger:
    logger = logging.getLogger("loadtest_trio.hypercorn")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger
