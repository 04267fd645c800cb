"""Parses responses to ListObjectsV2.

Protocol: "ListObjectsV2" in the Amazon S3 API Reference, with ``encoding-type=url``: XML 1.0 cannot
represent every character of a key, so keys arrive form-encoded (a space as ``+``, UTF-8 as ``%XX``).

S3-compatible servers differ in everything else, so only what the service needs is read: keys, sizes, storage
classes and the continuation token. An entry that cannot be read costs that entry and not the page.
"""

import re
from urllib.parse import unquote_plus

import attrs

from loadtest_trio.backends.s3.safe_xml import UnsafeXMLError, scan

_NAMES = ("Key", "Size", "StorageClass")
_UNREADABLE = "\ufffd"
# Characters that XML 1.0 forbids, as they are and as references; S3 implementations write both.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_REFERENCE = re.compile(r"&#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7}));")
_MAX_SIZE_DIGITS = 18


class ListingError(ValueError):
    """The body is not a ListObjectsV2 response."""


@attrs.frozen
class ListedObject:
    """One object of a listing.

    Attributes:
        key: The decoded key.
        size: Bytes; None if the server does not send a size.
        storage_class: Such as ``STANDARD`` or ``GLACIER``; "" if the server does not send one.
    """

    key: str
    size: int | None
    storage_class: str = ""


@attrs.frozen
class ListingPage:
    """One page of a listing.

    Attributes:
        objects: The objects in the order of the response.
        next_token: The continuation token of the next page; None on the last page.
        unreadable: Number of entries without a key in UTF-8.
    """

    objects: list[ListedObject]
    next_token: str | None
    unreadable: int = 0


def parse_listing(body: bytes | bytearray) -> ListingPage:
    """Parse one page.

    Args:
        body: The response body.

    Raises:
        ListingError: The body is not a listing, or is truncated without a continuation token.
    """
    try:
        return _parse(body, damaged=False)
    except UnsafeXMLError as error:
        repaired = _repair(body)
        if repaired is None:
            raise ListingError(str(error)) from None
    try:
        return _parse(repaired, damaged=True)
    except UnsafeXMLError as error:
        raise ListingError(str(error)) from None


def _parse(body: bytes | bytearray, *, damaged: bool) -> ListingPage:
    # One dictionary holds both levels: fields of an object and fields of the page have different names.
    fields: dict[str, str] = {}
    found: list[dict[str, str]] = []

    def on_end(name: str, text: str) -> None:
        if name == "Contents":
            found.append({field: fields.pop(field, "") for field in _NAMES})
        else:
            fields[name] = text

    scan(body, on_end)
    if "ListBucketResult" not in fields:
        raise ListingError("not a ListBucketResult")
    encoded = fields.get("EncodingType", "").strip() == "url"
    objects = [listed for each in found if (listed := _listed(each, encoded=encoded, damaged=damaged))]
    return ListingPage(objects, _next(fields), len(found) - len(objects))


def _repair(body: bytes | bytearray) -> bytes | None:
    """Replace bytes that are not UTF-8 and characters that XML forbids; None if there are none."""
    text = body.decode("utf-8", errors="replace")
    repaired = _REFERENCE.sub(_check_reference, _FORBIDDEN.sub(_UNREADABLE, text)).encode()
    return None if repaired == body else repaired


def _check_reference(reference: re.Match[str]) -> str:
    number = int(reference[1], 16) if reference[1] else int(reference[2])
    allowed = number in (9, 10, 13) or 32 <= number < 0xD800 or 0xE000 <= number < 0xFFFE
    return reference[0] if allowed or 0x10000 <= number < 0x110000 else _UNREADABLE


def _listed(fields: dict[str, str], *, encoded: bool, damaged: bool) -> ListedObject | None:
    key, size = fields["Key"], fields["Size"].strip()
    if encoded:
        try:
            key = unquote_plus(key.strip(), errors="strict")
        except UnicodeDecodeError:
            return None
    elif key.startswith(("\n", "\r\n")):  # a pretty-printed document
        key = key.strip()
    if not key or (damaged and _UNREADABLE in key):
        return None
    known = size.isdecimal() and len(size) <= _MAX_SIZE_DIGITS
    return ListedObject(key, int(size) if known else None, fields["StorageClass"].strip())


def _next(fields: dict[str, str]) -> str | None:
    if fields.get("IsTruncated", "").strip().lower() != "true":
        return None
    token = fields.get("NextContinuationToken", "").strip()
    if not token:
        raise ListingError("it is truncated but has no continuation token: ListObjectsV2 is needed")
    return token
