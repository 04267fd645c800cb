"""Operations on one key never overlap, and keep the order in which they were claimed. Pure.

A lane exists for each key that somebody works on. A second item for the same key waits in the lane,
without occupying a worker, until the worker that has the key takes it over. The alternative, a lock
a key taken by the worker, loses the order (Trio runs ready tasks in random order) and idles workers.
"""

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class KeyOrder(Generic[T]):
    """First come, first served, one at a time, for each key.

    Attributes:
        waiting: How many items wait behind another one of their key.
    """

    def __init__(self) -> None:
        self._lanes: dict[str, deque[T]] = {}
        self.waiting = 0  # counted along: asked at every claim, and there is a lane for each busy worker

    def enter(self, key: str, item: T) -> bool:
        """Bring an item to its key's lane.

        Returns:
            True when the key is free and the item may be worked on now; False when it waits and a
            later `leave` will hand it out.
        """
        lane = self._lanes.get(key)
        if lane is None:
            self._lanes[key] = deque()
            return True
        lane.append(item)
        self.waiting += 1
        return False

    def leave(self, key: str) -> T | None:
        """End the work on a key's present item.

        Returns:
            The next item of the same key, which may be worked on now, or None.
        """
        lane = self._lanes[key]
        if lane:
            self.waiting -= 1
            return lane.popleft()
        del self._lanes[key]
        return None

    def abandon(self) -> list[T]:
        """Return the items that were waiting, and forget them; who works on a key still has to leave it."""
        items = [item for lane in self._lanes.values() for item in lane]
        for lane in self._lanes.values():
            lane.clear()
        self.waiting = 0
        return items
