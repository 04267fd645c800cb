"""What the handlers need of S3."""

from typing import Protocol


class ObjectStore(Protocol):
    """The object operations; `loadtest_trio.backends.s3.S3Service` is one, the tests have another."""

    async def get(self, key: str) -> bytes | bytearray:
        """Return the whole object, its length checked against the header."""
        ...

    async def put(self, key: str, body: bytes | bytearray | memoryview) -> None:
        """Store the whole object."""
        ...

    async def delete(self, key: str) -> None:
        """Remove the object; one that is not there counts as removed."""
        ...
