"""Customers who keep a record: each submits a job, polls it until it has ended, and begins anew.

A submission that fails is repeated with its idempotency key until it is accepted, as docs/jobs.md tells
clients to do. Every request has an id that the balancer logs, so a failure can be laid to one task.
"""

import itertools
import time
from collections import Counter
from contextlib import suppress
from random import Random

import attrs
import orjson
import trio

from loadtest_trio.users.http_wire import HttpWire, SocketWatch
from loadtest_trio.users.origin import Origin, resolve
from loadtest_trio.users.wire import ExchangeError, Reply

POLL_SECONDS = 0.25
_RETRY_SECONDS = 0.3
_TIMEOUT_SECONDS = 30.0
_ENDED = frozenset(("COMPLETED", "DEAD_LETTER", "CANCELLED"))
_SERVER_ERROR = 500


@attrs.frozen
class Failure:
    """A request without a useful answer.

    Attributes:
        id: Of the request.
        at: Unix time of its end.
        seconds: That it took.
        method: Of the request.
        status: 0 without an answer.
        retry_after: The header's value, or "".
    """

    id: str
    at: float
    seconds: float
    method: str
    status: int
    retry_after: str


@attrs.define
class Record:
    """What customers have seen.

    Attributes:
        requests: Number of requests.
        failures: Those that failed.
        accepted: Idempotency key -> ids of the jobs that it was answered with: one, or it was not kept.
        statuses: Job id -> its last known status.
        clients: Job id -> the client.
        seconds: Job id -> from the first submission to the end that was seen.
    """

    requests: int = 0
    failures: list[Failure] = attrs.field(factory=list)
    accepted: dict[str, set[str]] = attrs.field(factory=dict)
    statuses: dict[str, str] = attrs.field(factory=dict)
    clients: dict[str, str] = attrs.field(factory=dict)
    seconds: dict[str, float] = attrs.field(factory=dict)

    @property
    def unfinished(self) -> list[str]:
        """Accepted jobs that have not been seen to end."""
        return [job for job, status in self.statuses.items() if status not in _ENDED]

    @property
    def twice(self) -> list[str]:
        """Idempotency keys that made more than one job."""
        return [key for key, jobs in self.accepted.items() if len(jobs) > 1]

    def ends(self) -> Counter[str]:
        """Return how many jobs have which status."""
        return Counter(self.statuses.values())


class Customers:
    """A number of customers, each with one keep-alive connection.

    Args:
        url: The balancer's.
        work: The jobs that they submit, in turn.
        names: Their client ids.
        token: The bearer token, if one is needed.
    """

    def __init__(self, url: str, work: list[dict[str, object]], names: list[str], token: str = "") -> None:
        self.record = Record()
        self.headers = "Host: rehearsal\r\n" + (f"Authorization: Bearer {token}\r\n" if token else "")
        self._url = url
        self._work = itertools.cycle(work)
        self._names = names
        self._numbers = itertools.count()
        self._rng = Random(4)
        self._leaving = trio.Event()

    def leave(self) -> None:
        """Let them finish their jobs, and end `run`."""
        self._leaving.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Come and stay until `leave`; then see every accepted job to its end."""
        origin = await resolve(self._url, timeout=_TIMEOUT_SECONDS)
        async with trio.open_nursery() as watching:
            watch = SocketWatch()
            await watching.start(watch.run)
            async with trio.open_nursery() as customers:
                for name in self._names:
                    customers.start_soon(_Customer(name, self, origin, watch).run)
                task_status.started()
            watching.cancel_scope.cancel()
        watch.close()

    @property
    def leaving(self) -> bool:
        """Whether nobody is to begin anew."""
        return self._leaving.is_set()

    def next_number(self) -> int:
        """Return a number that was not used before."""
        return next(self._numbers)

    def next_work(self) -> bytes:
        """Return the body of the next submission."""
        return orjson.dumps(next(self._work))

    def pause(self) -> float:
        """Return a little time, so that customers do not move in step."""
        return self._rng.uniform(0.5, 1.5)


class _Customer:
    def __init__(self, name: str, group: Customers, origin: Origin, watch: SocketWatch) -> None:
        self._name = name
        self._group = group
        self._record = group.record
        self._wire = HttpWire(origin, watch)
        self._run_id = f"{time.time_ns():x}"

    async def run(self) -> None:
        try:
            while not self._group.leaving:
                await self._see_through(self._group.next_work())
        finally:
            self._wire.close()

    async def _see_through(self, body: bytes) -> None:
        key, began = f"{self._name}-{self._run_id}-{self._group.next_number()}", trio.current_time()
        reply = await self._ask("POST", "/api/jobs", body, key)
        while reply is None or reply.status >= _SERVER_ERROR:
            await trio.sleep(_wait(reply) * self._group.pause())
            reply = await self._ask("POST", "/api/jobs", body, key)
        assert reply.status in (200, 202), (reply.status, reply.body)
        job = str(orjson.loads(reply.body)["id"])
        self._record.accepted.setdefault(key, set()).add(job)
        self._record.clients[job] = self._name
        self._record.statuses[job] = "PENDING"
        while self._record.statuses[job] not in _ENDED:
            await trio.sleep(POLL_SECONDS * self._group.pause())
            await self._poll(job)
        self._record.seconds[job] = trio.current_time() - began

    async def _poll(self, job: str) -> None:
        reply = await self._ask("GET", f"/api/jobs/{job}")
        if reply is not None and reply.status < _SERVER_ERROR:
            status = orjson.loads(reply.body).get("status")
            self._record.statuses[job] = str(status or f"answered {reply.status}")
            assert status, f"job {job} is not known: {reply.status} {bytes(reply.body)!r}"

    async def _ask(self, method: str, path: str, body: bytes = b"", key: str = "") -> Reply | None:
        name = f"{self._name}.{self._group.next_number()}"
        lines = [f"{self._group.headers}X-Client-Id: {self._name}\r\nX-Request-Id: {name}\r\n"]
        if body:
            lines.append(f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n")
        if key:
            lines.append(f"Idempotency-Key: {key}\r\n")
        began = trio.current_time()
        self._record.requests += 1
        reply: Reply | None = None
        with suppress(ExchangeError):
            reply = await self._wire.exchange(method, path.encode(), "".join(lines).encode(), body)
        if reply is None or reply.status >= _SERVER_ERROR:
            took = trio.current_time() - began
            status, wait = (reply.status, _header(reply, b"retry-after")) if reply else (0, "")
            self._record.failures.append(Failure(name, time.time(), took, method, status, wait))
        return reply


def _header(reply: Reply, name: bytes) -> str:
    return next((value.decode() for key, value in reply.headers if key.lower() == name), "")


def _wait(reply: Reply | None) -> float:
    """Return the seconds to wait before a repetition: as told, and not long otherwise."""
    told = _header(reply, b"retry-after") if reply else ""
    return min(float(told), _RETRY_SECONDS * 4) if told.isdigit() else _RETRY_SECONDS
