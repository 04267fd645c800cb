"""What all connections of a server share."""

import math
import time
from email.utils import formatdate

import trio

from loadtest_trio.http.server.app_errors import OnError
from loadtest_trio.http.server.asgi import App
from loadtest_trio.http.server.limits import ServerLimits

NEVER = math.inf
TICK_SECONDS = 0.25


class Shared:
    """What a connection takes from its server. Connections read it and the server writes it.

    Args:
        app: The application.
        limits: What a client is granted.
        on_error: Is told the errors of the application.
        address: Host and port that the server listens on.

    Attributes:
        soon: Trio's clock at the next tick. Deadlines count from it, so that none comes early: looking at the
            clock for every wait costs more than the half second by which they may come late is worth.
        date: The header line with the date, without its end.
        idle_deadline: When a connection that falls idle now has been so for too long.
        draining: No further requests are waited for.
        closing: No connection is kept after its answer: the server drains, or is full and others wait.
        state: What the application's lifespan left for its requests.
    """

    __slots__ = (
        "_second",
        "address",
        "app",
        "closing",
        "date",
        "draining",
        "idle_deadline",
        "limits",
        "on_error",
        "soon",
        "state",
    )

    def __init__(self, app: App, limits: ServerLimits, on_error: OnError, address: tuple[str, int]) -> None:
        self.app = app
        self.limits = limits
        self.on_error = on_error
        self.address = address
        self.draining = self.closing = False
        self.state: dict[str, object] = {}
        self.soon = self.idle_deadline = 0.0
        self.date = b""
        self._second = -1

    def tick(self) -> None:
        """Look at the clocks; called every `TICK_SECONDS`, and before the first connection."""
        self.soon = trio.current_time() + TICK_SECONDS
        self.idle_deadline = self.soon + self.limits.idle_seconds
        second = int(time.time())
        if second != self._second:
            self._second = second
            self.date = b"date: %b" % formatdate(second, usegmt=True).encode("ascii")
