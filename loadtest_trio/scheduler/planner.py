"""Plans the messages to enqueue: the preconditions and the steady mix. Pure.

The nominal mix shrinks the bucket (10 % CREATE, 15 % DELETE), so refills are needed all the time. They are
planned in addition to the mix, marked `Phase.PRECONDITION`, and take messages already on the queue into
account, so that they never overshoot.
"""

from collections.abc import Callable
from itertools import count
from random import Random
from uuid import uuid4

import attrs

from loadtest_trio.handlers.objects.payload import LINE_BYTES
from loadtest_trio.jobs.message import Message, Operation, Phase
from loadtest_trio.scheduler.inventory import Inventory
from loadtest_trio.scheduler.mix import Mix


@attrs.frozen
class FileSizes:
    """The number of UUIDs in a new file, uniformly distributed between two bounds.

    Attributes:
        least: Minimum number of UUIDs.
        most: Maximum number of UUIDs.
        rng: The source of randomness.
    """

    least: int
    most: int
    rng: Random

    @classmethod
    def in_bytes(cls, least: int, most: int, rng: Random) -> "FileSizes":
        """Bound the size in bytes instead, rounded to whole lines within the bounds if one fits."""
        lines = max(1, most // LINE_BYTES)
        return cls(min(lines, -(-least // LINE_BYTES)), lines, rng)

    def draw(self) -> int:
        """Return the number of UUIDs of one file."""
        return self.rng.randint(self.least, self.most)


class Planner:
    """Plans messages and keeps the inventory consistent with them.

    Args:
        inventory: The known keys; also an attribute.
        mix: Draws the operations of the steady mix.
        draw_uuids: Draws the number of UUIDs of a new file.
        prefix: Prefix of new keys.
        sender: Prefix of message ids, unique among all processes that enqueue.
        min_objects: Objects are created while there are fewer.
        max_objects: Objects are deleted while there are more.
    """

    def __init__(
        self,
        *,
        inventory: Inventory,
        mix: Mix,
        draw_uuids: Callable[[], int],
        prefix: str,
        sender: str,
        min_objects: int,
        max_objects: int,
    ) -> None:
        self.inventory = inventory
        self._mix = mix
        self._draw_uuids = draw_uuids
        self._prefix = prefix
        self._sender = sender
        self._min_objects = min_objects
        self._max_objects = max_objects
        self._numbers = count(1)
        self._postponed: Operation | None = None

    def change_mix(self, mix: Mix) -> None:
        """Draw the operations of the steady mix from another one from now on."""
        self._mix, self._postponed = mix, None

    @property
    def met(self) -> bool:
        """Whether the number of objects is within the bounds."""
        inventory = self.inventory
        return self._min_objects <= inventory.objects and inventory.planned <= self._max_objects

    def refills(self, due: float, room: int) -> list[Message]:
        """Plan the messages that bring the number of objects back between the bounds.

        Args:
            due: When they are due, in Unix seconds.
            room: Maximum number of messages.

        Returns:
            CREATEs, or DELETEs, or nothing.
        """
        missing = self._min_objects - self.inventory.planned
        surplus = self.inventory.planned - self._max_objects
        operation = Operation.CREATE if missing > 0 else Operation.DELETE
        wanted = max(0, missing, surplus)
        drafts = (self._draft(operation, due, Phase.PRECONDITION) for _ in range(min(wanted, max(0, room))))
        return [message for message in drafts if message]

    def steady(self, number: int, due: float) -> list[Message]:
        """Plan messages of the steady mix.

        Args:
            number: How many.
            due: When they are due, in Unix seconds.

        Returns:
            Up to `number` messages. Planning stops at an operation for which no object is available; that
            operation comes first next time. If it were skipped, CREATEs would continue alone, beyond the
            nominal mix and the bucket's bounds, for as long as an outage keeps all objects on the queue.
        """
        batch: list[Message] = []
        while len(batch) < number:
            operation = self._postponed or self._mix.draw()
            message = self._draft(operation, due, Phase.STEADY)
            self._postponed = None if message else operation
            if message is None:
                break
            batch.append(message)
        return batch

    def _draft(self, operation: Operation, due: float, phase: Phase) -> Message | None:
        params = {}
        if operation is Operation.CREATE:
            key: str | None = f"{self._prefix}{uuid4().hex}.txt"
            self.inventory.expect(str(key))
            params = {"uuids": self._draw_uuids()}
        elif operation is Operation.DELETE:
            key = self.inventory.take()
        else:
            key = self.inventory.choose()
        if key is None:
            return None
        return Message(f"{self._sender}-{next(self._numbers)}", operation, key, phase, due, params=params)
