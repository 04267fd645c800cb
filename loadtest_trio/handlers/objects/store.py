"""The object store interface that the handlers use."""

from typing import Protocol


class ObjectStore(Protocol):
    """Object operations; `loadtest_trio.backends.s3.S3Service` and the tests' bucket implement it."""

    async def get(self, key: str) -> bytes | bytearray:
        """Return the whole object."""
        ...

    async def put(self, key: str, body: bytes | bytearray | memoryview) -> None:
        """Store the whole object."""
        ...

    async def delete(self, key: str) -> None:
        """Delete the object; deleting a missing object succeeds."""
        ...
