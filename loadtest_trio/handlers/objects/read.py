"""READ: download the whole object."""

from loadtest_trio.handlers.objects.store import ObjectStore
from loadtest_trio.jobs.message import Message


async def read(message: Message, store: ObjectStore) -> None:
    """Download `message.key` and let it go.

    Raises:
        ObjectMissingError: It is gone.
        S3Error: It could not be read whole.
    """
    await store.get(message.key)
