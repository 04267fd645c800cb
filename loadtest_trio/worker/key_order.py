"""Runs operations on one key one at a time, in the order in which they were claimed. Pure.

Each busy key has a lane. A second item for the same key waits in the lane, without occupying a worker, until
the worker that holds the key takes it. The alternative, a lock per key taken by the worker, would lose the
order (Trio runs ready tasks in random order) and keep workers idle.
"""

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

import attrs

T = TypeVar("T")


@attrs.define
class _Lane(Generic[T]):
    """The queue of one busy key.

    Attributes:
        since: When the work on the current item began.
        items: The waiting items.
    """

    since: float
    items: deque[T] = attrs.field(factory=deque)


class KeyOrder(Generic[T]):
    """First come, first served, one at a time, per key.

    Args:
        clock: Monotonic seconds.

    Attributes:
        waiting: Number of items that wait behind another one of their key.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lanes: dict[str, _Lane[T]] = {}
        self.waiting = 0  # kept as a counter because every claim reads it and there may be many lanes

    def enter(self, key: str, item: T) -> bool:
        """Add an item to the lane of its key.

        Returns:
            True if the key is free and the item can be processed now; False if the item waits until a later
            `leave` returns it.
        """
        lane = self._lanes.get(key)
        if lane is None:
            self._lanes[key] = _Lane(self._clock())
            return True
        lane.items.append(item)
        self.waiting += 1
        return False

    def leave(self, key: str) -> T | None:
        """End the work on a key's current item.

        Returns:
            The next item of the same key, to be processed now, or None.
        """
        lane = self._lanes[key]
        if lane.items:
            self.waiting -= 1
            lane.since = self._clock()
            return lane.items.popleft()
        del self._lanes[key]
        return None

    def abandon(self, busy_seconds: float = 0.0) -> list[T]:
        """Remove waiting items and return them in order; their keys remain busy.

        Args:
            busy_seconds: Only those behind an item that has been in progress for at least this long.
        """
        now, items = self._clock(), list[T]()
        for lane in self._lanes.values():
            if now - lane.since >= busy_seconds:
                items += lane.items
                lane.items.clear()
        self.waiting -= len(items)
        return items
