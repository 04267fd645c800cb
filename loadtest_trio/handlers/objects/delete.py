"""DELETE: remove the object."""

from loadtest_trio.handlers.objects.store import ObjectStore
from loadtest_trio.jobs.message import Message


async def delete(message: Message, store: ObjectStore) -> None:
    """Delete `message.key`; S3 does not say whether it was there (AmazonS3 API, DeleteObject).

    Raises:
        S3Error: It could not be deleted.
    """
    await store.delete(message.key)
