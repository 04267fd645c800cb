"""Selects the listed objects that the load may use. Pure.

The handlers need non-empty objects that S3 returns at once. Other objects would fail at every attempt, or do
not belong to the load, such as the folder markers of the S3 console, and must not be deleted.
"""

from collections import Counter
from collections.abc import Iterable

from loadtest_trio.backends.s3 import ListedObject

_ARCHIVED = frozenset({"GLACIER", "DEEP_ARCHIVE"})  # GLACIER_IR objects can be read at once


def reason_to_skip(listed: ListedObject, max_bytes: int, reserved: str) -> str | None:
    """Return why the load does not use an object; None if it does.

    Args:
        listed: The object.
        max_bytes: Size limit for downloads.
        reserved: Prefix of keys that belong to jobs: their results and records.
    """
    if listed.key.startswith(reserved):
        return "belongs_to_jobs"
    if listed.key.endswith("/") and not listed.size:
        return "folder_marker"
    if listed.size == 0:
        return "empty"
    if listed.storage_class in _ARCHIVED:
        return "archived"
    if listed.size is not None and listed.size > max_bytes:
        return "larger_than_max_object_bytes"
    return None


def usable_keys(
    objects: Iterable[ListedObject], max_bytes: int, reserved: str, skipped: Counter[str]
) -> list[str]:
    """Return the keys that the load may use.

    Args:
        objects: One page of a listing.
        max_bytes: Size limit for downloads.
        reserved: As for `reason_to_skip`.
        skipped: Reason -> number of objects; skipped objects are added to it.
    """
    usable = []
    for listed in objects:
        reason = reason_to_skip(listed, max_bytes, reserved)
        if reason is None:
            usable.append(listed.key)
        else:
            skipped[reason] += 1
    return usable
