"""The slots that bound the connections, and the idle ones, newest first.

Last in, first out: the connection used a moment ago is the least likely to have been closed by the server.
Nothing here waits but `acquire`, so a cancelled task can always give back what it holds.
"""

import trio

from loadtest_trio.http.client.connection import Connection
from loadtest_trio.http.client.request_timeout import Timer

Origin = tuple[str, str, int]  # scheme, host, port


class ConnectionPool:
    """Keep-alive connections to any number of origins.

    Args:
        max_connections: Open connections, busy and idle together.
    """

    def __init__(self, max_connections: int) -> None:
        self._slots = trio.Semaphore(max_connections, max_value=max_connections)
        self._idle: list[tuple[Origin, Connection]] = []
        self._closed = False

    async def acquire(self, timer: Timer) -> None:
        """Take a slot, waiting for one when all are busy (a free one is taken without a checkpoint).

        Raises:
            httpx.PoolTimeout: None became free in time.
        """
        if self._closed:
            raise RuntimeError("the transport is closed")
        try:
            self._slots.acquire_nowait()
        except trio.WouldBlock:
            with timer.bounded("pool"):
                await self._slots.acquire()

    def release(self) -> None:
        """Give the slot back."""
        self._slots.release()

    def take(self, origin: Origin) -> Connection | None:
        """Return the newest idle connection to `origin` that is still alive, if there is one."""
        for index in reversed(range(len(self._idle))):
            if self._idle[index][0] == origin:
                connection = self._idle.pop(index)[1]
                if not connection.is_stale():
                    return connection
                connection.close()
        return None

    def give_back(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection for the next request, or close it when it cannot serve one."""
        if connection.reusable and not self._closed:
            self._idle.append((origin, connection))
        else:
            connection.close()

    def make_room(self) -> None:
        """Close the oldest idle connections as far as the caller's new one would be one too many.

        The free slots are those that neither the caller nor another task holds, so as many may be idle.
        """
        while len(self._idle) > self._slots.value:
            self._idle.pop(0)[1].close()

    def close(self) -> None:
        """Close the idle connections now, and each busy one when its request ends."""
        self._closed = True
        while self._idle:
            self._idle.pop()[1].close()
