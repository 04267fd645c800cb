"""What carries a user's requests, and what comes back."""

from typing import Protocol

from loadtest_trio.errors import Fault, LoadtestError


class ExchangeError(LoadtestError):
    """A request got no complete reply.

    Attributes:
        kind: Why, in a word that statistics count by: connect, timeout, closed, protocol, no ports, no
            descriptors.
    """

    fault = Fault.BACKEND
    retryable = True

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind


class Reply:
    """A complete reply.

    A plain class: one of attrs' frozen ones takes a microsecond more to make, of some forty a request.

    Attributes:
        status: The status code.
        headers: Name and value as received.
        body: All of it.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes | bytearray) -> None:
        self.status, self.headers, self.body = status, headers, body


class Wire(Protocol):
    """Carries one user's requests, one after the other."""

    async def exchange(self, method: str, target: bytes, headers: bytes, body: bytes) -> Reply:
        """Send a request and return its reply.

        Args:
            method: Such as ``GET``.
            target: Path and query, quoted.
            headers: Complete lines, each with its line end; Host and Content-Length among them.
            body: May be empty.

        Raises:
            ExchangeError: There was no complete reply.
        """
        ...

    def close(self) -> None:
        """Close the connection, if there is one."""
