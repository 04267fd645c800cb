"""The names of ASGI 3 that the servers share (https://asgi.readthedocs.io/en/latest/specs/www.html)."""

from collections.abc import Awaitable, Callable
from typing import Any

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
Buffer = bytes | bytearray | memoryview

OnError = Callable[[Scope, Exception], None]
"""Is told what an application raised, with the scope of the request; it must not raise."""


class ClientDisconnectedError(OSError):
    """The client is gone or takes no more bytes. `send` raises it; an application need not catch it."""


class AppError(RuntimeError):
    """The application broke a rule of ASGI or HTTP, such as a body longer than its Content-Length."""


def ignore_error(_: Scope, __: Exception) -> None:
    """Be the `OnError` of an owner who wants none."""
