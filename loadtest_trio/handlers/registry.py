"""The registry of operations: what kinds of work there are, and what each requires of its messages."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import attrs

from loadtest_trio.errors import MalformedMessageError
from loadtest_trio.jobs.message import Message
from loadtest_trio.jobs.retry import RetryPolicy


def _accept(params: Mapping[str, Any]) -> None:
    """Accept any parameters."""


@attrs.frozen
class Handler:
    """One kind of work.

    Attributes:
        operation: Its name, as messages give it.
        run: Does one message's work and returns the result, if it has one. `ObjectMissingError` means
            that there was nothing to do any more; any other exception, that the attempt failed.
        retry: How often it is tried, and when.
        needs_key: Whether a message must name a key.
        ordered: Whether work on one key never overlaps and keeps the order of the queue.
        check: Raises `MalformedMessageError` for parameters that it cannot work with.
        max_seconds: How long one attempt may take without its worker being stuck, in seconds; it ends by
            itself then. 0: no longer than `HEALTH_STALL_SECONDS`.
        public: Whether anybody may submit such work as a job over HTTP.
        content_type: What kind of bytes the result is.
    """

    operation: str
    run: Callable[[Message], Awaitable[bytes | None]]
    retry: RetryPolicy
    needs_key: bool = False
    ordered: bool = False
    check: Callable[[Mapping[str, Any]], None] = _accept
    max_seconds: float = 0.0
    public: bool = False
    content_type: str = "application/octet-stream"


class Registry:
    """The handlers by operation.

    Args:
        handlers: One for each operation.

    Raises:
        ValueError: Two handlers have the same operation.
    """

    def __init__(self, handlers: Iterable[Handler]) -> None:
        self._handlers: dict[str, Handler] = {}
        for handler in handlers:
            if handler.operation in self._handlers:
                raise ValueError(f"two handlers for {handler.operation}")
            self._handlers[handler.operation] = handler

    @property
    def operations(self) -> list[str]:
        """The names of all operations, in the order of registration."""
        return list(self._handlers)

    def __getitem__(self, operation: str) -> Handler:
        """Return the handler of an operation that is known to exist."""
        return self._handlers[operation]

    def find(self, message: Message) -> Handler:
        """Return the handler of a message.

        Raises:
            MalformedMessageError: Nobody handles its operation, or it lacks what the handler requires.
        """
        handler = self._handlers.get(message.operation)
        if handler is None:
            known = ", ".join(self._handlers)
            raise MalformedMessageError(f"unknown operation {message.operation[:100]!r}: known are {known}")
        if handler.needs_key and not message.key:
            raise MalformedMessageError(f"{message.operation} needs a key")
        handler.check(message.params)
        return handler
