"""The three requests of brief 003: submit a task, get its status, get its result."""

import base64
from typing import Any

import orjson

from loadtest_trio.jobs.job import Job, Status
from loadtest_trio.jobs.store import JobStore, NewJob, Submission, Verdict
from loadtest_trio.web.api.exchange import Answer, Request, retry_after
from loadtest_trio.web.api.problems import Problem
from loadtest_trio.web.api.results import Results
from loadtest_trio.web.api.submission import Submitter, accepted, rate_headers
from loadtest_trio.web.api.views import TASK_WORDS, task_view

_CLIENT = "tasks"
_POLL_SECONDS = 1.0


class TaskRoutes:
    """Unordered tasks; no client name is needed.

    Args:
        store: The jobs.
        submitter: Checks and submits jobs.
        results: Finds records and results.
    """

    def __init__(self, store: JobStore, submitter: Submitter, results: Results) -> None:
        self._store = store
        self._submitter = submitter
        self._results = results

    async def submit(self, request: Request) -> Answer:
        """POST /tasks/submissions: ``{"type": "factorial", "n": 5}`` or ``{"type": …, "payload": {…}}``."""
        client, body = self._submitter.client_of(request, _CLIENT), request.json()
        kind, params = body.get("type"), body.get("payload")
        if params is None:
            params = {name: value for name, value in body.items() if name != "type"}
        if not isinstance(params, dict):
            raise Problem(422, "payload must be a JSON object.")
        job = NewJob(
            self._submitter.check(kind, params),
            params,
            client,
            ordered=False,
            idempotency_key=self._submitter.key_of(request),
            limited=client != _CLIENT,
        )
        (submission,) = await self._submitter.submit([job])
        task = await self._job_of(submission)
        headers = [(b"location", b"/tasks/submissions/" + task.id.encode()), retry_after(_POLL_SECONDS)]
        return Answer.json(202, task_view(task), headers + rate_headers(submission.rate))

    async def _job_of(self, submission: Submission) -> Job:
        if submission.verdict is Verdict.REPEATED:
            return await self._results.find(submission.id)
        return accepted(submission)

    async def status(self, request: Request, job_id: str) -> Answer:
        """GET /tasks/submissions/{id}."""
        job = await self._results.find(job_id)
        headers = [] if job.status.ended else [retry_after(_POLL_SECONDS)]
        return Answer.json(200, task_view(job), headers)

    async def result(self, request: Request, job_id: str) -> Answer:
        """GET /tasks/{id}: the factorial or the fetched content; for a FAILED task, the error.

        Brief 003 answers both with 200; the header ``X-Task-Status`` distinguishes them.
        """
        job = await self._results.find(job_id)
        if not job.status.ended:
            raise Problem(409, "The task has not completed.", [retry_after(_POLL_SECONDS)])
        word = (b"x-task-status", TASK_WORDS[job.status].encode())
        if job.status is not Status.SUCCEEDED:
            return Answer.json(200, task_view(job), [word])
        body, kind = await self._results.read(job), self._results.content_type(job)
        if job.type == "http-fetch":
            body, kind = fetched_content(body)
        return Answer(200, body, [kind, word, (b"x-content-type-options", b"nosniff")])


def fetched_content(result: bytes) -> tuple[bytes, tuple[bytes, bytes]]:
    """Return the body that http-fetch received, as plain bytes regardless of the page's content type.

    Args:
        result: The handler's JSON document.
    """
    page: dict[str, Any] = orjson.loads(result)
    body: str = page.get("body", "")
    raw = base64.b64decode(body) if page.get("encoding") == "base64" else body.encode()
    return raw, (b"content-type", b"application/octet-stream")
