"""Faults: each answer and each transport failure becomes the one error that says whose fault it is."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest_trio.backends.s3.errors import RequestContext, refused, truncated, unreachable
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

OBJECT = RequestContext("GET", "bkt", "us-east-1", "p/key")
BUCKET = RequestContext("LIST", "bkt", "us-east-1")


def xml(code: str, more: str = "") -> bytes:
    """Write an error document as S3 does."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>Words.</Message>{more}'
        "<RequestId>REQ1</RequestId><HostId>host</HostId></Error>"
    ).encode()


@pytest.mark.parametrize(
    ("context", "status", "body", "kind"),
    [
        (OBJECT, 404, xml("NoSuchKey"), ObjectMissingError),
        (OBJECT, 404, xml("NoSuchBucket"), BucketMissingError),
        (OBJECT, 404, b"", ObjectMissingError),
        (OBJECT, 404, b"<html>nginx</html>", ObjectMissingError),
        (BUCKET, 404, b"", BucketMissingError),
        (OBJECT, 403, xml("AccessDenied"), S3DeniedError),
        (OBJECT, 403, xml("SignatureDoesNotMatch"), S3DeniedError),
        (OBJECT, 403, xml("InvalidAccessKeyId"), S3DeniedError),
        (OBJECT, 403, xml("RequestTimeTooSkewed"), S3DeniedError),
        (OBJECT, 403, b"", S3DeniedError),
        (OBJECT, 401, b"", S3DeniedError),
        (OBJECT, 400, xml("ExpiredToken"), S3DeniedError),
        (OBJECT, 400, xml("InvalidToken"), S3DeniedError),
        (OBJECT, 503, xml("SlowDown"), S3ThrottledError),
        (OBJECT, 429, b"", S3ThrottledError),
        (OBJECT, 400, xml("RequestTimeout"), S3ServerError),
        (OBJECT, 409, xml("OperationAborted"), S3ServerError),
        (OBJECT, 500, xml("InternalError"), S3ServerError),
        (OBJECT, 502, b"<html>Bad gateway</html>", S3ServerError),
        (OBJECT, 503, b"", S3ServerError),
        (OBJECT, 504, b"", S3ServerError),
        (OBJECT, 501, xml("NotImplemented"), S3RejectedError),
        (OBJECT, 307, xml("TemporaryRedirect"), S3ServerError),
        (OBJECT, 301, xml("PermanentRedirect"), WrongRegionError),
        (OBJECT, 301, b"", WrongRegionError),
        (OBJECT, 400, xml("AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>"), WrongRegionError),
        (OBJECT, 400, xml("AuthorizationHeaderMalformed"), S3DeniedError),
        (BUCKET, 400, xml("IllegalLocationConstraintException"), WrongRegionError),
        (OBJECT, 400, xml("EntityTooLarge"), S3RejectedError),
        (OBJECT, 405, xml("MethodNotAllowed"), S3RejectedError),
        (OBJECT, 412, xml("PreconditionFailed"), S3RejectedError),
    ],
)
def test_kinds(context: RequestContext, status: int, body: bytes, kind: type[S3Error]) -> None:
    """Code first, status where there is no code, decide the kind of error."""
    error = refused(context, status, {}, body)
    assert type(error) is kind
    assert (error.status, error.key) == (status, context.key)


def test_facts_come_from_the_body_and_the_headers() -> None:
    """Code, status, key and request id are carried; the header's request id comes before the body's."""
    error = refused(OBJECT, 403, {}, xml("AccessDenied"))
    assert str(error) == "S3 GET denied: Words. [code=AccessDenied status=403 key=p/key request_id=REQ1]"
    assert refused(OBJECT, 500, {"x-amz-request-id": "REQ2"}, xml("X")).request_id == "REQ2"
    assert refused(OBJECT, 500, httpx.Headers({"X-Amz-Request-Id": "REQ3"}), b"").request_id == "REQ3"


@pytest.mark.parametrize(
    ("error", "needed"),
    [
        (refused(BUCKET, 404, {}, xml("NoSuchBucket")), ["'bkt'", "S3_BUCKET", "S3_CREATE_BUCKET"]),
        (refused(BUCKET, 301, {"x-amz-bucket-region": "eu-west-1"}, b""), ["eu-west-1", "AWS_REGION"]),
        (refused(BUCKET, 400, {"x-amz-bucket-region": "eu-west-1"}, b""), ["eu-west-1", "AWS_REGION"]),
        (refused(BUCKET, 403, {}, xml("SignatureDoesNotMatch")), ["secret access key is wrong"]),
        (refused(BUCKET, 403, {}, xml("RequestTimeTooSkewed")), ["clock"]),
    ],
)
def test_messages_say_what_to_change(error: S3Error, needed: list[str]) -> None:
    """A user's error is one line that names what to change."""
    assert all(word in str(error) for word in needed)
    assert len(str(error).splitlines()) == 1


def test_the_bucket_s_own_region_is_no_fault() -> None:
    """S3 names the bucket's region in many refusals: only another one than ours is the wrong one."""
    assert (
        type(refused(BUCKET, 400, {"x-amz-bucket-region": "us-east-1"}, xml("ExpiredToken"))) is S3DeniedError
    )


def test_echoed_secrets_are_not_shown() -> None:
    """S3 echoes the canonical request, session token included: nothing of it reaches the error."""
    echo = (
        "<CanonicalRequest>x-amz-security-token:SECRETTOKEN</CanonicalRequest><Token-0>SECRETTOKEN</Token-0>"
    )
    error = refused(OBJECT, 403, {}, xml("SignatureDoesNotMatch", echo))
    assert "SECRETTOKEN" not in f"{error} {error!r} {vars(error)}"


def test_hostile_words_are_one_short_line() -> None:
    """Line breaks, control characters and megabytes in a message do not reach a log line."""
    body = b"<Error><Code>Odd\n\x7fCode</Code><Message>" + b"a\r\nb " * 5_000 + b"</Message></Error>"
    error = refused(OBJECT, 400, {}, body)
    assert error.code == "Odd Code"
    assert len(str(error)) < 500
    assert str(error).isprintable()


@given(
    st.integers(300, 599), st.binary() | st.text().map(lambda text: f"<Error><Code>{text}</Code>".encode())
)
def test_any_refusal_is_an_s3_error(status: int, body: bytes) -> None:
    """Arbitrary bodies never break the translation."""
    for context in (OBJECT, BUCKET):
        error = refused(context, status, {}, body)
        assert isinstance(error, S3Error)
        assert str(error).isprintable()


@pytest.mark.parametrize(
    "kind",
    [
        httpx.ConnectError,
        httpx.ConnectTimeout,
        httpx.ReadError,
        httpx.ReadTimeout,
        httpx.WriteError,
        httpx.WriteTimeout,
        httpx.PoolTimeout,
        httpx.CloseError,
        httpx.RemoteProtocolError,
    ],
)
def test_transport_failures_can_be_tried_again(kind: type[httpx.HTTPError]) -> None:
    """What a transport raises becomes S3UnreachableError, retryable, with its name as the code."""
    error = unreachable(OBJECT, kind("connection refused"))
    assert type(error) is S3UnreachableError
    assert error.retryable
    assert str(error) == f"S3 GET: connection refused [code={kind.__name__} key=p/key]"


@pytest.mark.parametrize("kind", [httpx.LocalProtocolError, httpx.UnsupportedProtocol])
def test_our_own_mistakes_are_not_tried_again(kind: type[httpx.HTTPError]) -> None:
    """A request that cannot be sent at all cannot be sent later either."""
    assert type(unreachable(OBJECT, kind(""))) is S3RejectedError


def test_truncated_bodies_can_be_tried_again() -> None:
    """A body cut short names both lengths."""
    error = truncated(OBJECT, 3, 10)
    assert (error.retryable, error.code) == (True, "TruncatedBody")
    assert "3 of 10 bytes" in str(error)
