"""Turns a request into jobs on the queue, and the store's verdict into an answer."""

from collections import deque
from collections.abc import Sequence
from typing import Any

from loadtest_trio.errors import MalformedMessageError
from loadtest_trio.handlers.registry import Registry
from loadtest_trio.jobs.job import Job
from loadtest_trio.jobs.message import Message
from loadtest_trio.jobs.store import LONGEST_NAME, JobStore, NewJob, Rate, Submission, Verdict, is_name
from loadtest_trio.web.api.exchange import Headers, Request, retry_after
from loadtest_trio.web.api.problems import Problem

FULL_RETRY_SECONDS = 5.0
_LATEST = 20


class Submitter:
    """Checks submitted jobs and puts them on the queue.

    Args:
        store: Receives the jobs.
        registry: The kinds of work; only `public` ones can be submitted.

    Attributes:
        latest: The ids of the latest jobs that this process has accepted, the oldest first.
    """

    def __init__(self, store: JobStore, registry: Registry) -> None:
        self.latest: deque[str] = deque(maxlen=_LATEST)
        self._store = store
        self._registry = registry
        self._public = [name for name in registry.operations if registry[name].public]

    async def submit(self, jobs: Sequence[NewJob]) -> list[Submission]:
        """Submit jobs that `draft` has checked."""
        submissions = await self._store.submit(jobs)
        self.latest.extend([each.id for each in submissions if each.verdict is Verdict.ACCEPTED])
        return submissions

    def client_of(self, request: Request, default: str = "") -> str:
        """Return the name of the client.

        Raises:
            Problem: The header is missing, or no name.
        """
        if b"x-client-id" not in request.headers and not default:
            raise Problem(400, "The header X-Client-Id is required.")
        return _name("X-Client-Id", request.header(b"x-client-id"), request, default)

    def key_of(self, request: Request) -> str:
        """Return the idempotency key, or "".

        Raises:
            Problem: It is no name.
        """
        key = request.header(b"idempotency-key").strip('"')  # the IETF's draft writes it in quotes
        return _name("Idempotency-Key", key, request)

    def draft(self, client: str, wanted: Any, idempotency_key: str = "") -> NewJob:
        """Return the job that a JSON object asks for: ``type``, ``payload``, ``ordered``, ``key``.

        Raises:
            Problem: The job is not valid.
        """
        if not isinstance(wanted, dict):
            raise Problem(400, "A job must be a JSON object.")
        payload, ordered, key = wanted.get("payload", {}), wanted.get("ordered", True), wanted.get("key", "")
        if not isinstance(payload, dict):
            raise Problem(422, "payload must be a JSON object.")
        if not isinstance(ordered, bool):
            raise Problem(422, "ordered must be true or false.")
        if not isinstance(key, str):
            raise Problem(422, "key must be a string.")
        kind = self.check(wanted.get("type"), payload, key)
        return NewJob(kind, payload, client, ordered=ordered, idempotency_key=idempotency_key, key=key)

    def check(self, kind: Any, params: dict[str, Any], key: str = "") -> str:
        """Return the type of a job whose parameters a handler accepts.

        Raises:
            Problem: The type is unknown, or its handler refuses the parameters.
        """
        if not isinstance(kind, str) or kind not in self._public:
            raise Problem(422, f"type must be one of {', '.join(self._public)}.")
        try:
            self._registry.find(Message("draft", kind, key, params=params))
        except MalformedMessageError as error:
            raise Problem(422, f"{kind}: {error}.") from error
        return kind


def _name(header: str, value: str, request: Request, absent: str = "") -> str:
    """Return the value of a header that names something, or `absent` when the request has no such header."""
    if header.lower().encode() not in request.headers:
        return absent
    if not is_name(value):
        raise Problem(400, f"{header} must be 1 to {LONGEST_NAME} printable ASCII characters without blanks.")
    return value


def accepted(submission: Submission) -> Job:
    """Return the job of an accepted submission.

    Raises:
        Problem: It was refused.
    """
    if submission.job is not None:
        return submission.job
    refuse(submission)
    raise AssertionError("an accepted submission has its job")


def refuse(submission: Submission) -> None:
    """Raise the problem of a refused submission; return if it was not refused.

    Raises:
        Problem: 422 for an idempotency key of other work, 429 for the rate limit, 503 for a full queue.
    """
    rate = submission.rate
    match submission.verdict:
        case Verdict.CONFLICT:
            raise Problem(422, "This Idempotency-Key was used for another job.", extra={"job": submission.id})
        case Verdict.LIMITED:
            detail = f"The limit of {rate.limit} jobs a minute for each client is used up."
            raise Problem(429, detail, [retry_after(rate.wait), *rate_headers(rate)])
        case Verdict.FULL:
            raise Problem(503, "The queue is full.", [retry_after(FULL_RETRY_SECONDS)])


def rate_headers(rate: Rate) -> Headers:
    """Return the rate limit headers for a client.

    These are the common ``X-RateLimit-*``, and ``RateLimit-Policy`` and ``RateLimit`` of the IETF draft
    "RateLimit header fields for HTTP". Seconds are rounded up.
    """
    if not rate.limit:
        return []
    reset = -int(-rate.reset // 1)
    return [
        (b"x-ratelimit-limit", b"%d" % rate.limit),
        (b"x-ratelimit-remaining", b"%d" % rate.remaining),
        (b"x-ratelimit-reset", b"%d" % reset),
        (b"ratelimit-policy", b'"client";q=%d;w=60' % rate.limit),
        (b"ratelimit", b'"client";r=%d;t=%d' % (rate.remaining, reset)),
    ]
