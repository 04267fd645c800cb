"""Board: a dashboard of its own for what is not the daemon: users, a search, a finished run's replay."""

from collections.abc import Sequence

import trio

from loadtest_trio.errors import ConfigurationError
from loadtest_trio.web.app import bare_app
from loadtest_trio.web.dashboard import Control, add_dashboard
from loadtest_trio.web.dashboard.access import Access
from loadtest_trio.web.dashboard.hub import Hub
from loadtest_trio.web.server import HealthService

LOOPBACK = "127.0.0.1"


class Board:
    """Serves a dashboard on loopback until told to stop.

    Args:
        port: The port; another one, when it is taken.
        controls: What can be changed meanwhile.
        replayed: Whether lines are published by the caller, out of a file, and not from the log.

    Attributes:
        hub: Takes lines.
        url: Where it is.
    """

    def __init__(self, port: int, controls: Sequence[Control] = (), *, replayed: bool = False) -> None:
        self.hub = Hub(replayed=replayed)
        app = bare_app()
        add_dashboard(app, self.hub, Access(), controls=controls)
        try:
            self._server = HealthService(app, LOOPBACK, port, self.hub)
        except ConfigurationError:
            self._server = HealthService(app, LOOPBACK, 0, self.hub)
        self.url = f"{self._server.url}/"

    def stop(self) -> None:
        """End `run`."""
        self._server.stop()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `stop`."""
        await self._server.run(task_status=task_status)
