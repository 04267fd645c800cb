"""The two requests of brief 002: ``PUT /enqueue`` and ``POST /pullCompleted``."""

import secrets
from typing import Any

from loadtest_trio.jobs.job import Job, Status, new_numeric_id
from loadtest_trio.jobs.store import JobStore, NewJob, Verdict
from loadtest_trio.web.api.exchange import Answer, Request, form_fields
from loadtest_trio.web.api.problems import Problem
from loadtest_trio.web.api.results import Results
from loadtest_trio.web.api.submission import Submitter, accepted

_CLIENT = "enqueue"
_MOST_PULLED = 1000


class EnqueueRoutes:
    """Hash chains with numeric ids, whose results are handed out once.

    Args:
        store: The jobs.
        submitter: Checks and submits jobs.
        results: Reads results.
    """

    def __init__(self, store: JobStore, submitter: Submitter, results: Results) -> None:
        self._store = store
        self._submitter = submitter
        self._results = results

    async def enqueue(self, request: Request) -> Answer:
        """PUT /enqueue?iterations=N with the body ``data=…``; answers ``{"id": number}``."""
        client = self._submitter.client_of(request, _CLIENT)
        iterations = request.query().get("iterations", "")
        if not iterations.isascii() or not iterations.isdecimal() or len(iterations) > 12:
            raise Problem(400, "iterations must be a whole number.")
        payload = {"data": _data(request.body), "iterations": int(iterations)}
        self._submitter.check("sha512", payload)
        job = NewJob(
            "sha512",
            payload,
            client,
            ordered=False,
            idempotency_key=self._submitter.key_of(request),
            pull=True,
            limited=client != _CLIENT,
            id=new_numeric_id(),
        )
        (submission,) = await self._submitter.submit([job])
        if submission.verdict is Verdict.REPEATED:
            return Answer.json(200, {"id": int(submission.id)})
        return Answer.json(200, {"id": int(accepted(submission).id)})

    async def pull_completed(self, request: Request) -> Answer:
        """POST /pullCompleted?top=N: returns finished jobs, each only once.

        For ten minutes, the same ``Idempotency-Key`` returns the same jobs again, in case an answer was lost.
        """
        top = request.number("top", 1, 1, _MOST_PULLED)
        token = self._submitter.key_of(request) or secrets.token_hex(16)
        jobs = await self._store.pull_completed(top, token)
        return Answer.json(200, [await self._completed(job) for job in jobs])

    async def _completed(self, job: Job) -> dict[str, Any]:
        number: int | str = int(job.id) if job.id.isdecimal() else job.id
        if job.status is Status.SUCCEEDED:
            return {"id": number, "result": (await self._results.read(job)).decode(errors="replace")}
        return {"id": number, "result": None, "error": job.error or str(job.status)}


def _data(body: bytes) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Problem(400, "The body must be UTF-8 text.") from error
    try:
        return form_fields(text)["data"]
    except (ValueError, KeyError) as error:
        raise Problem(400, "The body must be form data with data=… (curl -d 'data=Hello').") from error
