"""The lifespan of an application (https://asgi.readthedocs.io/en/latest/specs/lifespan.html)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from loadtest_trio.http.server.app_errors import AppError
from loadtest_trio.http.server.asgi import App, Message


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[dict[str, object]]:
    """Start an application and, at the end of the block, let it shut down.

    Cancelled, the block cancels the application, which then hears of no shutdown.

    Args:
        app: An application that knows the lifespan protocol.

    Yields:
        The state that the application gives to its requests.

    Raises:
        AppError: It could not start or shut down.
    """
    life = _Life()
    async with trio.open_nursery(strict_exception_groups=False) as nursery:
        nursery.start_soon(life.run, app)
        await life.phase("startup")
        yield life.state
        await life.phase("shutdown")


class _Life:
    def __init__(self) -> None:
        self.state: dict[str, object] = {}
        self._to_app, self._from_server = trio.open_memory_channel[Message](1)
        self._to_server, self._from_app = trio.open_memory_channel[Message](1)

    async def run(self, app: App) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        with self._to_server:
            await app(scope, self._from_server.receive, self._to_server.send)

    async def phase(self, name: str) -> None:
        await self._to_app.send({"type": f"lifespan.{name}"})
        try:
            answer = await self._from_app.receive()
        except trio.EndOfChannel:
            raise AppError(f"the application ended before its {name} was complete") from None
        if answer["type"] != f"lifespan.{name}.complete":
            raise AppError(f"{name} of the application failed: {answer.get('message', '')}")
