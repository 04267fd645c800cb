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

import errno
import os
import re
import selectors
import socket
import ssl
from collections.abc import Callable
from itertools import cycle
from math import inf
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import attrs
import httpx
import outcome
import trio
from trio.lowlevel import Abort, RaiseCancelT, current_task, reschedule, wait_task_rescheduled

from loadtest_trio.errors import Fault, LoadtestError
from loadtest_trio.http.client.http1 import ResponseParser
from loadtest_trio.http.client.request_timeout import RequestTimeout
from loadtest_trio.http.streams import Stream, TcpStream
from loadtest_trio.http.tls import open_tls
from loadtest_trio.users.durations import bad_flag

_SAFE = frozenset(("GET", "HEAD", "PUT", "DELETE", "OPTIONS"))
_RECEIVE_BYTES = 65536
_MOST_BODY_BYTES = 64 * 1024 * 1024
_MOST_FRAMING_BYTES = 256 * 1024
_PERIOD_SECONDS = 0.5
_CREDENTIALS = re.compile(r"((?:[A-Za-z][A-Za-z0-9+.-]*://)?)([^/?#]*)@(.*)", re.DOTALL)
_EXPLAINED = {
    errno.EADDRNOTAVAIL: ("no ports", "no source port is free: see net.ipv4.ip_local_port_range"),
    errno.EMFILE: ("no descriptors", "too many open files: raise ulimit -n"),
    errno.ENFILE: ("no descriptors", "too many open files in the system"),
}


class ExchangeError(LoadtestError):
    """A request got no complete reply.

    Attributes:
        kind: Why, in a word that statistics count by: connect, timeout, closed, protocol, no ports, no
            descriptors.
    """

    fault = Fault.BACKEND
    retryable = True

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind


@attrs.frozen(slots=True)
class Origin:
    """Where requests go.

    Attributes:
        host: Name or address.
        port: TCP port.
        address: Returns address family and address of the next connection: each of the host's in turn.
        tls: For HTTPS; None: plain.
        timeout: Seconds that a request may take.
        addresses: How many the host has.
    """

    host: str
    port: int
    address: Callable[[], tuple[int, Any]]
    tls: ssl.SSLContext | None = None
    timeout: float = 60.0
    addresses: int = 1


class Reply:
    """A complete reply.

    A plain class: one of attrs' frozen ones takes a microsecond more to make, of some forty a request.

    Attributes:
        status: The status code.
        headers: Name and value as received.
        body: All of it.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes | bytearray) -> None:
        self.status, self.headers, self.body = status, headers, body


class Wire(Protocol):
    """Carries one user's requests, one after the other."""

    async def exchange(self, method: str, target: bytes, headers: bytes, body: bytes) -> Reply:
        """Send a request and return its reply.

        Args:
            method: Such as ``GET``.
            target: Path and query, quoted.
            headers: Complete lines, each with its line end; Host and Content-Length among them.
            body: May be empty.

        Raises:
            ExchangeError: There was no complete reply.
        """
        ...

    def close(self) -> None:
        """Close the connection, if there is one."""


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
        origin = self._origin
        try:
            with trio.fail_after(origin.timeout):
                sock = await _reached(origin)
                tls = origin.tls
                stream = TcpStream(sock) if tls is None else await open_tls(sock, tls, origin.host)
        except trio.TooSlowError:
            raise ExchangeError("timeout", f"no connection within {origin.timeout:g} s") from None
        except OSError as error:
            kind, detail = _EXPLAINED.get(error.errno or 0, ("connect", error.strerror or str(error)))
            raise ExchangeError(kind, detail) from error
        self._stream, self._fd = stream, stream.fileno()
        self._watch.add(self._fd, self)
        return stream


async def _reached(origin: Origin) -> socket.socket:
    """Return a socket that is connected to the next of a host's addresses that answers.

    ``localhost`` is often two addresses of which a service listens on one.

    Raises:
        OSError: None does; the last one's error.
        trio.TooSlowError: The last one did not within the time that is left.
    """
    for left in range(origin.addresses, 0, -1):
        # A fair share of the time, so that an address that swallows packets leaves some to the next.
        share = (trio.current_effective_deadline() - trio.current_time()) / left
        with trio.move_on_after(max(0.0, share)):
            try:
                return await _connected(*origin.address())
            except OSError as error:
                if left == 1 or error.errno in _EXPLAINED:
                    raise
    raise trio.TooSlowError


async def _connected(family: int, address: tuple[Any, ...]) -> socket.socket:
    """Return a non-blocking socket that is connected to an address.

    Raises:
        OSError: Nobody listens, or this machine has run out of something.
    """
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number = sock.connect_ex(address)
        if number == errno.EINPROGRESS:
            await trio.lowlevel.wait_writable(sock)
            number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise OSError(number, os.strerror(number))
    except BaseException:
        sock.close()
        raise
    return sock


def parse_url(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of a URL; without a scheme it is HTTP.

    Raises:
        ConfigurationError: It is no HTTP URL.
    """
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        usual = {"http": 80, "https": 443}[parts.scheme]
        port = usual if parts.port is None else parts.port
        if not (parts.hostname and port):
            raise KeyError(url)
        parts.hostname.encode("idna")  # as the look-up does, which fails where a label is empty or too long
    except (KeyError, ValueError):
        shown = split_credentials(url)[0]
        raise bad_flag("--host", shown, "an address such as http://127.0.0.1:8000") from None
    return parts.scheme, parts.hostname, port


def split_credentials(url: str) -> tuple[str, str]:
    """Return a URL without the user name and the password in it, and those, unquoted."""
    found = _CREDENTIALS.fullmatch(url)
    return (found[1] + found[3], unquote(found[2])) if found else (url, "")


async def resolve(url: str, *, timeout: float = 60.0, insecure: bool = False) -> Origin:
    """Look up the host of a URL, once: thousands of users that ask a name server would test that.

    Args:
        url: Such as ``http://127.0.0.1:8000``; a path is ignored.
        timeout: Seconds that a request may take.
        insecure: Do not check the certificate.

    Raises:
        ConfigurationError: It is no HTTP URL, or its host is unknown.
    """
    scheme, host, port = parse_url(url)
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise bad_flag("--host", url, f"a host that is known: {error.strerror}") from None
    tls = None
    if scheme == "https":
        tls = httpx.create_ssl_context(verify=not insecure)
        tls.set_alpn_protocols(["http/1.1"])
    addresses = list(dict.fromkeys((each[0], each[4]) for each in found))
    return Origin(host, port, cycle(addresses).__next__, tls, timeout, len(addresses))
