"""One task that watches the deadlines of all requests.

A cancel scope with a deadline a request is the usual way, and costs a quarter of all that a request costs
(``python -m benchmarks.transport``: *lean, unwatched*). A watch costs an entry in a dictionary:

    request ──► add ──► exchange ──► discard          run: twice a second, what has expired is woken, and
                 └────── expires ◄───────────────────      finds that its stream was closed under it

Invariants: a request that begins while nobody runs the watch brings its own scope (`LeanTransport`); who runs
it ends it after the requests, so none is left without a deadline; a request ends at most half a second late.
"""

import trio

from loadtest_trio.http.client.connection import Connection
from loadtest_trio.http.client.request_timeout import Timer

_PERIOD_SECONDS = 0.5


class DeadlineWatch:
    """Wakes the exchanges whose timers have run out.

    Attributes:
        running: Whether somebody watches.
    """

    def __init__(self) -> None:
        self.running = False
        self._exchanges: dict[Connection, Timer] = {}

    def add(self, connection: Connection, timer: Timer) -> None:
        """Watch an exchange; call `discard` when it has ended, however it has."""
        self._exchanges[connection] = timer

    def discard(self, connection: Connection) -> None:
        """Watch it no more."""
        del self._exchanges[connection]

    async def run(self) -> None:
        """Watch until cancelled, which has to be after the last request."""
        self.running = True
        try:
            while True:
                await trio.sleep(_PERIOD_SECONDS)
                now = trio.current_time()
                for connection, timer in self._exchanges.items():
                    if timer.expires <= now:
                        connection.wake()
        finally:
            self.running = False
