"""Parses responses to ListObjectsV2.

Protocol: "ListObjectsV2" in the Amazon S3 API Reference, with ``encoding-type=url``: XML 1.0 cannot
represent every character of a key, so keys arrive form-encoded (a space as ``+``, UTF-8 as ``%XX``).
"""

from datetime import datetime
from urllib.parse import unquote_plus

import attrs

from loadtest_trio.backends.s3.safe_xml import UnsafeXMLError, scan


class ListingError(ValueError):
    """The body is not a ListObjectsV2 response."""


@attrs.frozen
class ListedObject:
    """One object of a listing.

    Attributes:
        key: The decoded key.
        size: Bytes.
        last_modified: Unix seconds; 0 if the server does not send it.
    """

    key: str
    size: int
    last_modified: float


@attrs.frozen
class ListingPage:
    """One page of a listing.

    Attributes:
        objects: The objects in the order of the response.
        next_token: The continuation token of the next page; None on the last page.
    """

    objects: list[ListedObject]
    next_token: str | None


def parse_listing(body: bytes | bytearray) -> ListingPage:
    """Parse one page.

    Args:
        body: The response body.

    Raises:
        ListingError: The body is not a listing, or is truncated without a continuation token.
    """
    # One dictionary holds both levels: fields of an object and fields of the page have different names.
    fields: dict[str, str] = {}
    found: list[dict[str, str]] = []

    def on_end(name: str, text: str) -> None:
        if name == "Contents":
            found.append({field: fields.pop(field, "") for field in ("Key", "Size", "LastModified")})
        else:
            fields[name] = text

    try:
        scan(body, on_end)
        if "ListBucketResult" not in fields:
            raise ListingError("not a ListBucketResult")
        return ListingPage(
            [_listed(each, fields.get("EncodingType") == "url") for each in found], _next(fields)
        )
    except UnsafeXMLError as error:
        raise ListingError(str(error)) from None


def _listed(fields: dict[str, str], encoded: bool) -> ListedObject:
    key, modified = fields["Key"], fields["LastModified"]
    try:
        return ListedObject(
            key=unquote_plus(key, errors="strict") if encoded else key,
            size=int(fields["Size"]),
            last_modified=datetime.fromisoformat(modified).timestamp() if modified else 0.0,
        )
    except (ValueError, OverflowError) as error:
        raise ListingError(f"an entry cannot be read: {error}") from None


def _next(fields: dict[str, str]) -> str | None:
    if fields.get("IsTruncated") != "true":
        return None
    token = fields.get("NextContinuationToken")
    if not token:
        raise ListingError("it is truncated but has no continuation token")
    return token
