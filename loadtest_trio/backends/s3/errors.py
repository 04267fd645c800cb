"""Translates failed requests into typed errors.

Codes: "Error responses" in the Amazon S3 API Reference. The S3 error code decides; if there is none (HEAD,
the HTML page of a proxy, nginx) the HTTP status does. Error messages quote S3's own message, shortened to
one line, and nothing else of a body, because S3 echoes the signed headers, session token included.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import attrs
import httpx

from loadtest_trio.backends.s3.safe_xml import UnsafeXMLError, scan
from loadtest_trio.errors import (
    BucketMissingError,
    ClockSkewError,
    ObjectMissingError,
    ObjectTooLargeError,
    S3BrokenResponseError,
    S3CredentialsError,
    S3DeniedError,
    S3Error,
    S3RedirectedError,
    S3RejectedError,
    S3ServerError,
    S3ThrottledError,
    S3UnreachableError,
    WrongRegionError,
)
from loadtest_trio.http.client.http1 import BodyTooLargeError

_MAX_BODY = 64 * 1024
_MAX_MESSAGE = 300
_MAX_RETRY_AFTER_SECONDS = 300.0
_EARLIEST_DATE, _LATEST_DATE = 0.0, 4_102_444_800.0  # in Unix seconds: 1970 to 2100

_CODES: dict[type[S3Error], str] = {
    BucketMissingError: "NoSuchBucket",
    ClockSkewError: "RequestTimeTooSkewed RequestExpired",
    ObjectMissingError: "NoSuchKey",
    S3CredentialsError: "AccountProblem ExpiredToken ExpiredTokenException InvalidAccessKeyId "
    "InvalidClientTokenId InvalidSecurity InvalidToken NotSignedUp TokenRefreshRequired "
    "UnrecognizedClientException",
    S3DeniedError: "AccessDenied AuthorizationHeaderMalformed QuotaExceeded SignatureDoesNotMatch",
    S3RejectedError: "InvalidObjectState NotImplemented",
    S3ServerError: "BadDigest ConditionalRequestConflict IncompleteBody InternalError OperationAborted "
    "RequestTimeout ServerBusy ServiceUnavailable TransactionInProgressException",
    S3ThrottledError: "BandwidthLimitExceeded KMS.ThrottlingException PriorRequestNotComplete "
    "RequestLimitExceeded RequestThrottled RequestThrottledException SlowDown SlowDownRead SlowDownWrite "
    "ThrottledException Throttling ThrottlingException TooManyRequests",
}
_BY_CODE = {code: kind for kind, codes in _CODES.items() for code in codes.split()}

_HINTS = {
    "AccessDenied": "the permission is missing; see the policies of the user, the bucket and the KMS key",
    "QuotaExceeded": "the quota is used up",
    "SignatureDoesNotMatch": "the secret access key is wrong",
    "InvalidAccessKeyId": "the access key id is unknown",
    "RequestTimeTooSkewed": "this machine's clock is off",
    "ExpiredToken": "the session token has expired",
    "InvalidToken": "the session token is invalid",
    "InvalidObjectState": "the object is archived: restore it or move it out of the prefix",
}

_REGION_CODES = frozenset({"PermanentRedirect", "TemporaryRedirect", "IllegalLocationConstraintException"})
_OF_THE_REQUEST = frozenset({413, 414, 431})  # a proxy's own limits, which the same request meets again
_OF_THE_OBJECT = (ObjectMissingError, BucketMissingError, S3RejectedError)
_REGION_STATUSES = frozenset({301, 307, 400})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@attrs.frozen
class RequestContext:
    """What a request is about, for error messages.

    Attributes:
        kind: ``GET``, ``PUT``, ``DELETE``, ``LIST`` or ``HEAD``.
        bucket: The bucket.
        region: The region the request was signed for.
        key: The object's key, or "" for a bucket operation.
    """

    kind: str
    bucket: str
    region: str
    key: str = ""


def unreachable(context: RequestContext, error: httpx.HTTPError) -> S3Error:
    """Translate an exception of the transport: there was no complete response.

    Args:
        context: What the request is about.
        error: The exception; its class name becomes the code.
    """
    if isinstance(error, BodyTooLargeError):
        return too_large(context)
    kind: type[S3Error] = S3BrokenResponseError
    if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
        kind = S3RejectedError
    elif isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
        kind = S3UnreachableError
    words = _one_line(str(error)) or "no answer"
    return kind(f"S3 {context.kind}: {words}", code=type(error).__name__, key=context.key)


def too_large(context: RequestContext) -> ObjectTooLargeError:
    """Return the error of an object that is larger than we download."""
    return ObjectTooLargeError(
        "the object is larger than MAX_OBJECT_BYTES: raise that setting, or remove the object",
        code="ObjectTooLarge",
        key=context.key,
    )


def truncated(context: RequestContext, received: int, announced: int) -> S3BrokenResponseError:
    """Return the error of a body whose length is not the announced one (lengths in bytes)."""
    return S3BrokenResponseError(
        f"S3 {context.kind}: {received} of {announced} bytes received",
        code="TruncatedBody",
        key=context.key,
        status=200,
    )


def refused(
    context: RequestContext, status: int, headers: Mapping[str, str], body: bytes | bytearray
) -> S3Error:
    """Translate a response that is not a success: by its status, or by its body (`answers.py`).

    Args:
        context: What the request is about.
        status: The HTTP status.
        headers: The response headers; a case-insensitive mapping.
        body: The response body: possibly empty, HTML or hostile.

    Returns:
        The error to raise.
    """
    fields = _fields(body)
    code = _one_line(fields.get("Code", ""))
    region = _one_line(headers.get("x-amz-bucket-region") or fields.get("Region", ""))
    location = headers.get("location", "") if status in _REDIRECTS else ""
    foreign = bool(body) and not code and "x-amz-request-id" not in headers
    kind = _kind(context, status, code, region, location)
    if foreign and status not in _OF_THE_REQUEST and kind in _OF_THE_OBJECT:
        kind = S3ServerError  # the page of a proxy or a load balancer says nothing about the object
    error = kind(
        _message(kind, context, code, region, _reason(status, headers, fields, location, foreign=foreign)),
        code=code or ("UnexpectedResponse" if status < 300 else ""),
        key=context.key,
        status=status,
        request_id=_one_line(headers.get("x-amz-request-id") or fields.get("RequestId", "")),
    )
    server_time = _http_date(headers.get("date", ""))
    error.retry_after = _retry_after(headers.get("retry-after", ""), server_time)
    if isinstance(error, ClockSkewError):
        error.server_time = server_time
    elif isinstance(error, S3RedirectedError):
        error.location = location
    return error


def is_error_document(body: bytes | bytearray) -> bool:
    """Return whether a body is an S3 error document, whatever the status of its response."""
    return "Error" in _fields(body)


def _fields(body: bytes | bytearray) -> dict[str, str]:
    """Return the text of the first element of each name; of a malformed document, those before the fault."""
    fields: dict[str, str] = {}
    with suppress(UnsafeXMLError):
        scan(body[:_MAX_BODY], fields.setdefault)
    return fields


def _kind(context: RequestContext, status: int, code: str, region: str, location: str) -> type[S3Error]:
    elsewhere = bool(region) and region != context.region
    if (elsewhere and status in _REGION_STATUSES) or (code in _REGION_CODES and status != 307):
        return WrongRegionError
    if location:
        return S3RedirectedError
    if status == 301:
        return WrongRegionError
    if code in _BY_CODE:
        return _BY_CODE[code]
    if status == 404:
        return ObjectMissingError if context.key else BucketMissingError
    if status in (401, 403, 407) or code.startswith("KMS."):
        return S3DeniedError
    if status == 429:
        return S3ThrottledError
    # Below 400: a success or a redirect that is not S3's, such as the page of a proxy, or 304 to a request
    # without a condition; 307: the DNS name of a new bucket is not known everywhere yet.
    # 408: a proxy ended an idle connection at the moment of the request; 425: the request came too early.
    return S3ServerError if status >= 500 or status < 400 or status in (408, 425) else S3RejectedError


def _message(kind: type[S3Error], context: RequestContext, code: str, region: str, reason: str) -> str:
    if kind is BucketMissingError:
        return f"bucket {context.bucket!r} does not exist: check S3_BUCKET, or set S3_CREATE_BUCKET=true"
    if kind is ObjectMissingError:
        return "the object does not exist"
    if kind is WrongRegionError:
        where = f"in {region}" if region else "in another region"
        return f"bucket {context.bucket!r} is {where}, not in {context.region}: set AWS_REGION to its region"
    verdict = "denied" if issubclass(kind, S3DeniedError) else "failed"
    reasons = [part for part in (_HINTS.get(code, ""), reason) if part]
    return f"S3 {context.kind} {verdict}: {'; '.join(reasons) or 'no reason given'}"


def _reason(
    status: int, headers: Mapping[str, str], fields: Mapping[str, str], location: str, *, foreign: bool
) -> str:
    """Return what the response itself says: a redirect's address, S3's message, or that it is not S3's."""
    if location:
        return f"redirected to {_origin(location)}: if that is S3, set S3_ENDPOINT_URL to it"
    if foreign or (status < 300 and "Error" not in fields):
        content = _one_line(headers.get("content-type", "")) or "no content type"
        return f"a response that S3 does not send ({content}): check S3_ENDPOINT_URL and proxies"
    return _one_line(fields.get("Message", ""))


def _origin(location: str) -> str:
    """Return the part of a Location that may be shown: it may hold a signature or a password."""
    try:
        url = httpx.URL(location)
        shown = f"{url.scheme}://{url.netloc.decode('ascii')}" if url.host else url.path
    except (httpx.InvalidURL, UnicodeError):
        shown = "an address that is not a URL"
    return _one_line(shown)


def _http_date(text: str) -> float | None:
    """Return an HTTP date in Unix seconds; None if it is not one, or one that no clock can mean."""
    try:
        moment = parsedate_to_datetime(text)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    # Requests are signed with this time, and the calendar's first and last years cannot be added to.
    return seconds if _EARLIEST_DATE <= seconds <= _LATEST_DATE else None


def _retry_after(text: str, server_time: float | None) -> float:
    """Return the wait that a header ``Retry-After`` asks for, in seconds (RFC 9110, 10.2.3)."""
    text = text.strip()
    if text.isdecimal() and len(text) <= 9:
        wait = float(text)
    else:
        until = _http_date(text)
        since = datetime.now(UTC).timestamp() if server_time is None else server_time
        wait = 0.0 if until is None else until - since
    return min(max(wait, 0.0), _MAX_RETRY_AFTER_SECONDS)


def _one_line(text: str) -> str:
    shown = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return shown if len(shown) <= _MAX_MESSAGE else shown[:_MAX_MESSAGE] + "…"
