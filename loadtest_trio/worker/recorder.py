"""Records settled deliveries and failed attempts in the counters and the log."""

from collections.abc import Callable

from loadtest_trio.errors import LoadtestError
from loadtest_trio.jobs.delivery import Outcome
from loadtest_trio.jobs.message import Message
from loadtest_trio.metrics import logs
from loadtest_trio.metrics.counters import Metrics
from loadtest_trio.worker.completion import Completion


class CompletionRecorder:
    """Counts settled deliveries and publishes them.

    Args:
        metrics: The counters.
        unix_clock: Unix seconds; the clock of `Completion.at`.
        on_completed: Called with each message whose delivery is settled, its outcome and its error.
    """

    def __init__(
        self,
        metrics: Metrics,
        unix_clock: Callable[[], float],
        on_completed: Callable[[Message, Outcome, LoadtestError | None], None],
    ) -> None:
        self._metrics = metrics
        self._unix_clock = unix_clock
        self._on_completed = on_completed

    def record(self, completion: Completion, counted: bool) -> None:
        """Record one delivery.

        Args:
            completion: How it ended.
            counted: False if it was stale: another consumer took the message over and records it.
        """
        message, outcome = completion.message, completion.outcome
        self._metrics.settle_wait.record(self._unix_clock() - completion.at)
        identity = message.id if message else ""
        if not counted:
            self._metrics.totals["stale"] += 1
            logs.failure("settlement_stale", "stale", id=identity, outcome=outcome)
            return
        self._metrics.totals[outcome] += 1
        if message is None:
            return
        self._on_completed(message, outcome, completion.error)
        stats = self._metrics.operations[message.operation]
        stats.processed += outcome is Outcome.PROCESSED
        stats.missed += outcome is Outcome.MISSED
        stats.failed += outcome is Outcome.DEAD
        if logs.debug_enabled():
            fields = {"operation": message.operation, "key": message.key, "id": identity}
            logs.event("operation_ended", "DEBUG", outcome=outcome, **fields)


def log_failure(metrics: Metrics) -> Callable[[Message, int, LoadtestError], None]:
    """Return a function that counts and logs each failed attempt."""

    def failed(message: Message, attempt: int, error: LoadtestError) -> None:
        metrics.totals["errors"] += 1
        logs.failure(
            "operation_failed",
            f"{message.operation} {type(error).__name__} {getattr(error, 'code', '')}",
            operation=message.operation,
            key=message.key,
            id=message.id,
            attempt=attempt,
            retries=message.retries,
            error=str(error),
            error_type=type(error).__name__,
            retryable=error.retryable,
        )

    return failed
