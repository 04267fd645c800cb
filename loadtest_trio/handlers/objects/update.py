"""UPDATE: download the object, change two hex digits, upload it again."""

from random import Random

from loadtest_trio.errors import MalformedMessageError
from loadtest_trio.handlers.objects.payload import edit
from loadtest_trio.handlers.objects.store import ObjectStore
from loadtest_trio.jobs.message import Message


async def update(message: Message, store: ObjectStore, rng: Random) -> None:
    """Edit `message.key`, in the buffer it was received into if that is writable.

    Raises:
        ObjectMissingError: The object does not exist.
        MalformedMessageError: The object holds fewer than two hex digits.
        S3Error: The object could not be read or written.
    """
    received = await store.get(message.key)
    body = received if isinstance(received, bytearray) else bytearray(received)
    try:
        edit(body, rng)
    except ValueError as error:
        raise MalformedMessageError(f"UPDATE of {message.key}: {error}") from error
    await store.put(message.key, body)
