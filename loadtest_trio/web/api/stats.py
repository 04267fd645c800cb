"""Statistics of the queue, and the readiness of this process."""

from collections.abc import Callable
from typing import Any

import attrs

from loadtest_trio.errors import RedisError
from loadtest_trio.jobs.job import Status
from loadtest_trio.jobs.store import JobStore, Stats
from loadtest_trio.web.api.exchange import Answer, Request, retry_after
from loadtest_trio.web.api.results import Results
from loadtest_trio.web.api.views import JOB_WORDS

_RETRY_SECONDS = 2.0


class StatsRoutes:
    """Statistics and health.

    Args:
        store: The jobs.
        results: Counts hits and misses in Redis.
        draining: Returns whether the service is about to end.
    """

    def __init__(self, store: JobStore, results: Results, draining: Callable[[], bool]) -> None:
        self._store = store
        self._results = results
        self._draining = draining

    async def stats(self, request: Request) -> Answer:
        """GET /api/jobs/stats."""
        stats = await self._store.stats()
        view = stats_view(stats, self._results) | {"queue": attrs.asdict(stats.queue)}
        return Answer.json(200, view)

    async def health(self, request: Request) -> Answer:
        """GET /api/jobs/health: 200 if this process is ready for requests, else 503; both mean it is live."""
        if self._draining():
            return self._unready("the service is shutting down")
        try:
            await self._store.stats()
        except RedisError as error:
            return self._unready(f"Redis: {error}")
        return Answer.json(200, {"status": "UP", "live": True, "ready": True})

    def _unready(self, reason: str) -> Answer:
        view = {"status": "DOWN", "live": True, "ready": False, "reason": reason}
        return Answer.json(503, view, [retry_after(_RETRY_SECONDS)])


def stats_view(stats: Stats, results: Results) -> dict[str, Any]:
    """Return the statistics shown by ``/api/jobs/stats`` and the metrics line."""
    asked = results.hits + results.misses
    due = stats.queue.oldest_at
    return {
        "byStatus": by_status(stats),
        "byType": {name: attrs.asdict(counts) for name, counts in stats.by_type.items()},
        "oldestSeconds": None if due is None else round(max(0.0, stats.now - due), 3),
        "lanes": stats.lanes,
        "completedToPull": stats.completed,
        "cache": {
            "hits": results.hits,
            "misses": results.misses,
            "hitRate": round(results.hits / asked, 4) if asked else None,
        },
    }


def by_status(stats: Stats) -> dict[str, int]:
    """Return the number of messages by status, in the words of ``/api/jobs``."""
    queue, ended = stats.queue, stats.by_type.values()
    counts = {
        Status.QUEUED: queue.queued + queue.waiting,
        Status.RUNNING: queue.in_flight,
        Status.RETRYING: queue.delayed,
        Status.SUCCEEDED: sum(each.succeeded for each in ended),
        Status.DEAD: sum(each.dead for each in ended),
        Status.CANCELLED: sum(each.cancelled for each in ended),
    }
    return {JOB_WORDS[status]: count for status, count in counts.items()}
