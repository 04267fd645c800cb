"""Enforces the deadlines of all requests from one task.

The usual way, a cancel scope with a deadline for each request, is a quarter of a request's cost
(``python -m benchmarks.transport``: *lean, unwatched*). Here a request costs one entry in a dictionary:

    request ──► add ──► exchange ──► discard          run: twice a second, wakes the exchanges that
                 └────── expires ◄───────────────────      have expired

Invariants: a request that begins while the watch is not running uses a cancel scope (`LeanTransport`); the
watch outlives the requests, so none is left without a deadline; a request ends at most half a second late.
"""

import trio

from loadtest_trio.http.client.connection import Connection
from loadtest_trio.http.client.request_timeout import RequestTimeout

_PERIOD_SECONDS = 0.5


class DeadlineWatch:
    """Wakes exchanges whose deadline has passed.

    Attributes:
        running: Whether `run` is running.
    """

    def __init__(self) -> None:
        self.running = False
        self._exchanges: dict[Connection, RequestTimeout] = {}

    def add(self, connection: Connection, timeout: RequestTimeout) -> None:
        """Start to watch an exchange; call `discard` when it ends, whatever the outcome."""
        self._exchanges[connection] = timeout

    def discard(self, connection: Connection) -> None:
        """Stop watching an exchange."""
        del self._exchanges[connection]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watch until cancelled; cancel only after the last request has ended."""
        self.running = True
        task_status.started()
        try:
            while True:
                await trio.sleep(_PERIOD_SECONDS)
                now = trio.current_time()
                for connection, timeout in self._exchanges.items():
                    if timeout.expires <= now:
                        connection.wake()
        finally:
            self.running = False
