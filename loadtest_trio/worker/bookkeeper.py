"""What follows once Redis has taken a settlement: counters, and whoever subscribed to completions."""

from collections.abc import Callable

from loadtest_trio.jobs.delivery import Outcome
from loadtest_trio.jobs.message import Message
from loadtest_trio.metrics import logs
from loadtest_trio.metrics.counters import Metrics
from loadtest_trio.worker.finished import Finished


class Bookkeeper:
    """Books settled deliveries.

    Args:
        metrics: Where it counts.
        unix_clock: The time of day in Unix seconds, the same clock as that of `Finished.at`.
        on_completed: Told about each message whose delivery is settled, and how it ended.
    """

    def __init__(
        self,
        metrics: Metrics,
        unix_clock: Callable[[], float],
        on_completed: Callable[[Message, Outcome], None],
    ) -> None:
        self._metrics = metrics
        self._unix_clock = unix_clock
        self._on_completed = on_completed

    def settled(self, finished: Finished, counted: bool) -> None:
        """Book one delivery.

        Args:
            finished: The delivery.
            counted: False when it was stale: another consumer had taken the message over, and books it.
        """
        message, outcome = finished.message, finished.outcome
        self._metrics.settle_wait.record(self._unix_clock() - finished.at)
        identity = message.id if message else ""
        if not counted:
            self._metrics.totals["stale"] += 1
            logs.failure("settlement_stale", "stale", id=identity, outcome=outcome)
            return
        self._metrics.totals[outcome] += 1
        if message is None:
            return
        self._on_completed(message, outcome)
        stats = self._metrics.operations[message.operation]
        stats.processed += outcome is Outcome.PROCESSED
        stats.missed += outcome is Outcome.MISSED
        stats.failed += outcome is Outcome.DEAD
        if logs.debug_enabled():
            fields = {"operation": message.operation, "key": message.key, "id": identity}
            logs.event("operation_ended", "DEBUG", outcome=outcome, **fields)
