"""The worker's view of Redis."""

from collections.abc import Sequence
from typing import Protocol

from loadtest_trio.backends.redis import ReapResult
from loadtest_trio.jobs.delivery import Delivery, Settlement


class Queue(Protocol):
    """What a worker asks of Redis; implemented by `loadtest_trio.backends.redis.RedisService`."""

    async def claim(self, limit: int) -> list[Delivery]:
        """Move up to `limit` messages into this consumer's in-flight record."""
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """End deliveries; returns False for those that another consumer has taken over."""
        ...

    async def release(self, tokens: Sequence[str]) -> int:
        """Put back claimed messages that were not started."""
        ...

    async def retire(self) -> None:
        """Put back all claimed messages and remove this consumer."""
        ...

    async def heartbeat(self) -> None:
        """Show that this consumer is alive."""
        ...

    async def reap(self) -> ReapResult:
        """Put back the messages that dead consumers had claimed."""
        ...

    async def revoked(self) -> set[str]:
        """Return the tokens of claimed messages that were cancelled or reaped."""
        ...
