"""Operations on one key never overlap, and keep the order in which they were claimed. Pure.

A lane exists for each key that somebody works on. A second item for the same key waits in the lane,
without occupying a worker, until the worker that has the key takes it over. The alternative, a lock
a key taken by the worker, loses the order (Trio runs ready tasks in random order) and idles workers.
"""

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

import attrs

T = TypeVar("T")


@attrs.define
class _Lane(Generic[T]):
    """One busy key.

    Attributes:
        since: When the work on the present item began.
        items: The items that wait.
    """

    since: float
    items: deque[T] = attrs.field(factory=deque)


class KeyOrder(Generic[T]):
    """First come, first served, one at a time, for each key.

    Args:
        clock: Monotonic seconds.

    Attributes:
        waiting: How many items wait behind another one of their key.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lanes: dict[str, _Lane[T]] = {}
        self.waiting = 0  # counted along: asked at every claim, and there is a lane for each busy worker

    def enter(self, key: str, item: T) -> bool:
        """Bring an item to its key's lane.

        Returns:
            True when the key is free and the item may be worked on now; False when it waits and a
            later `leave` will hand it out.
        """
        lane = self._lanes.get(key)
        if lane is None:
            self._lanes[key] = _Lane(self._clock())
            return True
        lane.items.append(item)
        self.waiting += 1
        return False

    def leave(self, key: str) -> T | None:
        """End the work on a key's present item.

        Returns:
            The next item of the same key, which may be worked on now, or None.
        """
        lane = self._lanes[key]
        if lane.items:
            self.waiting -= 1
            lane.since = self._clock()
            return lane.items.popleft()
        del self._lanes[key]
        return None

    def abandon(self, busy_seconds: float = 0.0) -> list[T]:
        """Return items that were waiting, in order, and forget them; their keys remain busy.

        Args:
            busy_seconds: Only those behind an item that has been worked on for at least so long.
        """
        now, items = self._clock(), list[T]()
        for lane in self._lanes.values():
            if now - lane.since >= busy_seconds:
                items += lane.items
                lane.items.clear()
        self.waiting -= len(items)
        return items
