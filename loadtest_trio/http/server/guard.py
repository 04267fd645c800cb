"""What the lean server does around an application and Hypercorn does not, as an application around it.

It bounds the body in bytes and in time, answers 500 as a problem document and reports the error, announces
the end of a connection while the server drains, and sees the end of an answer through.
"""

import math
from collections.abc import Callable

import trio

from loadtest_trio.http.server.app_errors import (
    AppError,
    ClientDisconnectedError,
    OnError,
    report,
    report_and_strip,
)
from loadtest_trio.http.server.asgi import App, Message, Receive, Scope, Send
from loadtest_trio.http.server.limits import ServerLimits
from loadtest_trio.http.server.refusal import RefusedError, problem

_LINGER_SECONDS = 1.0


class GuardedApp:
    """An application that keeps the limits and raises nothing.

    Args:
        app: The application.
        limits: Of the body, and of the time it takes.
        on_error: Is told the errors of the application.
        closing: Tells whether connections end with their present answer.
        has_lifespan: The application knows the lifespan protocol.
    """

    def __init__(
        self,
        app: App,
        *,
        limits: ServerLimits,
        on_error: OnError,
        closing: Callable[[], bool],
        has_lifespan: bool,
    ) -> None:
        self._app = app
        self._limits = limits
        self._on_error = on_error
        self._closing = closing
        self._has_lifespan = has_lifespan

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or a lifespan; WebSockets are refused."""
        match scope["type"]:
            case "http":
                await self._serve(scope, GuardedExchange(receive, send, self._limits, self._closing))
            case "lifespan" if self._has_lifespan:
                await self._app(scope, receive, send)
            case "lifespan":
                for phase in ("startup", "shutdown"):
                    await receive()
                    await send({"type": f"lifespan.{phase}.complete"})
            case _:
                await send({"type": "websocket.close"})

    async def _serve(self, scope: Scope, exchange: "GuardedExchange") -> None:
        try:
            exchange.check_head(scope)
            await self._app(scope, exchange.receive, exchange.send)
            exchange.check_answered()
        except RefusedError as refusal:
            await exchange.answer(refusal.status, refusal.reason)
        except Exception as error:
            report(self._on_error, scope, error)
            await exchange.answer(500, "the server failed to answer this request")
        except BaseException as error:
            raise report_and_strip(self._on_error, scope, error) from None


class GuardedExchange:
    """The two ends of one request, with the limits kept in between.

    Args:
        receive: The server's.
        send: The server's.
        limits: Of the body, and of the time it takes.
        closing: Tells whether the connection ends with this answer.
    """

    def __init__(
        self, receive: Receive, send: Send, limits: ServerLimits, closing: Callable[[], bool]
    ) -> None:
        self._receive = receive
        self._send = send
        self._limits = limits
        self._closing = closing
        self._body_left = limits.body_bytes
        self._body_complete = self._disconnected = self._begun = self._complete = False
        self._deadline = math.inf
        self._refusal: RefusedError | None = None
        self._start: Message | None = None

    def check_head(self, scope: Scope) -> None:
        """Look at what the head tells of the body, and at the host.

        Raises:
            RefusedError: The body is too long, or its length is told in two ways; the host is no name.
        """
        host = next((value for name, value in scope["headers"] if name == b"host"), b"")
        try:
            host.partition(b":")[0].decode("latin-1").encode("idna")
        except UnicodeError:  # frameworks encode it so before they look at the request, and fail
            raise RefusedError(400, "the Host header is not one host") from None
        lengths = [int(value) for name, value in scope["headers"] if name == b"content-length"]
        chunked = any(name == b"transfer-encoding" for name, _ in scope["headers"])
        if lengths and chunked:
            raise RefusedError(400, "Content-Length and Transfer-Encoding contradict each other")
        if any(length > self._body_left for length in lengths):
            raise self._too_long()
        self._body_complete = not (chunked or any(lengths))

    def check_answered(self) -> None:
        """Look at what the application left behind when it returned.

        Raises:
            RefusedError: Its body was refused and it has not answered.
            AppError: It has not answered, or not to the end.
        """
        if self._refusal and not self._begun:
            raise self._refusal
        if not (self._complete or self._disconnected):
            raise AppError("the application returned without a whole answer")

    async def answer(self, status: int, detail: str) -> None:
        """Answer in place of the application, if it has not begun to answer and the client is there."""
        if self._begun or self._disconnected:
            return
        self._refusal = None
        with trio.move_on_after(_LINGER_SECONDS):  # closing a socket with unread bytes may destroy the answer
            while not (self._body_complete or self._disconnected):
                self._look_at(await self._receive())
        for message in problem(status, detail):
            await self.send(message)

    async def receive(self) -> Message:
        """Return the next part of the body; after the last, wait until the client leaves."""
        try:
            return await self._next_message()
        except RefusedError as refusal:
            self._refusal = refusal
            return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a part of the answer; nothing leaves before the first part of the body.

        Raises:
            ClientDisconnectedError: The client was refused.
        """
        if self._refusal:
            raise ClientDisconnectedError("the client was refused")
        kind = message["type"]
        if kind == "http.response.start" and not self._begun:
            self._start = message
            return
        if kind == "http.response.body" and self._start is not None:
            start, self._start, self._begun = self._start, None, True
            if self._closing() or not self._body_complete:
                start = {**start, "headers": [*start.get("headers", ()), (b"connection", b"close")]}
            await self._send(start)
        if kind != "http.response.body" or message.get("more_body", False):
            await self._send(message)
            return
        self._complete = True
        # Before Hypercorn closes a connection it tells the application that the client has left. Quart then
        # cancels its tasks, among them the one that is just closing the connection, which would stay open.
        with trio.move_on_after(self._limits.write_seconds, shield=True):
            await self._send(message)

    async def _next_message(self) -> Message:
        if self._refusal:
            raise self._refusal
        if self._body_complete:
            return self._look_at(await self._receive())
        seconds = self._limits.body_seconds
        self._deadline = min(self._deadline, trio.current_time() + seconds)
        message: Message | None = None
        with trio.move_on_at(self._deadline):
            message = self._look_at(await self._receive())
        if message is None:
            raise RefusedError(408, f"the body took longer than {seconds} s")
        if self._body_left < 0:
            raise self._too_long()
        return message

    def _look_at(self, message: Message) -> Message:
        """Note what a message tells, and return it."""
        if message["type"] == "http.request":
            self._body_complete = not message.get("more_body", False)
            self._body_left -= len(message.get("body", b""))
        else:
            self._disconnected = True
        return message

    def _too_long(self) -> RefusedError:
        return RefusedError(413, f"the body is longer than {self._limits.body_bytes} bytes")
