"""The job API as a long-lived task: the application, its server, and its place in the metrics line."""

from typing import Any

import trio

from loadtest_trio.errors import RedisError
from loadtest_trio.http.server import Server
from loadtest_trio.jobs.store import JobStore
from loadtest_trio.web.api.app import JobApi
from loadtest_trio.web.api.stats import stats_view

_STATS_SECONDS = 2.0  # a metrics line does not wait longer


class ApiService:
    """Serves the job API until told to stop.

    Args:
        app: The application.
        server: What serves it; the address is open already.
        store: Where jobs are.
    """

    def __init__(self, app: JobApi, server: Server, store: JobStore) -> None:
        self.app = app
        self._server = server
        self._store = store

    @property
    def url(self) -> str:
        """Where it is served."""
        return self._server.url

    def drain(self) -> None:
        """Refuse new work and say that this process is not ready; go on to answer the rest."""
        self.app.draining = True

    def stop(self, grace: float) -> None:
        """End `run`; requests under way get `grace` seconds."""
        self._server.stop(grace)

    def close(self) -> None:
        """Close the address without having served."""
        self._server.close()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `stop`."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.app.run, name="long polls")
            await self._server.run(task_status=task_status)
            nursery.cancel_scope.cancel()

    async def measure(self) -> dict[str, Any]:
        """Return what a metrics line says of jobs; nothing while Redis does not answer."""
        with trio.move_on_after(_STATS_SECONDS):
            try:
                return {"jobs": stats_view(await self._store.stats(), self.app.results)}
            except RedisError:
                return {}
        return {}
