"""HealthService: the application under Hypercorn."""

from contextlib import nullcontext

import trio
from quart_trio import QuartTrio

from loadtest_trio.errors import describe
from loadtest_trio.http.server import HypercornServer, ServerLimits
from loadtest_trio.http.server.asgi import Scope
from loadtest_trio.metrics import logs
from loadtest_trio.web.dashboard import Hub
from loadtest_trio.web.listening import listening

_GRACE_SECONDS = 2.0
_LIMITS = ServerLimits(idle_seconds=5.0)  # Hypercorn allows a slow head as much, and probes need no more


class HealthService:
    """Serves the application until told to stop, and lets a request in flight finish.

    Args:
        app: What to serve.
        host: The address to listen on; ``::`` for both families.
        port: The port; 0 for any free one.
        hub: Where open dashboards get their lines; None without a dashboard.

    Attributes:
        port: The port it listens on.
        url: Where it serves.

    Raises:
        ConfigurationError: The address cannot be listened on.
    """

    def __init__(self, app: QuartTrio, host: str, port: int, hub: Hub | None = None) -> None:
        with listening("HEALTH_HOST and HEALTH_PORT", host, port):
            self._server = HypercornServer(
                app,  # type: ignore[arg-type]  # Quart's types are those of another definition of ASGI
                host,
                port,
                limits=_LIMITS,
                on_error=log_crash,
                has_lifespan=True,
            )
        self._hub = hub
        self.port = self._server.port
        self.url = self._server.url

    def stop(self) -> None:
        """End `run` in an orderly way; cancelling it would cut requests short."""
        self._server.stop(_GRACE_SECONDS)
        if self._hub:
            self._hub.close()  # a stream would last as long as somebody watches

    def close(self) -> None:
        """Let go of the address without ever having served."""
        self._server.close()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `stop`."""
        with self._hub.listening() if self._hub else nullcontext():
            await self._server.run(task_status=task_status)


def log_crash(scope: Scope, error: Exception) -> None:
    """Write what an application raised to the log; its client was answered 500."""
    logs.failure("request_crashed", "server", "ERROR", route=scope.get("path", ""), error=describe(error))
