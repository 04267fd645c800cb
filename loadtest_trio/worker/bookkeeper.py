"""What follows once Redis has taken a settlement: the counters, and the inventory."""

from collections.abc import Callable

from loadtest_trio.inventory import Inventory
from loadtest_trio.jobs.delivery import Outcome
from loadtest_trio.jobs.message import Message, Operation
from loadtest_trio.metrics import logs
from loadtest_trio.metrics.counters import Metrics
from loadtest_trio.worker.finished import Finished


class Bookkeeper:
    """Books settled deliveries.

    Args:
        inventory: Told which objects came and went; None where nobody here schedules: it would only grow.
        metrics: Where it counts.
        wall: The time of day in Unix seconds, the same clock as that of `Finished.at`.
    """

    def __init__(self, inventory: Inventory | None, metrics: Metrics, wall: Callable[[], float]) -> None:
        self._inventory = inventory
        self._metrics = metrics
        self._wall = wall

    def settled(self, finished: Finished, counted: bool) -> None:
        """Book one delivery.

        Args:
            finished: The delivery.
            counted: False when it was stale: another consumer had taken the message over, and books it.
        """
        message, outcome = finished.message, finished.outcome
        self._metrics.settle_wait.record(self._wall() - finished.at)
        identity = message.id if message else ""
        if not counted:
            self._metrics.totals["stale"] += 1
            logs.failure("settlement_stale", "stale", id=identity, outcome=outcome)
            return
        self._metrics.totals[outcome] += 1
        if message is None:
            return
        self._tell_inventory(message, outcome)
        stats = self._metrics.operations[message.operation]
        stats.processed += outcome is Outcome.PROCESSED
        stats.missed += outcome is Outcome.MISSED
        stats.failed += outcome is Outcome.DEAD
        if logs.debug_enabled():
            fields = {"operation": message.operation, "key": message.key, "id": identity}
            logs.event("operation_ended", "DEBUG", outcome=outcome, **fields)

    def _tell_inventory(self, message: Message, outcome: Outcome) -> None:
        inventory, key = self._inventory, message.key
        done = outcome is Outcome.PROCESSED
        if inventory is None or outcome is Outcome.RETRY:
            return
        if outcome is Outcome.MISSED:
            inventory.deleted(key)
        elif message.operation is Operation.CREATE:
            (inventory.created if done else inventory.not_created)(key)
        elif message.operation is Operation.DELETE:
            (inventory.deleted if done else inventory.not_deleted)(key)
