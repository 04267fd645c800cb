"""The connection pool: slots that limit the connections, and a stack of idle connections.

Last in, first out: the most recently used connection is the least likely to have been closed by the server.
Only `acquire` waits, so a cancelled task can always return its slot and its connection.
"""

import trio

from loadtest_trio.http.client.connection import Connection
from loadtest_trio.http.client.request_timeout import RequestTimeout

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

    async def acquire(self, timeout: RequestTimeout) -> None:
        """Take a slot, waiting if all are taken. Taking a free slot is not a checkpoint.

        Raises:
            httpx.PoolTimeout: No slot became free in time.
        """
        if self._closed:
            raise RuntimeError("the transport is closed")
        try:
            self._slots.acquire_nowait()
        except trio.WouldBlock:
            with timeout.bounded("pool"):
                await self._slots.acquire()

    def release(self) -> None:
        """Return a slot."""
        self._slots.release()

    def take(self, origin: Origin) -> Connection | None:
        """Return the most recently used idle connection to `origin` that is still open, or None."""
        for index in reversed(range(len(self._idle))):
            if self._idle[index][0] == origin:
                connection = self._idle.pop(index)[1]
                if not connection.is_stale():
                    return connection
                connection.close()
        return None

    def give_back(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection for the next request, or close it if it cannot serve one."""
        if connection.reusable and not self._closed:
            self._idle.append((origin, connection))
        else:
            connection.close()

    def make_room(self) -> None:
        """Close the oldest idle connections if the caller's new connection would exceed the limit.

        As many connections may be idle as there are free slots: a busy connection holds a slot.
        """
        while len(self._idle) > self._slots.value:
            self._idle.pop(0)[1].close()

    def close(self) -> None:
        """Close the idle connections now, and each busy connection when its request ends."""
        self._closed = True
        while self._idle:
            self._idle.pop()[1].close()
