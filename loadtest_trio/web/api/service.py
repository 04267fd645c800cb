"""The job API as a long-lived task: the application, its server, and its part of the metrics line."""

from typing import Any

import trio

from loadtest_trio.errors import RedisError
from loadtest_trio.http.server import Server
from loadtest_trio.jobs.store import JobStore
from loadtest_trio.web.api.app import JobApi
from loadtest_trio.web.api.stats import stats_view

_STATS_SECONDS = 2.0  # timeout of the statistics in a metrics line


class ApiService:
    """Serves the job API until stopped.

    Args:
        app: The application.
        server: Its server, whose address is already open.
        store: The jobs.
    """

    def __init__(self, app: JobApi, server: Server, store: JobStore) -> None:
        self.app = app
        self._server = server
        self._store = store
        self._draining = trio.CancelScope()

    @property
    def url(self) -> str:
        """The URL of the API."""
        return self._server.url

    def drain(self, seconds: float) -> None:
        """Report not ready, and refuse new work after so many seconds; other requests are still answered.

        A load balancer sends requests until it has noticed. Called again, it can shorten the time.
        """
        self.app.drain(seconds)
        self._draining.deadline = min(self._draining.deadline, trio.current_time() + seconds)

    async def drained(self) -> None:
        """Wait until the time given to `drain` is over."""
        with self._draining:
            await trio.sleep_forever()

    def stop(self, grace: float) -> None:
        """End `run`; requests in progress get `grace` seconds."""
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
        """Return the job fields of a metrics line; empty if Redis does not answer."""
        with trio.move_on_after(_STATS_SECONDS):
            try:
                return {"jobs": stats_view(await self._store.stats(), self.app.results)}
            except RedisError:
                return {}
        return {}
