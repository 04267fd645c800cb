"""The routes under ``/api/jobs`` (brief 004)."""

import re
from collections.abc import Callable
from typing import Any

import trio

from loadtest_trio.jobs.job import Job, Status
from loadtest_trio.jobs.store import Change, JobStore, Submission, Verdict, is_name
from loadtest_trio.web.api.exchange import Answer, Headers, Request, retry_after
from loadtest_trio.web.api.problems import Problem
from loadtest_trio.web.api.results import Results
from loadtest_trio.web.api.submission import Submitter, accepted, rate_headers
from loadtest_trio.web.api.views import JOB_WORDS, STATUS_OF_WORD, entity_tag, job_view
from loadtest_trio.web.api.watch import JobWatch

_POLL_SECONDS = 1.0  # Retry-After of a job that has not ended
_LONGEST_WAIT_SECONDS = 60.0
_MOST_JOBS, _LARGEST_PAGE = 1000, 200
_PREFER_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,9})", re.IGNORECASE)


class JobRoutes:
    """Submits, shows, cancels and retries jobs.

    Args:
        store: The jobs.
        submitter: Checks and submits jobs.
        watch: Waits for changes.
        results: Finds results and expired records.
        on_ended: Called with the id of a job that was cancelled.
    """

    def __init__(
        self,
        store: JobStore,
        submitter: Submitter,
        watch: JobWatch,
        results: Results,
        on_ended: Callable[[str], None],
    ) -> None:
        self._store = store
        self._submitter = submitter
        self._watch = watch
        self._results = results
        self._on_ended = on_ended

    async def submit(self, request: Request) -> Answer:
        """POST /api/jobs."""
        client, key = self._submitter.client_of(request), self._submitter.key_of(request)
        draft = self._submitter.draft(client, request.json(), key)
        (submission,) = await self._submitter.submit([draft])
        job = await self._job_of(submission)
        headers = [(b"location", b"/api/jobs/" + job.id.encode()), *_progress(job)]
        return Answer.json(202, job_view(job), headers + rate_headers(submission.rate))

    async def submit_batch(self, request: Request) -> Answer:
        """POST /api/jobs/batch: one answer per job, with the status of a single submission."""
        client, key = self._submitter.client_of(request), self._submitter.key_of(request)
        wanted = request.json().get("jobs")
        if not isinstance(wanted, list) or not 1 <= len(wanted) <= _MOST_JOBS:
            raise Problem(422, f"jobs must be a list of 1 to {_MOST_JOBS} jobs.")
        answers: list[dict[str, Any]] = [{} for _ in wanted]
        drafts = []
        for number, each in enumerate(wanted):
            try:
                drafts.append((number, self._submitter.draft(client, each, f"{key}:{number}" if key else "")))
            except Problem as problem:
                answers[number] = problem.document()
        submissions = await self._submitter.submit([draft for _, draft in drafts]) if drafts else []
        for (number, _), submission in zip(drafts, submissions, strict=True):
            try:
                answers[number] = {"status": 202, "job": job_view(await self._job_of(submission))}
            except Problem as problem:
                answers[number] = problem.document()
        headers = rate_headers(submissions[-1].rate) if submissions else []
        return Answer.json(202, {"jobs": answers}, headers)

    async def _job_of(self, submission: Submission) -> Job:
        if submission.verdict is Verdict.REPEATED:
            return await self._results.find(submission.id)
        return accepted(submission)

    async def get(self, request: Request, job_id: str) -> Answer:
        """GET and HEAD /api/jobs/{id}, at once or when the job changes."""
        job = await self._results.find(job_id)
        known = request.header(b"if-none-match")
        seconds = _wait_seconds(request)
        if seconds and not job.status.ended and (not known or _matches(known, job)):
            job = await self._wait(request, job, seconds)
        headers = [(b"etag", entity_tag(job)), *_progress(job)]
        if known and _matches(known, job):
            return Answer(304, b"", headers)
        return Answer.json(200, job_view(job), headers)

    async def _wait(self, request: Request, job: Job, seconds: float) -> Job:
        changed: Job | None = None
        async with trio.open_nursery() as nursery:

            async def notice_disconnect() -> None:
                while request.receive and (await request.receive())["type"] != "http.disconnect":
                    pass
                nursery.cancel_scope.cancel()

            if request.receive:
                nursery.start_soon(notice_disconnect, name="disconnect")
            changed = await self._watch.wait(job, seconds)
            nursery.cancel_scope.cancel()
        return changed or job

    async def result(self, request: Request, job_id: str) -> Answer:
        """GET /api/jobs/{id}/result."""
        job = await self._results.find(job_id)
        if job.status is Status.SUCCEEDED:
            return Answer(200, await self._results.read(job), [self._results.content_type(job)])
        if job.status.ended:
            reason = job.error or "it was cancelled"
            extra = {"jobStatus": JOB_WORDS[job.status]}
            raise Problem(409, f"The job has no result: {reason}.", extra=extra)
        raise Problem(409, "The job has not ended.", [retry_after(_POLL_SECONDS)])

    async def cancel(self, request: Request, job_id: str) -> Answer:
        """DELETE /api/jobs/{id}."""
        await self._change(await self._store.cancel(job_id), "The job has ended: it cannot be cancelled.")
        self._on_ended(job_id)
        return Answer.json(200, job_view(await self._results.find(job_id)))

    async def retry(self, request: Request, job_id: str) -> Answer:
        """POST /api/jobs/{id}/retry."""
        await self._change(await self._store.retry(job_id), "Only a job in DEAD_LETTER can be retried.")
        job = await self._results.find(job_id)
        headers = [(b"location", b"/api/jobs/" + job.id.encode()), *_progress(job)]
        return Answer.json(202, job_view(job), headers)

    async def _change(self, change: Change, refusal: str) -> None:
        if change is Change.UNKNOWN:
            raise Problem(404, "There is no such job, or its record has expired.")
        if change is Change.PURGED:
            raise Problem(409, "Its dead letter has been deleted: submit the work as a new job.")
        if change is Change.REFUSED:
            raise Problem(409, refusal)

    async def page(self, request: Request) -> Answer:
        """GET /api/jobs?clientId=X."""
        query = request.query()
        client, word = query.get("clientId", ""), query.get("status", "").upper()
        if not is_name(client):
            raise Problem(400, "The parameter clientId is required: 1 to 128 printable ASCII characters.")
        if word and word not in STATUS_OF_WORD:
            raise Problem(400, f"status must be one of {', '.join(STATUS_OF_WORD)}.")
        size = request.number("page_size", 50, 1, _LARGEST_PAGE)
        page = await self._store.page(
            client, status=STATUS_OF_WORD.get(word), size=size, token=query.get("page_token", "")
        )
        if not page.valid:  # an empty page would look like the end of the list
            raise Problem(400, "page_token is unknown or has expired: begin again without it.")
        jobs = [job_view(job) for job in page.jobs]
        return Answer.json(200, {"jobs": jobs, "nextPageToken": page.token or None})


def _progress(job: Job) -> Headers:
    return [] if job.status.ended else [retry_after(_POLL_SECONDS)]


def _wait_seconds(request: Request) -> float:
    text = request.query().get("wait") if request.raw_query else None
    if text is None:
        prefer = request.header(b"prefer")
        preferred = _PREFER_WAIT.search(prefer) if prefer else None
        return min(float(preferred[1]), _LONGEST_WAIT_SECONDS) if preferred else 0.0
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise Problem(400, "wait must be a number of seconds, 0 or more.")
    return min(seconds, _LONGEST_WAIT_SECONDS)


def _matches(known: str, job: Job) -> bool:
    tag = entity_tag(job).decode()
    return known.strip() == "*" or any(
        each.strip().removeprefix("W/") == tag.removeprefix("W/") for each in known.split(",")
    )
