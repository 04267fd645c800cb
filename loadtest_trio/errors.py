"""The exceptions of this package; the lowest layer, which imports no other module of it.

Each class tells whose fault it is (`fault`), which decides how it is reported, and whether the same attempt
can succeed later (`retryable`), which decides what a worker does. Foreign exceptions (redis-py, httpx, ssl,
the operating system) are converted once, at the boundary: in `backends/redis/`, `backends/s3/` and the
handlers.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar

import attrs


class Fault(StrEnum):
    """The party that has to act on an error."""

    USER = "user"
    BACKEND = "backend"
    MESSAGE = "message"
    SERVICE = "service"


class LoadtestError(Exception):
    """Base of every error that this package raises on purpose.

    Attributes:
        fault: The party that has to act.
        retryable: Whether the same attempt can succeed later.
        fatal_at_start: Whether the service refuses to start, because a person must change something first. A
            running service waits for the change.
        backend: The affected backend, such as ``s3``; "" for none.
        outage_symptom: Whether an outage of the whole backend, and not one message, may be the cause.
        retry_after: Seconds that the backend asks to wait before the next attempt; 0 if unknown.
    """

    fault: ClassVar[Fault] = Fault.SERVICE
    retryable: ClassVar[bool] = False
    fatal_at_start: ClassVar[bool] = False
    backend: ClassVar[str] = ""
    outage_symptom: ClassVar[bool] = False
    retry_after: float = 0.0


def cause_of(error: BaseException) -> BaseException:
    """Return the error inside the exception groups of nurseries.

    Of several errors, all of this package, the first is returned; any other group of several is returned
    unchanged.
    """
    while isinstance(error, BaseExceptionGroup):
        if len(error.exceptions) > 1 and error.split(LoadtestError)[1] is not None:
            break
        error = error.exceptions[0]
    return error


def describe(error: BaseException) -> str:
    """Return an error's class and message; for a group, those of the errors inside without duplicates.

    A group's own message, "Exceptions from Trio nursery (1 sub-exception)", is useless.
    """
    if not isinstance(error, BaseExceptionGroup):
        return f"{type(error).__name__}: {error}"
    return "; ".join(dict.fromkeys(map(describe, error.exceptions)))


@attrs.frozen
class SettingFault:
    """One bad setting.

    Attributes:
        name: The variable as the user writes it, such as ``WORKER_CONCURRENCY``.
        value: The given value, masked if it is a secret.
        allowed: The accepted values.
        source: Source of the value, such as ``environment``.
    """

    name: str
    value: str
    allowed: str
    source: str

    def __str__(self) -> str:
        return f"{self.name}={self.value!r} ({self.source}): must be {self.allowed}"


class ConfigurationError(LoadtestError):
    """The settings cannot be used; contains every fault, not only the first (exit code 2).

    Attributes:
        faults: The invalid settings.
        hints: Sentences that may explain them, such as a variable with a typing error in its name.
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
    """A queue element is not a valid message; it goes to the dead list with this reason."""

    fault = Fault.MESSAGE


class JobRejectedError(LoadtestError):
    """A job was refused because a name in it is not allowed."""

    fault = Fault.USER


class RedisError(LoadtestError):
    """Base of all errors of Redis."""

    fault = Fault.BACKEND
    backend = "redis"


class RedisUnavailableError(RedisError):
    """Redis does not answer, or its answer is temporary (loading, failing over, out of memory)."""

    retryable = True
    outage_symptom = True


class RedisRejectedError(RedisError):
    """Redis refuses permanently: bad password, missing permission, wrong type of key."""

    fault = Fault.USER


class CredentialsError(LoadtestError):
    """AWS credentials are missing, or their source did not renew them; it may do so later."""

    fault = Fault.USER
    retryable = True
    backend = "s3"


class S3Error(LoadtestError):
    """Base of all errors of S3.

    Attributes:
        code: The S3 error code (`AmazonS3/latest/API/ErrorResponses`), or our own for transport faults.
        key: The object's key, or "" for a bucket operation.
        status: The HTTP status, or 0 if there was no response.
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
    """404 for the object: it was deleted earlier. This counts as a miss, not as a failure."""

    fault = Fault.MESSAGE


class S3UnreachableError(S3Error):
    """No connection to S3: DNS, connecting or the TLS handshake failed."""

    retryable = True
    outage_symptom = True


class S3BrokenResponseError(S3Error):
    """The connection to S3 gave no complete response: reset, timed out, truncated, or not HTTP.

    The cause may be a single object or an outage.
    """

    retryable = True
    outage_symptom = True


class ObjectTooLargeError(S3Error):
    """The object is larger than `MAX_OBJECT_BYTES`."""

    fault = Fault.MESSAGE


class S3ThrottledError(S3Error):
    """S3 throttles requests: 503 SlowDown or 429."""

    retryable = True
    outage_symptom = True


class S3ServerError(S3Error):
    """S3 failed: 500, 502, 503, 504, 400 RequestTimeout, or a success response that is not from S3."""

    retryable = True
    outage_symptom = True


class S3AccessError(S3Error):
    """S3 answers but denies access, until a person changes something outside this service.

    Such a condition may affect all objects; messages then wait (`backends.s3.outage_detector`).
    """

    fault = Fault.USER
    retryable = True
    fatal_at_start = True
    outage_symptom = True


class S3DeniedError(S3AccessError):
    """403: a missing permission, for the object or in general, or a wrong signature."""


class S3CredentialsError(S3DeniedError):
    """S3 rejects the access key itself: unknown, disabled or expired."""


class ClockSkewError(S3DeniedError):
    """The clock used for signing differs from S3's by more than 15 minutes.

    Attributes:
        server_time: S3's time in Unix seconds, from the header ``Date``; None if there was none.
    """

    server_time: float | None = None


class BucketMissingError(S3AccessError):
    """The bucket does not exist."""


class WrongRegionError(S3AccessError):
    """The bucket is in another region than the one used for signing."""


class S3RedirectedError(S3AccessError):
    """S3 or a proxy redirects to another address.

    Attributes:
        location: The header ``Location``.
    """

    location: str = ""


class S3RejectedError(S3Error):
    """Any other permanent refusal by S3."""


class WorkError(LoadtestError):
    """Base of all errors in a job's own work; permanent unless a subclass says otherwise."""

    fault = Fault.MESSAGE


class JobTimeoutError(WorkError):
    """A computation took longer than `JOB_MAX_SECONDS`; a retry would take as long again."""


class WorkerProcessError(WorkError):
    """A worker process died during a computation: killed, out of memory, or crashed.

    The job may not be the cause, so it is retried; a job that always crashes its process runs out of retries.
    """

    fault = Fault.SERVICE
    retryable = True


class FetchRefusedError(WorkError):
    """The URL is not fetched: it is not allowed, its host is unknown, or its certificate is invalid."""


class FetchUnreachableError(WorkError):
    """There was no complete HTTP response: DNS failed, refused, reset, timed out, or not HTTP."""

    retryable = True
