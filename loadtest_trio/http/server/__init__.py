"""ASGI servers: `LeanServer`, which is small and fast, and `HypercornServer`, which is everybody's."""

from loadtest_trio.http.server.lean import LeanServer
from loadtest_trio.http.server.limits import ServerLimits

__all__ = ["LeanServer", "ServerLimits"]
