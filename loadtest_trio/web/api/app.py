"""The ASGI application of the job API: finds the route, answers, and turns errors into problem documents.

It is plain ASGI on purpose: a framework would cost several times as much as a job (docs/architecture.md).
"""

import hmac
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import attrs
import trio

from loadtest_trio.errors import CredentialsError, LoadtestError, RedisError, S3Error, describe
from loadtest_trio.handlers.registry import Registry
from loadtest_trio.http.server import ClientDisconnectedError
from loadtest_trio.jobs.store import JobStore
from loadtest_trio.metrics import logs
from loadtest_trio.web.api import openapi
from loadtest_trio.web.api.enqueue import EnqueueRoutes
from loadtest_trio.web.api.exchange import Answer, Request, retry_after
from loadtest_trio.web.api.jobs import JobRoutes
from loadtest_trio.web.api.problems import CONTENT_TYPE, Problem
from loadtest_trio.web.api.results import JobArchive, Results
from loadtest_trio.web.api.routes import Route, Router
from loadtest_trio.web.api.stats import StatsRoutes
from loadtest_trio.web.api.submission import Submitter
from loadtest_trio.web.api.tasks import TaskRoutes
from loadtest_trio.web.api.watch import JobWatch

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Observe = Callable[[str, int, float], None]
"""Called with a route's name, the status, and the duration of the answer in seconds."""

_OUTAGE_RETRY_SECONDS = 2.0


@attrs.frozen
class ApiOptions:
    """The options of the job API.

    Attributes:
        token: The required bearer token; "" for none.
        max_body_bytes: Maximum size of a request body.
    """

    token: str = ""
    max_body_bytes: int = 1 << 20


class JobApi:
    """The application.

    Args:
        store: The jobs.
        registry: The kinds of work.
        archive: The large results and expired records.
        options: The options.
        observe: Called for every answer.
        clock: Monotonic seconds.
        on_ended: Called with the id of a job that a request has cancelled.

    Attributes:
        draining: Whether the service is about to end; readiness is denied, and new work is refused once the
            time given to `drain` is over.
        latest: The ids of the latest jobs that this process has accepted, the oldest first.
    """

    def __init__(
        self,
        store: JobStore,
        registry: Registry,
        archive: JobArchive,
        options: ApiOptions,
        observe: Observe,
        clock: Callable[[], float],
        on_ended: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.draining = False
        self._refuses_at = math.inf
        self._options = options
        self._observe = observe
        self._clock = clock
        self._watch = JobWatch(store)
        self._on_ended = on_ended
        self.results = Results(store, registry, archive, clock)
        submitter = Submitter(store, registry)
        self.latest: Sequence[str] = submitter.latest
        self._router = Router(self._routes(store, submitter))

    def _routes(self, store: JobStore, submitter: Submitter) -> list[Route]:
        jobs = JobRoutes(store, submitter, self._watch, self.results, self._on_ended)
        enqueue = EnqueueRoutes(store, submitter, self.results)
        tasks = TaskRoutes(store, submitter, self.results)
        stats = StatsRoutes(store, self.results, lambda: self.draining)
        return [
            Route("POST", "/api/jobs", jobs.submit, submits=True),
            Route("GET", "/api/jobs", jobs.page),
            Route("POST", "/api/jobs/batch", jobs.submit_batch, submits=True),
            Route("GET", "/api/jobs/stats", stats.stats),
            Route("GET", "/api/jobs/health", stats.health, public=True),
            Route("GET", "/api/jobs/{id}", jobs.get),
            Route("DELETE", "/api/jobs/{id}", jobs.cancel),
            Route("GET", "/api/jobs/{id}/result", jobs.result),
            Route("POST", "/api/jobs/{id}/retry", jobs.retry, submits=True),
            Route("PUT", "/enqueue", enqueue.enqueue, submits=True),
            Route("POST", "/pullCompleted", enqueue.pull_completed),
            Route("POST", "/tasks/submissions", tasks.submit, submits=True),
            Route("GET", "/tasks/submissions/{id}", tasks.status),
            Route("GET", "/tasks/{id}", tasks.result),
            Route("GET", "/openapi.json", openapi.document, public=True),
            Route("GET", "/", openapi.page, public=True),
        ]

    @property
    def routes(self) -> list[Route]:
        """All routes."""
        return self._router.routes

    def drain(self, seconds: float) -> None:
        """Report not ready, and refuse new work after so many seconds; a second call may shorten them."""
        self.draining = True
        self._refuses_at = min(self._refuses_at, self._clock() + seconds)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve long polls until cancelled; other requests do not need this task."""
        await self._watch.run(task_status=task_status)

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3, "HTTP & WebSocket ASGI Message Format")."""
        if scope["type"] != "http":
            return
        began, name = self._clock(), "other"
        try:
            route, parameters = self._router.find(scope["method"], scope["path"])
            name = route.name
            request = await self._request(scope, receive)
            self._admit(route, request)
            answer = await route.handle(request, *parameters)
        except ClientDisconnectedError:
            return  # the body was too slow or too long; the server answers
        except Exception as error:
            answer = _problem(error, name)
        self._observe(name, answer.status, self._clock() - began)
        await _send(answer, scope["method"] == "HEAD", send)

    async def _request(self, scope: Mapping[str, Any], receive: Receive) -> Request:
        headers = dict(scope["headers"])
        request = Request(scope["method"], scope["path"], scope["query_string"], headers, receive=receive)
        if scope["method"] in ("GET", "HEAD"):
            return request
        chunks, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnectedError("the body broke off")  # never submit part of a body
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > self._options.max_body_bytes:
                raise Problem(413, f"The body may have {self._options.max_body_bytes} bytes at most.")
            if not message.get("more_body"):
                break
        request.body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        return request

    def _admit(self, route: Route, request: Request) -> None:
        if self._options.token and not route.public:
            kind, _, token = request.header(b"authorization").partition(" ")
            expected = self._options.token.encode()
            if kind.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), expected):
                detail = "A bearer token is required: Authorization: Bearer …"
                raise Problem(401, detail, [(b"www-authenticate", b"Bearer")])
        if route.submits and self.draining and self._clock() >= self._refuses_at:
            raise Problem(503, "The service is shutting down.", [retry_after(_OUTAGE_RETRY_SECONDS)])


def _problem(error: Exception, route: str) -> Answer:
    problem = _as_problem(error, route)
    return Answer(problem.status, problem.body(), [CONTENT_TYPE, *problem.headers])


def _as_problem(error: Exception, route: str) -> Problem:
    wait = [retry_after(_OUTAGE_RETRY_SECONDS)]
    match error:
        case Problem():
            return error
        case RedisError():
            return Problem(503, "Redis cannot be used at the moment.", wait)
        case S3Error() | CredentialsError():
            return Problem(503, "S3 cannot be used at the moment.", wait)
        case LoadtestError():
            return Problem(422, str(error))
    logs.failure("request_crashed", route, "ERROR", route=route, error=describe(error))
    return Problem(500, "The service has a fault; the log names it.")


async def _send(answer: Answer, head: bool, send: Send) -> None:
    headers = answer.headers
    if answer.status != 304:
        headers = [*headers, (b"content-length", b"%d" % len(answer.body))]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else answer.body})
