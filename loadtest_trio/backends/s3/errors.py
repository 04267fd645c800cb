"""Translates failed requests into typed errors.

Codes: "Error responses" in the Amazon S3 API Reference. The S3 error code decides; if there is none (HEAD,
the HTML page of a proxy, nginx) the HTTP status does. Error messages quote S3's own message, shortened to
one line, and nothing else of a body, because S3 echoes the signed headers, session token included.
"""

from collections.abc import Mapping
from contextlib import suppress

import attrs
import httpx

from loadtest_trio.backends.s3.safe_xml import UnsafeXMLError, scan
from loadtest_trio.errors import (
    BucketMissingError,
    ObjectMissingError,
    S3DeniedError,
    S3Error,
    S3RejectedError,
    S3ServerError,
    S3ThrottledError,
    S3UnreachableError,
    WrongRegionError,
)

STALE_CREDENTIALS = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"}
)
"""Codes of errors that newer credentials may cure."""

_MAX_BODY = 64 * 1024
_MAX_MESSAGE = 300

_BY_CODE: dict[str, type[S3Error]] = {
    **dict.fromkeys(STALE_CREDENTIALS, S3DeniedError),
    "AccessDenied": S3DeniedError,
    "AuthorizationHeaderMalformed": S3DeniedError,
    "BandwidthLimitExceeded": S3ThrottledError,
    "InternalError": S3ServerError,
    "NoSuchBucket": BucketMissingError,
    "NoSuchKey": ObjectMissingError,
    "NotImplemented": S3RejectedError,
    "OperationAborted": S3ServerError,
    "RequestLimitExceeded": S3ThrottledError,
    "RequestTimeout": S3ServerError,
    "ServiceUnavailable": S3ServerError,
    "SlowDown": S3ThrottledError,
    "Throttling": S3ThrottledError,
    "ThrottlingException": S3ThrottledError,
    "TooManyRequests": S3ThrottledError,
}

_HINTS = {
    "SignatureDoesNotMatch": "the secret access key is wrong",
    "InvalidAccessKeyId": "the access key id is unknown",
    "RequestTimeTooSkewed": "this machine's clock is off",
    "ExpiredToken": "the session token has expired",
    "InvalidToken": "the session token is invalid",
}

_REGION_CODES = frozenset({"PermanentRedirect", "TemporaryRedirect", "IllegalLocationConstraintException"})
_REGION_STATUSES = frozenset({301, 307, 400})


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
    code = type(error).__name__
    permanent = isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol)
    kind = S3RejectedError if permanent else S3UnreachableError
    return kind(f"S3 {context.kind}: {_one_line(str(error)) or 'no answer'}", code=code, key=context.key)


def truncated(context: RequestContext, received: int, announced: int) -> S3UnreachableError:
    """Return the error of a body whose length is not the announced one (lengths in bytes)."""
    return S3UnreachableError(
        f"S3 {context.kind}: {received} of {announced} bytes received",
        code="TruncatedBody",
        key=context.key,
        status=200,
    )


def refused(
    context: RequestContext, status: int, headers: Mapping[str, str], body: bytes | bytearray
) -> S3Error:
    """Translate a response of status 300 or more.

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
    kind = _kind(context, status, code, region)
    return kind(
        _message(kind, context, code, region, _one_line(fields.get("Message", ""))),
        code=code,
        key=context.key,
        status=status,
        request_id=_one_line(headers.get("x-amz-request-id") or fields.get("RequestId", "")),
    )


def _fields(body: bytes | bytearray) -> dict[str, str]:
    """Return the text of the first element of each name; of a malformed document, those before the fault."""
    fields: dict[str, str] = {}
    with suppress(UnsafeXMLError):
        scan(body[:_MAX_BODY], fields.setdefault)
    return fields


def _kind(context: RequestContext, status: int, code: str, region: str) -> type[S3Error]:
    elsewhere = bool(region) and region != context.region
    if (
        (elsewhere and status in _REGION_STATUSES)
        or (code in _REGION_CODES and status != 307)
        or status == 301
    ):
        return WrongRegionError
    if code in _BY_CODE:
        return _BY_CODE[code]
    if status == 404:
        return ObjectMissingError if context.key else BucketMissingError
    if status in (401, 403):
        return S3DeniedError
    if status == 429:
        return S3ThrottledError
    # 307: the DNS name of a new bucket is not known everywhere yet; a later attempt succeeds.
    return S3ServerError if status >= 500 or status == 307 else S3RejectedError


def _message(kind: type[S3Error], context: RequestContext, code: str, region: str, words: str) -> str:
    if kind is BucketMissingError:
        return f"bucket {context.bucket!r} does not exist: check S3_BUCKET, or set S3_CREATE_BUCKET=true"
    if kind is ObjectMissingError:
        return "the object does not exist"
    if kind is WrongRegionError:
        where = f"in {region}" if region else "in another region"
        return f"bucket {context.bucket!r} is {where}, not in {context.region}: set AWS_REGION to its region"
    verdict = "denied" if kind is S3DeniedError else "failed"
    reasons = [reason for reason in (_HINTS.get(code, ""), words) if reason]
    return f"S3 {context.kind} {verdict}: {'; '.join(reasons) or 'no reason given'}"


def _one_line(text: str) -> str:
    shown = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return shown if len(shown) <= _MAX_MESSAGE else shown[:_MAX_MESSAGE] + "…"
