"""Decides whether a response of status 2xx is S3's success; pure.

Servers and proxies send error pages with status 200 (S3 itself does: "Error responses", Amazon S3 API
Reference), and gateways answer 202 or 206 to requests that ask for neither. A success has to look like one:

    request    statuses         body
    GET        200              the object; one that starts with "<" needs a header that S3 sends with objects
    PUT        200, 201, 204    none, unless there is an ETag; creating a bucket may return a document
    DELETE     200, 204         none
    LIST       200              a listing, which `listing.py` checks
"""

from collections.abc import Callable, Mapping

from loadtest_trio.backends.s3.errors import RequestContext, is_error_document, refused
from loadtest_trio.errors import S3Error

_STATUSES = {
    "GET": frozenset({200}),
    "PUT": frozenset({200, 201, 204}),
    "DELETE": frozenset({200, 204}),
    "LIST": frozenset({200}),
}
_BLANKS = b" \t\r\n\xef\xbb\xbf"


def check_success(
    context: RequestContext,
    status: int,
    headers: Callable[[], Mapping[str, str]],
    body: bytes | bytearray,
) -> S3Error | None:
    """Return the error that a response of status 200 to 299 is; None if it is a success.

    Args:
        context: What the request is about.
        status: The HTTP status.
        headers: Returns the response headers; called only if they matter, because parsing them is expensive.
        body: The complete body.
    """
    expected = status in _STATUSES[context.kind]
    if expected and (not _is_suspect(context.kind, body) or _is_from_s3(context, headers(), body)):
        return None
    return refused(context, status, headers(), body)


def _is_suspect(kind: str, body: bytes | bytearray) -> bool:
    """Return whether a body deserves a closer look; cheap, for every response passes it."""
    if kind == "GET":
        return _is_page(body)
    return b"ListBucketResult" not in body[:1024] if kind == "LIST" else bool(body)


def _is_page(body: bytes | bytearray) -> bool:
    return body[:1] in b"< \t\r\n\xef" and bytes(body[:64]).lstrip(_BLANKS).startswith(b"<")


def _is_from_s3(context: RequestContext, headers: Mapping[str, str], body: bytes | bytearray) -> bool:
    if context.kind == "LIST":
        return not is_error_document(body)
    if context.kind == "GET":
        stored = "last-modified" in headers or "x-amz-request-id" in headers
        return "etag" in headers or (stored and not is_error_document(body))
    return context.kind == "PUT" and ("etag" in headers or not context.key) and not is_error_document(body)
