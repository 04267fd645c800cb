"""The lifespan of an application (https://asgi.readthedocs.io/en/latest/specs/lifespan.html)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from loadtest_trio.errors import describe
from loadtest_trio.http.server.app_errors import AppError
from loadtest_trio.http.server.asgi import App, Message


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[dict[str, object]]:
    """Start an application and, at the end of the block, let it shut down.

    A block that is cancelled cancels the application, which then hears of no shutdown.

    Args:
        app: An application that knows the lifespan protocol.

    Yields:
        The state that the application gives to its requests.

    Raises:
        AppError: It could not start, or not shut down.
    """
    life = _Life(app)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(life.run)
        if await life.complete("startup"):
            yield life.state
            await life.complete("shutdown")
        nursery.cancel_scope.cancel()
    if life.fault:
        raise AppError(life.fault)


class _Life:
    def __init__(self, app: App) -> None:
        self.state: dict[str, object] = {}
        self.fault = ""
        self._app = app
        self._to_app, self._from_server = trio.open_memory_channel[Message](1)
        self._to_server, self._from_app = trio.open_memory_channel[Message](1)

    async def run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        with self._to_server:
            try:
                await self._app(scope, self._from_server.receive, self._to_server.send)
            except Exception as error:
                self.fault = f"the application failed: {describe(error)}"

    async def complete(self, phase: str) -> bool:
        """Let the application pass a phase; return whether it has."""
        await self._to_app.send({"type": f"lifespan.{phase}"})
        try:
            answer = await self._from_app.receive()
        except trio.EndOfChannel:
            self.fault = self.fault or f"the application ended before its {phase} was complete"
            return False
        if answer["type"] != f"lifespan.{phase}.complete":
            self.fault = f"{phase} of the application failed: {answer.get('message', '')}"
        return not self.fault
