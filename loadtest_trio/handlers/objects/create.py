"""CREATE: upload a new file of random UUIDs."""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from loadtest_trio.errors import MalformedMessageError
from loadtest_trio.handlers.objects.payload import uuid_lines
from loadtest_trio.handlers.objects.store import ObjectStore
from loadtest_trio.jobs.message import Message

_MAX_UUIDS = 1_000_000


def check_uuids(params: Mapping[str, Any]) -> None:
    """Check the number of lines, if the message sets it.

    Raises:
        MalformedMessageError: ``params["uuids"]`` is not a whole number from 1 to 1,000,000.
    """
    count = params.get("uuids")
    if count is not None and (type(count) is not int or not 1 <= count <= _MAX_UUIDS):
        raise MalformedMessageError(f"uuids must be a whole number from 1 to {_MAX_UUIDS}")


async def create(message: Message, store: ObjectStore, rng: Random, draw_uuids: Callable[[], int]) -> None:
    """Upload `message.key` with ``params["uuids"]`` lines, or a drawn number of lines. Idempotent.

    Args:
        message: The message.
        store: Where to upload to.
        rng: Seeds the UUIDs.
        draw_uuids: Draws the number of lines if the message does not set it.

    Raises:
        S3Error: The upload failed.
    """
    count = message.params.get("uuids")
    if count is None:
        count = draw_uuids()
    await store.put(message.key, uuid_lines(count, rng))
