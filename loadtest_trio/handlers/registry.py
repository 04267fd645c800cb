"""The registry of operations: the kinds of work and the requirements of each."""

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
        operation: Its name in messages.
        run: Does one message's work and returns the result, if any. `ObjectMissingError` means that nothing
            was left to do; any other exception means that the attempt failed.
        retry: How often and when it is retried.
        needs_key: Whether a message must have a key.
        ordered: Whether work on one key runs one at a time and in queue order.
        check: Raises `MalformedMessageError` for invalid parameters.
        max_seconds: Maximum duration of one attempt, which ends by itself then; until then its worker does
            not count as stuck. 0: `HEALTH_STALL_SECONDS`.
        public: Whether clients may submit such work as a job over HTTP.
        content_type: Content type of the result.
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
        """Return the handler of a known operation."""
        return self._handlers[operation]

    def find(self, message: Message) -> Handler:
        """Return the handler of a message.

        Raises:
            MalformedMessageError: The operation is unknown, or the message does not meet its requirements.
        """
        handler = self._handlers.get(message.operation)
        if handler is None:
            known = ", ".join(self._handlers)
            raise MalformedMessageError(f"unknown operation {message.operation[:100]!r}: known are {known}")
        if handler.needs_key and not message.key:
            raise MalformedMessageError(f"{message.operation} needs a key")
        handler.check(message.params)
        return handler
