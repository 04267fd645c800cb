"""ASGI servers: `LeanServer`, small and fast, and `HypercornServer`, the stock one, by one interface."""

from loadtest_trio.http.server.app_errors import ClientDisconnectedError
from loadtest_trio.http.server.hypercorn_server import HypercornServer
from loadtest_trio.http.server.lean import LeanServer
from loadtest_trio.http.server.limits import ServerLimits
from loadtest_trio.http.server.server import Server

__all__ = ["ClientDisconnectedError", "HypercornServer", "LeanServer", "Server", "ServerLimits"]
