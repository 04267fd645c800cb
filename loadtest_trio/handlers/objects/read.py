"""READ: download the whole object."""

from loadtest_trio.handlers.objects.store import ObjectStore
from loadtest_trio.jobs.message import Message


async def read(message: Message, store: ObjectStore) -> None:
    """Download `message.key` and discard it.

    Raises:
        ObjectMissingError: The object does not exist.
        S3Error: The object could not be read completely.
    """
    await store.get(message.key)
