"""An application with something of everything, under both servers."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trio

from loadtest_trio.http.server import HypercornServer, LeanServer, Server, ServerLimits
from loadtest_trio.http.server.asgi import App, Headers, Message, Receive, Scope, Send
from tests.support.raw_client import RawClient

JSON: Headers = [(b"content-type", b"application/json")]
BIG = 20_000_000
ROUTES = frozenset(
    "root echo ignore wait poll stream big error group late silent short half empty".split()  # noqa: SIM905
)


class DemoApp:
    """The application.

    Attributes:
        scopes: Of all requests.
        asked: A request that waits has begun.
        go_on: Lets those go on that wait.
        left: A client that was waited for has left.
        errors: What the server told of errors.
    """

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.asked = trio.Event()
        self.go_on = trio.Event()
        self.left = trio.Event()
        self.errors: list[Exception] = []

    def on_error(self, _: Scope, error: Exception) -> None:
        """Be told of an error."""
        self.errors.append(error)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Do what the path says."""
        self.scopes.append(scope)
        name = scope["path"].strip("/") or "root"
        await getattr(self, name if name in ROUTES else "ignore")(receive, send)

    async def root(self, receive: Receive, send: Send) -> None:
        """Answer at once."""
        await respond(send, b'{"ok":true}')

    async def echo(self, receive: Receive, send: Send) -> None:
        """Answer with the body of the request."""
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left.set()
                return
            body += message["body"]
            if not message["more_body"]:
                break
        await respond(send, body)

    async def ignore(self, receive: Receive, send: Send) -> None:
        """Answer without looking at the body."""
        await respond(send, b"", 404)

    async def wait(self, receive: Receive, send: Send) -> None:
        """Answer when told to, and do not care for the client."""
        self.asked.set()
        await self.go_on.wait()
        await respond(send, b"waited")

    async def poll(self, receive: Receive, send: Send) -> None:
        """Answer when told to, unless the client leaves: a long poll."""
        while (await receive()).get("more_body"):
            pass

        async def until_left() -> None:
            assert (await receive())["type"] == "http.disconnect"
            self.left.set()
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(until_left)
            self.asked.set()
            await self.go_on.wait()
            await respond(send, b"polled")
            nursery.cancel_scope.cancel()

    async def stream(self, receive: Receive, send: Send) -> None:
        """Answer in parts of unknown number."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in (b"one ", b"", b"two ", b"three"):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})

    async def big(self, receive: Receive, send: Send) -> None:
        """Answer with more than the system's buffers take."""
        self.asked.set()
        await respond(send, b"x" * BIG)

    async def error(self, receive: Receive, send: Send) -> None:
        """Fail."""
        raise ValueError("no")

    async def group(self, receive: Receive, send: Send) -> None:
        """Fail in a nursery."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.error, receive, send)

    async def late(self, receive: Receive, send: Send) -> None:
        """Fail after the answer has begun."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ValueError("no")

    async def silent(self, receive: Receive, send: Send) -> None:
        """Do not answer."""

    async def short(self, receive: Receive, send: Send) -> None:
        """Begin to answer."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    async def half(self, receive: Receive, send: Send) -> None:
        """Begin to answer, and go on when told to."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        self.asked.set()
        await self.go_on.wait()
        await send({"type": "http.response.body", "body": b"half"})

    async def empty(self, receive: Receive, send: Send) -> None:
        """Answer without a body."""
        await respond(send, b"", 204)


async def respond(send: Send, body: bytes, status: int = 200) -> None:
    """Send a whole answer."""
    headers = [*JSON, (b"content-length", b"%d" % len(body))] if status != 204 else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


SERVERS: dict[str, Callable[..., Server]] = {"lean": LeanServer, "hypercorn": HypercornServer}


@pytest.fixture
def demo() -> DemoApp:
    """The application."""
    return DemoApp()


class Serving:
    """Starts servers, and ends them with the test.

    Attributes:
        kind: ``lean`` or ``hypercorn``.
        ended: One of them has ended.
    """

    def __init__(self, kind: str, demo: DemoApp, nursery: trio.Nursery) -> None:
        self.kind = kind
        self._demo = demo
        self._nursery = nursery
        self._servers: list[Server] = []
        self.ended = trio.Event()

    async def __call__(self, app: App | None = None, host: str = "127.0.0.1", **options: Any) -> Server:
        """Start a server.

        Args:
            app: What it serves; None: the demo.
            host: Where it listens.
            options: Limits, or an argument of the server.
        """
        names = {"has_lifespan", "on_error"} & options.keys()
        arguments = {"on_error": self._demo.on_error} | {name: options.pop(name) for name in names}
        limits = ServerLimits(**options)
        server = SERVERS[self.kind](app or self._demo, host, 0, limits=limits, **arguments)
        await self._nursery.start(self._run, server)
        self._servers.append(server)
        return server

    async def _run(self, server: Server, *, task_status: trio.TaskStatus[None]) -> None:
        await server.run(task_status=task_status)
        self.ended.set()

    def stop(self) -> None:
        """Stop all."""
        for server in self._servers:
            server.stop(0)


@pytest.fixture(params=SERVERS)
async def serve(
    request: pytest.FixtureRequest, demo: DemoApp, nursery: trio.Nursery
) -> AsyncIterator[Serving]:
    """Start servers: each test runs once under the lean one and once under Hypercorn."""
    serving = Serving(request.param, demo, nursery)
    yield serving
    serving.stop()


@pytest.fixture
async def serve_lean(demo: DemoApp, nursery: trio.Nursery) -> AsyncIterator[Serving]:
    """Start lean servers."""
    serving = Serving("lean", demo, nursery)
    yield serving
    serving.stop()


@pytest.fixture
async def client(serve: Serving) -> AsyncIterator[RawClient]:
    """A connection to a server of either kind, with the demo on it."""
    async with await RawClient.connect((await serve()).port) as connected:
        yield connected


__all__ = ["BIG", "DemoApp", "Message", "Serving"]
