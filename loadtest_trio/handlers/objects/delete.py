"""DELETE: remove the object."""

from loadtest_trio.handlers.objects.store import ObjectStore
from loadtest_trio.jobs.message import Message


async def delete(message: Message, store: ObjectStore) -> None:
    """Delete `message.key`; S3 does not report whether it existed (Amazon S3 API, DeleteObject).

    Raises:
        S3Error: The request failed.
    """
    await store.delete(message.key)
