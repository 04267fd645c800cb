"""A user's HTTP client: one keep-alive connection, and one selector that watches the sockets of all users.

    user ──► Wire.exchange ──► send ──► sleeps ◄── rescheduled with the reply ── SocketWatch ◄── selector
                                                                            └── deadlines, twice a second

Why not the transport under the S3 client: it shares a pool of connections and waits for each socket through
Trio, which arms and disarms the kernel's poll a request. Here a socket is registered once in its life, and
one turn of the loop takes in all replies that have arrived. The parser, TLS and connecting are the same.

Invariants:
    * A connection is kept only between a complete reply and the next request; whatever ends an exchange
      early (error, deadline, cancellation) closes it.
    * A request is sent twice only when it is safe to repeat, the connection was a used one, and no byte of
      a reply came: the server has closed it while it was idle (RFC 9112, 9.3.1).
"""

import selectors
from math import inf

import httpx
import outcome
import trio
from trio.lowlevel import Abort, RaiseCancelT, current_task, reschedule, wait_task_rescheduled

from loadtest_trio.http.client.http1 import ResponseParser
from loadtest_trio.http.client.request_timeout import RequestTimeout
from loadtest_trio.http.streams import Stream
from loadtest_trio.users.origin import Origin, connect
from loadtest_trio.users.wire import ExchangeError, Reply

_SAFE = frozenset(("GET", "HEAD", "PUT", "DELETE", "OPTIONS"))
_RECEIVE_BYTES = 65536
_MOST_BODY_BYTES = 64 * 1024 * 1024
_MOST_FRAMING_BYTES = 256 * 1024
_PERIOD_SECONDS = 0.5


class SocketWatch:
    """One selector for the sockets of all users, and their deadlines.

    Attributes:
        scratch: What is received lands here and is parsed before anybody else runs.
        timer: For streams, which ask for one: deadlines are kept here.
        now: Trio's time, half a second ago at most: exact enough for deadlines.
    """

    def __init__(self) -> None:
        self.scratch = memoryview(bytearray(_RECEIVE_BYTES))
        self.timer = RequestTimeout({}, inf)
        self.now = trio.current_time()
        self._selector = selectors.DefaultSelector()
        self._wires: dict[int, HttpWire] = {}

    def add(self, fd: int, wire: "HttpWire") -> None:
        """Watch a socket until `discard`."""
        self._selector.register(fd, selectors.EVENT_READ)
        self._wires[fd] = wire

    def discard(self, fd: int) -> None:
        """Watch it no more; to be called before it is closed."""
        self._selector.unregister(fd)
        del self._wires[fd]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hand out what arrives, until cancelled; outlives every exchange."""
        fd = self._selector.fileno()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._expire)
            task_status.started()
            while True:
                await trio.lowlevel.wait_readable(fd)
                self._receive()

    def close(self) -> None:
        """Close the selector, after every wire."""
        self._selector.close()

    def _receive(self) -> None:
        wires = self._wires
        for key, _ in self._selector.select(0):
            wire = wires.get(key.fd)
            if wire is not None:
                wire.on_readable()

    async def _expire(self) -> None:
        while True:
            await trio.sleep(_PERIOD_SECONDS)
            now = self.now = trio.current_time()
            for wire in [each for each in self._wires.values() if each.deadline <= now]:
                wire.expire()


class HttpWire:
    """One user's connection; opened by the first request, and anew whenever it was closed.

    Args:
        origin: Where to.
        watch: Running.

    Attributes:
        deadline: When the request under way has taken too long, in Trio's clock.
    """

    __slots__ = (
        "_answered",
        "_error",
        "_fd",
        "_idle",
        "_origin",
        "_parser",
        "_stream",
        "_task",
        "_watch",
        "deadline",
    )

    def __init__(self, origin: Origin, watch: SocketWatch) -> None:
        self.deadline = inf
        self._origin = origin
        self._watch = watch
        self._fd = -1
        self._stream: Stream | None = None
        self._parser: ResponseParser | None = None  # of the exchange under way
        self._task: trio.lowlevel.Task | None = None  # that waits for it
        self._answered = False  # a byte of its reply has arrived
        self._idle = 0  # bytes of it since its body last grew
        self._error: ExchangeError | None = None  # that ended it

    async def exchange(self, method: str, target: bytes, headers: bytes, body: bytes) -> Reply:
        """See `Wire.exchange`."""
        head = b"%b %b HTTP/1.1\r\n%b\r\n" % (method.encode(), target, headers)
        if self._stream is not None:
            try:
                return await self._use(self._stream, method, head, body)
            except ExchangeError as error:
                if error.kind != "closed" or method not in _SAFE or self._answered:
                    raise
        return await self._use(await self._connect(), method, head, body)

    def close(self) -> None:
        """See `Wire.close`; never waits."""
        stream, self._stream = self._stream, None
        if stream is not None:
            self._watch.discard(self._fd)
            stream.wake()  # a user that is still sending finds it closed
            stream.close()

    def expire(self) -> None:
        """End the exchange under way: its time is over."""
        self._end(ExchangeError("timeout", f"no reply within {self._origin.timeout:g} s"))

    def on_readable(self) -> None:
        """Take in what has arrived; wake the user when its reply is complete, or will never be."""
        stream, parser = self._stream, self._parser
        try:
            while stream is not None:
                count = stream.receive_nowait(self._watch.scratch)
                if parser is None:  # idle: the server hangs up, or says what nobody asked for
                    return self.close()
                if self._take(parser, count):
                    return self._end(None)
        except BlockingIOError:
            return None
        except OSError as error:
            if parser is None:  # the reply before was complete: its user may not have run yet
                return self.close()
            return self._end(ExchangeError("closed", error.strerror or str(error)))
        except httpx.TransportError as error:
            return self._end(ExchangeError("protocol" if count else "closed", str(error)))

    def _take(self, parser: ResponseParser, count: int) -> bool:
        """Parse what was received, 0 for the end of the connection; return whether the reply is complete."""
        if count:
            self._answered = True
            before = len(parser.body)
            parser.feed(self._watch.scratch[:count])
            if len(parser.body) > _MOST_BODY_BYTES:
                raise httpx.RemoteProtocolError("the body is over 64 MiB")
            self._idle = self._idle + count if len(parser.body) == before else 0
            if self._idle > _MOST_FRAMING_BYTES:
                raise httpx.RemoteProtocolError("over 256 KiB of heads or trailers, and no body")
        else:
            parser.feed_end()
        return parser.complete

    def _end(self, error: ExchangeError | None) -> None:
        """End the exchange under way, if there is one: wake its user."""
        parser, self._parser = self._parser, None
        self.deadline, self._error = inf, error
        if parser is not None:
            parser.close()
        if error is not None or parser is None or not parser.keep_alive:
            self.close()
        task, self._task = self._task, None
        if task is not None:
            reschedule(task, outcome.Value(None) if error is None else outcome.Error(error))

    async def _use(self, stream: Stream, method: str, head: bytes, body: bytes) -> Reply:
        parser = self._parser = ResponseParser(bodiless=method == "HEAD")
        self._answered, self._idle = False, 0
        self.deadline = self._watch.now + self._origin.timeout
        try:
            await stream.send(head, body, self._watch.timer)
            if self._parser is not None:  # an early refusal may come while the body is being sent
                await self._reply()
        except (OSError, trio.ClosedResourceError) as error:
            if self._parser is not None:
                self._end(ExchangeError("closed", str(error)))
        except BaseException:  # cancelled, or the error that `_end` woke this task with
            if self._parser is not None:
                self._end(ExchangeError("closed", "cancelled"))
            raise
        if self._error is not None:
            raise self._error
        return Reply(parser.status, parser.headers, parser.body)

    async def _reply(self) -> None:
        self._task = current_task()
        await wait_task_rescheduled(self._abort)

    def _abort(self, _: RaiseCancelT) -> Abort:
        self._task = None
        return Abort.SUCCEEDED

    async def _connect(self) -> Stream:
        self._stream = stream = await connect(self._origin)
        self._fd = stream.fileno()
        self._watch.add(self._fd, self)
        return stream
