"""The interface of the servers, and what they have in common: an address that is open from the start."""

from abc import ABC, abstractmethod

import trio

from loadtest_trio.http.address import authority
from loadtest_trio.http.server.app_errors import OnError, ignore_error
from loadtest_trio.http.server.asgi import App
from loadtest_trio.http.server.limits import ServerLimits
from loadtest_trio.http.server.listening import listen


class Server(ABC):
    """Serves an ASGI application over HTTP/1.1.

    The constructor opens the address, so that a port that is taken is known before anything starts.

    Args:
        app: The application, for HTTP and not for WebSockets.
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
        self._app = app
        self._host = host
        self._limits = limits
        self._on_error = on_error
        self._has_lifespan = has_lifespan
        self._listening = listen(host, port, limits.backlog)
        self.port: int = self._listening.getsockname()[1]
        self.url = f"http://{authority(host, self.port)}"
        self._set_up()

    @abstractmethod
    def _set_up(self) -> None:
        """Make what else a server needs; its address is open."""

    @abstractmethod
    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `stop`; cancelled, it cuts requests short. Readiness: clients are accepted."""

    @abstractmethod
    def stop(self, grace_seconds: float) -> None:
        """End `run` in an orderly way: no client is accepted, and connections without a request close.

        Args:
            grace_seconds: How long requests in work may take to be answered; then they are cancelled.
        """

    def close(self) -> None:
        """Let go of the address without having served."""
        self._listening.close()
