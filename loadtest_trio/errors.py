"""The exception tree: row 0, imported by everyone, importing nothing.

Each class says two things about itself: whose fault it is (`fault`), which decides who is told and
how, and whether the same attempt can succeed later (`retryable`), which decides what a worker does.
Foreign exceptions (redis-py, httpx, ssl, the operating system) become one of these at the boundary,
in `backends/redis/` and `backends/s3/`, and nowhere else.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar

import attrs


class Fault(StrEnum):
    """Who has to act on an error."""

    USER = "user"
    BACKEND = "backend"
    MESSAGE = "message"
    SERVICE = "service"


class LoadtestError(Exception):
    """Base of every error that this package raises on purpose.

    Attributes:
        fault: Who has to act.
        retryable: Whether the same attempt can succeed later.
        fatal_at_start: Whether the service does not start: a person must change something first. A
            running service waits for that.
        backend: The backend that it speaks of, such as ``s3``; "" for none.
        outage_symptom: Whether an outage of that backend may be the cause: a condition of the whole
            backend, not of one message.
        retry_after: Seconds that the backend asks to wait before the next attempt; 0: it does not say.
    """

    fault: ClassVar[Fault] = Fault.SERVICE
    retryable: ClassVar[bool] = False
    fatal_at_start: ClassVar[bool] = False
    backend: ClassVar[str] = ""
    outage_symptom: ClassVar[bool] = False
    retry_after: float = 0.0


def cause_of(error: BaseException) -> BaseException:
    """Return the error inside the groups that nurseries make.

    Of several errors of this package the first stands for all; another group of several is returned as it is.
    """
    while isinstance(error, BaseExceptionGroup):
        if len(error.exceptions) > 1 and error.split(LoadtestError)[1] is not None:
            break
        error = error.exceptions[0]
    return error


def describe(error: BaseException) -> str:
    """Return an error's class and words; of a group, those of the errors inside, each kind once.

    A group's own words, "Exceptions from Trio nursery (1 sub-exception)", say nothing.
    """
    if not isinstance(error, BaseExceptionGroup):
        return f"{type(error).__name__}: {error}"
    return "; ".join(dict.fromkeys(map(describe, error.exceptions)))


@attrs.frozen
class SettingFault:
    """One bad setting.

    Attributes:
        name: The variable as the user writes it, such as ``WORKER_CONCURRENCY``.
        value: What was given, masked when it is a secret.
        allowed: What would have been accepted.
        source: Where the value came from, such as ``environment``.
    """

    name: str
    value: str
    allowed: str
    source: str

    def __str__(self) -> str:
        return f"{self.name}={self.value!r} ({self.source}): must be {self.allowed}"


class ConfigurationError(LoadtestError):
    """The settings cannot be used; lists every fault found, not only the first (exit code 2).

    Attributes:
        faults: What is wrong.
        hints: Sentences that may explain it, such as a variable with a typing error in its name.
    """

    fault = Fault.USER

    def __init__(self, faults: list[SettingFault], hints: Sequence[str] = ()) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = faults
        self.hints = hints


class BackendUnavailableError(LoadtestError):
    """Redis or S3 could not be reached or used at start, after a bounded retry (exit code 3)."""

    fault = Fault.BACKEND


class MalformedMessageError(LoadtestError):
    """A queue element is not a message: it goes to the dead list with this reason."""

    fault = Fault.MESSAGE


class JobRejectedError(LoadtestError):
    """A job that cannot be taken as it is: a name in it is not allowed."""

    fault = Fault.USER


class RedisError(LoadtestError):
    """Base of what goes wrong between us and Redis."""

    fault = Fault.BACKEND
    backend = "redis"


class RedisUnavailableError(RedisError):
    """No answer, or an answer that says "later" (loading, failing over, out of memory)."""

    retryable = True
    outage_symptom = True


class RedisRejectedError(RedisError):
    """Redis answered no, and will again: bad password, missing permission, wrong type of key."""

    fault = Fault.USER


class CredentialsError(LoadtestError):
    """No AWS credentials were found, or their source did not renew them; it may do so later."""

    fault = Fault.USER
    retryable = True
    backend = "s3"


class S3Error(LoadtestError):
    """Base of what goes wrong between us and S3.

    Attributes:
        code: The S3 error code (`AmazonS3/latest/API/ErrorResponses`), or our own for transport faults.
        key: The object's key, or "" for a bucket operation.
        status: The HTTP status, or 0 when there was no response.
        request_id: ``x-amz-request-id``, or "".
    """

    fault = Fault.BACKEND
    backend = "s3"

    def __init__(
        self, message: str, *, code: str = "", key: str = "", status: int = 0, request_id: str = ""
    ) -> None:
        super().__init__(message)
        self.code = code
        self.key = key
        self.status = status
        self.request_id = request_id

    def __str__(self) -> str:
        facts = {"code": self.code, "status": self.status, "key": self.key, "request_id": self.request_id}
        shown = " ".join(f"{name}={_on_one_line(value)}" for name, value in facts.items() if value)
        return f"{self.args[0]} [{shown}]" if shown else str(self.args[0])


def _on_one_line(value: object) -> str:
    text = str(value)
    return text if text.isprintable() else repr(text)


class ObjectMissingError(S3Error):
    """404 for the object: somebody deleted it first. A miss, not a failure."""

    fault = Fault.MESSAGE


class S3UnreachableError(S3Error):
    """No connection to S3: name look-up, connecting or the TLS handshake failed."""

    retryable = True
    outage_symptom = True


class S3BrokenResponseError(S3Error):
    """S3 was connected, but no complete response came: reset, timed out, cut short, or not HTTP.

    The cause may be one object as well as an outage.
    """

    retryable = True
    outage_symptom = True


class ObjectTooLargeError(S3Error):
    """The object is larger than `MAX_OBJECT_BYTES`."""

    fault = Fault.MESSAGE


class S3ThrottledError(S3Error):
    """S3 asks for less: 503 SlowDown or 429."""

    retryable = True


class S3ServerError(S3Error):
    """S3 failed: 500, 502, 503, 504, 400 RequestTimeout, or a success that is not S3's."""

    retryable = True


class S3AccessError(S3Error):
    """S3 answers but does not let us work: the base of faults that a person must mend outside.

    They may concern everything, so messages wait while they do (`backends.s3.outage_detector`).
    """

    fault = Fault.USER
    retryable = True
    fatal_at_start = True
    outage_symptom = True


class S3DeniedError(S3AccessError):
    """403: a missing permission, for the object or in general, or a wrong signature."""


class S3CredentialsError(S3DeniedError):
    """S3 rejects the keys themselves: unknown, disabled or expired."""


class ClockSkewError(S3DeniedError):
    """The time of signing differs from S3's by more than 15 minutes.

    Attributes:
        server_time: S3's time of day in Unix seconds, from the header ``Date``; None if there was none.
    """

    server_time: float | None = None


class BucketMissingError(S3AccessError):
    """The bucket does not exist."""


class WrongRegionError(S3AccessError):
    """The bucket is in another region than the requests were signed for."""


class S3RedirectedError(S3AccessError):
    """S3, or a proxy in its place, redirects to another address.

    Attributes:
        location: The header ``Location``.
    """

    location: str = ""


class S3RejectedError(S3Error):
    """Any other refusal that will not change by asking again."""


class WorkError(LoadtestError):
    """Base of what goes wrong in a job's own work; permanent unless a subclass says otherwise."""

    fault = Fault.MESSAGE


class JobTimeoutError(WorkError):
    """A computation took longer than `JOB_MAX_SECONDS`; the same work would take as long again."""


class WorkerProcessError(WorkError):
    """A worker process died during a computation: killed, out of memory, or crashed.

    The job may be innocent, so it is tried again; one that always crashes its process runs out of retries.
    """

    fault = Fault.SERVICE
    retryable = True


class FetchRefusedError(WorkError):
    """The URL will not be fetched: a rule of ours, an unknown name or a bad certificate forbids it."""


class FetchUnreachableError(WorkError):
    """No complete HTTP answer: DNS failed, refused, reset, timed out, or not HTTP."""

    retryable = True
