"""Handlers that do as a test tells them, under the names of the S3 operations."""

from collections.abc import Awaitable, Callable

from loadtest_trio.handlers.registry import Handler, Registry
from loadtest_trio.jobs.delivery import Delivery
from loadtest_trio.jobs.message import Message, Operation
from loadtest_trio.jobs.retry import RetryPolicy
from loadtest_trio.worker.runner import Claimed

Work = Callable[[Message], Awaitable[bytes | None]]
"""What a handler does with a message."""


def registry_of(work: Work, max_retries: int = 2) -> Registry:
    """Return a registry in which all four S3 operations do the same, in order for each key."""
    return Registry(
        Handler(operation, work, RetryPolicy(max_retries), needs_key=True, ordered=True)
        for operation in Operation
    )


def claimed(message: Message, work: Work, max_retries: int = 3, in_place: int = 4) -> Claimed:
    """Return a message as claimed under the token ``token``, with its handler."""
    handler = Handler(message.operation, work, RetryPolicy(max_retries, in_place), ordered=True)
    return Claimed(Delivery("token", message.encode()), message, handler)
