"""Faults: each answer and each transport failure becomes the one error that says whose fault it is."""

from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest_trio.backends.s3.errors import RequestContext, refused, truncated, unreachable
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
        (OBJECT, 404, b"<html>nginx</html>", S3ServerError),
        (BUCKET, 404, b"", BucketMissingError),
        (OBJECT, 403, xml("AccessDenied"), S3DeniedError),
        (OBJECT, 403, xml("SignatureDoesNotMatch"), S3DeniedError),
        (OBJECT, 403, xml("InvalidAccessKeyId"), S3CredentialsError),
        (OBJECT, 403, xml("RequestTimeTooSkewed"), ClockSkewError),
        (OBJECT, 403, b"", S3DeniedError),
        (OBJECT, 401, b"", S3DeniedError),
        (OBJECT, 400, xml("ExpiredToken"), S3CredentialsError),
        (OBJECT, 400, xml("InvalidToken"), S3CredentialsError),
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
        (OBJECT, 403, xml("InvalidObjectState"), S3RejectedError),
        (OBJECT, 403, xml("QuotaExceeded"), S3DeniedError),
        (OBJECT, 400, xml("KMS.DisabledException"), S3DeniedError),
        (OBJECT, 400, xml("IncompleteBody"), S3ServerError),
        (OBJECT, 503, xml("SlowDownWrite"), S3ThrottledError),
        (BUCKET, 404, b"<html>default backend</html>", S3ServerError),
        (OBJECT, 200, xml("SlowDown"), S3ThrottledError),
        (OBJECT, 200, xml("AnythingElse"), S3ServerError),
        (OBJECT, 202, b"", S3ServerError),
        (OBJECT, 408, b"", S3ServerError),
        (OBJECT, 425, b"", S3ServerError),
        (OBJECT, 304, b"", S3ServerError),
        (OBJECT, 407, b"", S3DeniedError),
        (OBJECT, 412, b"", S3RejectedError),
        (OBJECT, 416, xml("InvalidRange"), S3RejectedError),
        (OBJECT, 400, b"<html>plain HTTP was sent to an HTTPS port</html>", S3ServerError),
        (OBJECT, 405, b"<html>Not Allowed</html>", S3ServerError),
        (OBJECT, 400, xml("RequestThrottled"), S3ThrottledError),
        (OBJECT, 400, xml("ServerBusy"), S3ServerError),
    ],
)
def test_code_then_status_decides_the_error(
    context: RequestContext, status: int, body: bytes, kind: type[S3Error]
) -> None:
    """Code first, status where there is no code, decide the kind of error."""
    error = refused(context, status, {}, body)
    assert type(error) is kind
    assert (error.status, error.key) == (status, context.key)


def test_facts_come_from_the_body_and_the_headers() -> None:
    """Code, status, key and request id are carried; the header's request id comes before the body's."""
    error = refused(OBJECT, 403, {}, xml("MadeUp"))
    assert str(error) == "S3 GET denied: Words. [code=MadeUp status=403 key=p/key request_id=REQ1]"
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


def test_own_region_in_an_error_is_not_a_wrong_region() -> None:
    """S3 names the bucket's region in many refusals: only another one than ours is the wrong one."""
    error = refused(BUCKET, 400, {"x-amz-bucket-region": "us-east-1"}, xml("ExpiredToken"))
    assert type(error) is S3CredentialsError


def test_echoed_secrets_are_not_shown() -> None:
    """S3 echoes the canonical request, session token included: nothing of it reaches the error."""
    echo = (
        "<CanonicalRequest>x-amz-security-token:SECRETTOKEN</CanonicalRequest><Token-0>SECRETTOKEN</Token-0>"
    )
    error = refused(OBJECT, 403, {}, xml("SignatureDoesNotMatch", echo))
    assert "SECRETTOKEN" not in f"{error} {error!r} {vars(error)}"


def test_hostile_messages_are_shortened_to_one_line() -> None:
    """Line breaks, control characters and megabytes in a message do not reach a log line."""
    body = b"<Error><Code>Odd\n\x7fCode</Code><Message>" + b"a\r\nb " * 5_000 + b"</Message></Error>"
    error = refused(OBJECT, 400, {}, body)
    assert error.code == "Odd Code"
    assert len(str(error)) < 500
    assert str(error).isprintable()


@given(
    st.integers(300, 599), st.binary() | st.text().map(lambda text: f"<Error><Code>{text}</Code>".encode())
)
def test_any_body_becomes_an_s3_error(status: int, body: bytes) -> None:
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
def test_transport_failures_are_retryable(kind: type[httpx.HTTPError]) -> None:
    """What a transport raises is retryable, with its name as the code; without a connection S3 is away."""
    error = unreachable(OBJECT, kind("connection refused"))
    away = kind in (httpx.ConnectError, httpx.ConnectTimeout)
    assert type(error) is (S3UnreachableError if away else S3BrokenResponseError)
    assert error.retryable
    assert str(error) == f"S3 GET: connection refused [code={kind.__name__} key=p/key]"


@pytest.mark.parametrize("kind", [httpx.LocalProtocolError, httpx.UnsupportedProtocol])
def test_requests_that_cannot_be_sent_are_not_retried(kind: type[httpx.HTTPError]) -> None:
    """A request that cannot be sent at all cannot be sent later either."""
    assert type(unreachable(OBJECT, kind(""))) is S3RejectedError


def test_truncated_bodies_are_retryable() -> None:
    """A body cut short names both lengths."""
    error = truncated(OBJECT, 3, 10)
    assert (error.retryable, error.code) == (True, "TruncatedBody")
    assert "3 of 10 bytes" in str(error)


def test_object_over_the_limit_names_the_setting() -> None:
    """A limit of ours is not an unreachable S3: the message names the setting to change."""
    error = unreachable(OBJECT, BodyTooLargeError(1000))
    assert type(error) is ObjectTooLargeError
    assert not error.retryable
    assert "MAX_OBJECT_BYTES" in str(error)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_name_the_endpoint_to_set(status: int) -> None:
    """Another address is named without what may be secret in it."""
    location = "https://user:secret@s3.example:9000/bkt/k?X-Amz-Signature=secret"
    error = refused(OBJECT, status, {"location": location}, b"<html>moved</html>")
    assert isinstance(error, S3RedirectedError)
    assert error.location == location
    assert "https://s3.example:9000: if that is S3, set S3_ENDPOINT_URL" in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0.0),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0 "}, 0.0),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "soon"}, 0.0),
        ({"retry-after": "99999999999999999999"}, 0.0),
        ({"retry-after": "86400"}, 300.0),
        (
            {"retry-after": "Wed, 21 Oct 2015 07:28:10 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"},
            10.0,
        ),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:10 GMT"}, 0.0),
    ],
)
def test_retry_after_is_read(headers: dict[str, str], seconds: float) -> None:
    """Seconds or a date by S3's clock, bounded; anything else asks for nothing."""
    assert refused(OBJECT, 503, headers, xml("SlowDown")).retry_after == seconds


def test_clock_skew_carries_the_servers_time() -> None:
    """The answer's Date is what the clock is corrected by."""
    error = refused(OBJECT, 403, {"date": "Wed, 21 Oct 2015 07:28:00 GMT"}, xml("RequestTimeTooSkewed"))
    assert isinstance(error, ClockSkewError)
    assert error.server_time == 1445412480.0
    undated = refused(OBJECT, 403, {}, xml("RequestTimeTooSkewed"))
    assert isinstance(undated, ClockSkewError)
    assert undated.server_time is None


ODD_DATES = st.one_of(
    st.text(max_size=40),
    st.from_regex(r"(Mon, )?[0-9]{1,3} (Jan|Dec|Foo) [0-9]{1,5} [0-9]{1,3}:[0-9]{2}:60 (GMT|[+-][0-9]{1,6})"),
    st.sampled_from(["Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 +2359"]),
)

ODD_LOCATIONS = st.text() | st.sampled_from(["https://xn--zz/", "http://u:p@xn--zz:1/", "https://[::1/"])


@given(status=st.integers(200, 599), date=ODD_DATES, wait=ODD_DATES, location=ODD_LOCATIONS, body=st.binary())
def test_any_header_becomes_an_s3_error(
    status: int, date: str, wait: str, location: str, body: bytes
) -> None:
    """Whatever a response says, it is an S3 error whose times are ones that a clock can mean."""
    named = {"date": date, "retry-after": wait, "location": location, "x-amz-bucket-region": location}
    raw = [(name.encode(), value.encode(errors="replace")) for name, value in named.items()]
    for each in (body, xml("RequestTimeTooSkewed")):
        error = refused(OBJECT, status, httpx.Headers(raw), each)
        assert 0 <= error.retry_after <= 300
        assert len(str(error).splitlines()) == 1
        if isinstance(error, ClockSkewError) and error.server_time is not None:
            datetime.fromtimestamp(error.server_time + 86_400, UTC)
