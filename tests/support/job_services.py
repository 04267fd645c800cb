"""Job services of known behaviour in memory, with the real API's routes, in virtual time."""

from collections.abc import Callable
from math import inf
from typing import Any

import orjson
import trio


class JobService:
    """``/api/jobs`` and ``/tasks`` with a queue and workers; start `run` to have jobs done.

    Args:
        seconds: How long a job takes.
        workers: How many are done at once.
        latency: Seconds that an answer takes.
        jammed: Tells, by the number of open jobs, whether workers stand still.
    """

    def __init__(
        self,
        seconds: float = 0.1,
        workers: int = 10,
        latency: float = 0.003,
        jammed: Callable[[int], bool] = lambda _: False,
    ) -> None:
        self.statuses: dict[str, str] = {}
        self.open = 0
        self.jammed_since = inf
        self._seconds, self._workers, self._latency, self._jammed = seconds, workers, latency, jammed
        self._send, self._receive = trio.open_memory_channel[str](100_000)

    async def run(self) -> None:
        """Do jobs until cancelled."""
        async with trio.open_nursery() as nursery:
            for _ in range(self._workers):
                nursery.start_soon(self._work)

    async def answer(self, method: str, target: str, body: bytes) -> tuple[int, Any]:
        """Answer one request, after the latency."""
        await trio.sleep(self._latency)
        path = target.split("?")[0]
        if method == "POST" and path in ("/api/jobs", "/tasks/submissions"):
            return 202, {"id": self._submit(body), "status": "QUEUED"}
        name = path.rsplit("/", 1)[1]
        status = self.statuses.get(name)
        if status is None:
            return 404, {"title": "no such job"}
        words = {"SUCCEEDED": "COMPLETED"} if path.startswith("/api/jobs/") else {}
        return 200, {"id": name, "status": words.get(status, status)}

    def _submit(self, body: bytes) -> str:
        name = f"job-{len(self.statuses)}"
        self.statuses[name] = "QUEUED"
        self.open += 1
        self._send.send_nowait(name)
        assert isinstance(orjson.loads(body), dict)
        return name

    async def _work(self) -> None:
        async for name in self._receive:
            if self._jammed(self.open):
                self.jammed_since = min(self.jammed_since, trio.current_time())
            while self._jammed(self.open):  # noqa: ASYNC110 - a predicate has no event
                await trio.sleep(0.1)
            self.statuses[name] = "RUNNING"
            await trio.sleep(self._seconds)
            self.statuses[name] = "SUCCEEDED"
            self.open -= 1
