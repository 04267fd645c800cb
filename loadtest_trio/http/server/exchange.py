"""One request and its answer: ASGI's `receive` and `send` on a channel."""

import contextlib

import trio

from loadtest_trio.http.server.app_errors import (
    AppError,
    ClientDisconnectedError,
    report,
    report_and_strip,
)
from loadtest_trio.http.server.asgi import Message, Scope
from loadtest_trio.http.server.body_reader import BodyReader
from loadtest_trio.http.server.channel import Channel, SlowClientError
from loadtest_trio.http.server.refusal import RefusedError, problem
from loadtest_trio.http.server.request import Request
from loadtest_trio.http.server.response import Response, whole_response

_ASGI = {"version": "3.0", "spec_version": "2.4"}
_DISCONNECT: Message = {"type": "http.disconnect"}
# While a client waits for an answer it may send its next requests. Up to so many bytes of them are read, to
# see behind them whether it is still there; more wait in the socket.
_MOST_READ_AHEAD = 64 * 1024


class Exchange:
    """A request that the application answers.

    Args:
        channel: Where it came from.
        request: Its head.
    """

    __slots__ = (
        "_body",
        "_body_given",
        "_channel",
        "_disconnected",
        "_receiving",
        "_refusal",
        "_request",
        "_response",
        "_shared",
        "_whole_body",
    )

    def __init__(self, channel: Channel, request: Request) -> None:
        self._channel = channel
        self._shared = channel.shared
        self._request = request
        block, buffer = request.block, channel.buffer
        self._response = Response(request.method, block.version)
        self._whole_body = b""
        self._body: BodyReader | None = None  # of a body that has not arrived whole together with its head
        if block.chunked or block.length > len(buffer):
            self._body = BodyReader(channel, block)
        elif block.length:
            self._whole_body, channel.buffer = buffer[: block.length], buffer[block.length :]
        self._body_given = self._disconnected = self._receiving = False
        self._refusal: RefusedError | None = None

    async def run(self) -> bool:
        """Let the application answer.

        Returns:
            Whether the connection can take another request.

        Raises:
            RefusedError: The body cannot be accepted, and the application has not begun to answer.
        """
        scope = self._scope()
        try:
            await self._shared.app(scope, self.receive, self.send)
        except Exception as error:
            await self._app_failed(scope, error)
        except BaseException as error:
            raise self._cancelled(scope, error) from None
        if not self._response.complete:
            await self._end_without_answer(scope)
        if self._response.close or self._shared.closing or self._channel.broken:
            return False
        return self._body is None or self._body.drop()

    @property
    def request_has_arrived(self) -> bool:
        """The whole request was received."""
        return self._body is None or self._body.has_arrived

    async def receive(self) -> Message:
        """Return the next part of the body, and once there is none wait until the client leaves."""
        if self._body_given:
            await self._until_client_leaves()
        elif self._body is None:
            self._body_given = True
            return {"type": "http.request", "body": self._whole_body, "more_body": False}
        elif not self._disconnected:
            try:
                data = await self._body.next_part(ask=not self._response.begun)
            except RefusedError as refusal:
                self._refusal = refusal
            except ClientDisconnectedError:
                pass
            else:
                self._body_given = self._body.complete
                return {"type": "http.request", "body": data, "more_body": not self._body_given}
        self._disconnected = True
        return _DISCONNECT

    async def send(self, message: Message) -> None:
        """Take a part of the answer; nothing leaves before the first part of the body.

        Raises:
            ClientDisconnectedError: The client is gone, or its body was refused.
            AppError: ASGI or HTTP forbid this message.
        """
        response, channel = self._response, self._channel
        kind = message["type"]
        if kind == "http.response.start":
            response.start(message)
            return
        if kind != "http.response.body":
            raise AppError(f"this server does not know the message {kind!r}")
        if channel.broken or self._refusal:
            raise ClientDisconnectedError("the client is gone")
        more = message.get("more_body", False)
        close = self._shared.closing or not self._request.block.keep_alive
        if self._body is not None and not self._body.has_arrived:
            close = True
        data = response.encode(message.get("body", b""), more, self._shared.date, close)
        sent = channel.send_nowait(data)
        if sent < len(data):
            await channel.send(memoryview(data)[sent:])
        elif more:
            await trio.lowlevel.checkpoint()
        if self._receiving and not more:
            channel.wake()

    def _scope(self) -> Scope:
        request, shared = self._request, self._shared
        scope: Scope = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": request.block.version,
            "method": request.method,
            "scheme": "http",
            "path": request.path,
            "raw_path": request.raw_path,
            "query_string": request.query,
            "root_path": "",
            "headers": request.block.headers.copy(),
            "client": self._channel.client,
            "server": shared.address,
        }
        if shared.state:
            scope["state"] = shared.state.copy()
        return scope

    async def _until_client_leaves(self) -> None:
        """Wait until the client leaves or has its answer."""
        channel = self._channel
        if self._response.complete or self._disconnected or channel.broken:
            return
        self._receiving = True
        try:
            while len(channel.buffer) < _MOST_READ_AHEAD:
                await channel.receive()
            await trio.sleep_forever()
        except (ClientDisconnectedError, SlowClientError):
            return
        finally:
            self._receiving = False

    async def _end_without_answer(self, scope: Scope) -> None:
        """Settle a request that the application left without a whole answer."""
        if self._refusal and not self._response.begun:
            raise self._refusal
        if not (self._disconnected or self._channel.broken):
            await self._app_failed(scope, AppError("the application returned without a whole answer"))
        if self._response.begun and not self._response.complete:
            self._channel.broken = True
        self._response.close = True

    async def _app_failed(self, scope: Scope, error: Exception) -> None:
        """Report an error of the application; answer 500 unless an answer has begun."""
        report(self._shared.on_error, scope, error)
        if self._response.begun and not self._response.complete:
            self._channel.broken = True
        if self._response.begun or self._disconnected or self._channel.broken:
            return
        self._response = Response(self._request.method, self._request.block.version)
        with contextlib.suppress(ClientDisconnectedError):
            for message in problem(500, "the server failed to answer this request"):
                await self.send(message)

    def _cancelled(self, scope: Scope, error: BaseException) -> BaseException:
        """Return what to raise when the application was cancelled; tell the client while that is possible."""
        if not self._response.begun and not self._channel.broken:
            data = whole_response(problem(503, "the server is shutting down"), self._shared.date)
            with contextlib.suppress(ClientDisconnectedError):
                self._channel.send_nowait(data)
        elif not self._response.complete:
            self._channel.broken = True
        return report_and_strip(self._shared.on_error, scope, error)
