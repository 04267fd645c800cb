"""HealthService: serves the health application with Hypercorn."""

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
_LIMITS = ServerLimits()  # idle connections outlive those of a load balancer, which keeps them for 60 seconds


class HealthService:
    """Serves the application until stopped, and lets requests in progress finish.

    Args:
        app: The application.
        host: The address to listen on; ``::`` for IPv4 and IPv6.
        port: The port; 0 for any free port.
        hub: Feeds open dashboards; None without a dashboard.

    Attributes:
        port: The port.
        url: The URL.

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
        """End `run` gracefully; cancelling it would interrupt requests."""
        self._server.stop(_GRACE_SECONDS)
        if self._hub:
            self._hub.close()  # ends the streams of open dashboards

    def close(self) -> None:
        """Close the address without having served."""
        self._server.close()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `stop`."""
        with self._hub.listening() if self._hub else nullcontext():
            await self._server.run(task_status=task_status)


def log_crash(scope: Scope, error: Exception) -> None:
    """Log an exception of an application; its client gets a 500."""
    logs.failure("request_crashed", "server", "ERROR", route=scope.get("path", ""), error=describe(error))
