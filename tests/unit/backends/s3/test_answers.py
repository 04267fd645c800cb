"""Successes: a response of status 2xx that S3 does not send is an error, and an object never is."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest_trio.backends.s3.answers import check_success
from loadtest_trio.backends.s3.errors import RequestContext
from loadtest_trio.errors import S3DeniedError, S3Error, S3ServerError, S3ThrottledError

SLOW_DOWN = b'<?xml version="1.0"?>\n<Error><Code>SlowDown</Code><Message>Reduce your rate.</Message></Error>'
DENIED = b"\n  <Error><Code>AccessDenied</Code></Error>"
PAGE = b"<!DOCTYPE html><html><body>Sign in to the network</body></html>"
LISTING = b"<ListBucketResult></ListBucketResult>"
ETAG = {"ETag": '"d41d8cd98f00b204e9800998ecf8427e"'}


def check(
    kind: str, status: int, body: bytes, headers: dict[str, str] | None = None, key: str = "p/k"
) -> type[S3Error] | None:
    """Return the class of the error that a response is, or None."""
    context = RequestContext(kind, "bkt", "us-east-1", "" if kind == "LIST" else key)
    error = check_success(context, status, lambda: httpx.Headers(headers or {}), body)
    assert error is None or (error.retryable and error.status == status)
    return None if error is None else type(error)


@pytest.mark.parametrize("kind", ["GET", "PUT", "DELETE", "LIST"])
@pytest.mark.parametrize(("body", "error"), [(SLOW_DOWN, S3ThrottledError), (DENIED, S3DeniedError)])
def test_error_document_with_status_200_is_the_error_it_names(
    kind: str, body: bytes, error: type[S3Error]
) -> None:
    """200 OK with an <Error> body is what its code says, for every kind of request."""
    assert check(kind, 200, body) is error


def test_error_document_with_s3s_headers_is_an_error() -> None:
    """S3 itself sends errors with status 200, under a request id."""
    assert check("GET", 200, SLOW_DOWN, {"x-amz-request-id": "1"}) is S3ThrottledError


@pytest.mark.parametrize("kind", ["GET", "PUT", "DELETE"])
def test_page_with_status_200_is_no_success(kind: str) -> None:
    """The page of a proxy or of a sign-in portal is not S3's answer."""
    assert check(kind, 200, PAGE) is S3ServerError


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        *(("GET", status) for status in (201, 202, 203, 204, 205, 206)),
        *(("PUT", status) for status in (202, 203, 206)),
        *(("DELETE", status) for status in (201, 202, 206)),
        *(("LIST", status) for status in (202, 204, 206)),
    ],
)
def test_other_statuses_are_no_success(kind: str, status: int) -> None:
    """A plain request is not answered in part, later, or without contents."""
    assert check(kind, status, b"", ETAG) is S3ServerError


@pytest.mark.parametrize(
    ("kind", "status", "body", "headers"),
    [
        ("GET", 200, b"contents", {}),
        ("GET", 200, b"", {}),
        ("GET", 200, b"1 < 2", {}),
        ("GET", 200, PAGE, ETAG),
        ("GET", 200, SLOW_DOWN, ETAG),
        ("GET", 200, PAGE, {"Last-Modified": "Sat, 03 Feb 2024 04:05:06 GMT"}),
        ("GET", 200, PAGE, {"x-amz-request-id": "1"}),
        ("PUT", 200, b"", {}),
        ("PUT", 201, b"", {}),
        ("PUT", 204, b"", {}),
        ("PUT", 200, b"stored", ETAG),
        ("DELETE", 204, b"", {}),
        ("DELETE", 200, b"", {}),
        ("LIST", 200, LISTING, {}),
    ],
)
def test_successes(kind: str, status: int, body: bytes, headers: dict[str, str]) -> None:
    """What S3 and its look-alikes send is a success; an object may itself be an error document."""
    assert check(kind, status, body, headers) is None


def test_put_with_an_etag_and_an_error_is_an_error() -> None:
    """An upload is stored only if nothing in the answer says otherwise."""
    assert check("PUT", 200, SLOW_DOWN, ETAG) is S3ThrottledError


def test_creating_a_bucket_may_return_a_document() -> None:
    """S3-compatible servers answer with one; only an error document is none of a success."""
    assert check("PUT", 200, b"<CreateBucketConfiguration/>", key="") is None
    assert check("PUT", 200, SLOW_DOWN, key="") is S3ThrottledError


@given(st.binary(max_size=40).filter(lambda body: not body.lstrip(b" \t\r\n\xef\xbb\xbf").startswith(b"<")))
def test_objects_that_look_like_no_page_need_no_etag(body: bytes) -> None:
    """Whatever else an object holds, its status and its length are enough."""
    assert check("GET", 200, body) is None
