"""UPDATE: download the object, change two hex digits, upload it again."""

from random import Random

from loadtest_trio.errors import MalformedMessageError
from loadtest_trio.handlers.objects.payload import edit
from loadtest_trio.handlers.objects.store import ObjectStore
from loadtest_trio.jobs.message import Message


async def update(message: Message, store: ObjectStore, rng: Random) -> None:
    """Edit `message.key`, in the buffer it was received in where that can be written.

    Raises:
        ObjectMissingError: It is gone.
        MalformedMessageError: The object has no two hex digits to change.
        S3Error: It could not be read or written.
    """
    received = await store.get(message.key)
    body = received if isinstance(received, bytearray) else bytearray(received)
    try:
        edit(body, rng)
    except ValueError as error:
        raise MalformedMessageError(f"UPDATE of {message.key}: {error}") from error
    await store.put(message.key, body)
