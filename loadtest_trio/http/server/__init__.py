"""ASGI servers: `LeanServer`, small and fast, and `HypercornServer`, the stock one."""

from typing import Protocol

import trio

from loadtest_trio.http.server.app_errors import ClientDisconnectedError
from loadtest_trio.http.server.hypercorn_server import HypercornServer
from loadtest_trio.http.server.lean import LeanServer
from loadtest_trio.http.server.limits import ServerLimits

__all__ = ["ClientDisconnectedError", "HypercornServer", "LeanServer", "Server", "ServerLimits"]


class Server(Protocol):
    """The interface of both, whose constructors take the same arguments, too."""

    port: int
    url: str

    async def run(self, *, task_status: trio.TaskStatus[None] = ...) -> None:
        """Serve until `stop`; readiness is told when clients are accepted."""

    def stop(self, grace_seconds: float) -> None:
        """End `run` in an orderly way: requests in work are answered within the grace."""

    def close(self) -> None:
        """Let go of the address without having served."""
