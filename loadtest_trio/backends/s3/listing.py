"""The answer to ListObjectsV2, parsed.

Protocol: "ListObjectsV2" in the Amazon S3 API Reference, with ``encoding-type=url``: XML 1.0 cannot
carry every character a key may hold, so keys arrive form-encoded (a space as ``+``, UTF-8 as ``%XX``).
"""

from datetime import datetime
from urllib.parse import unquote_plus

import attrs

from loadtest_trio.backends.s3.safe_xml import UnsafeXMLError, scan


class ListingError(ValueError):
    """The body is not a ListObjectsV2 answer."""


@attrs.frozen
class ListedObject:
    """One object of a listing.

    Attributes:
        key: The decoded key.
        size: Bytes.
        last_modified: Unix seconds, 0 when the server does not say.
    """

    key: str
    size: int
    last_modified: float


@attrs.frozen
class ListingPage:
    """One page.

    Attributes:
        objects: In the order of the answer.
        next_token: What to continue with, or None at the last page.
    """

    objects: list[ListedObject]
    next_token: str | None


def parse_listing(body: bytes | bytearray) -> ListingPage:
    """Parse one page.

    Args:
        body: The response body.

    Raises:
        ListingError: It is not a listing, or says that it goes on without saying where.
    """
    # One dictionary serves both levels: the names of an object's fields and of the page's are disjoint.
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
