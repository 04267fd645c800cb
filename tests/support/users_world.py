"""A small world for users: services with known behaviour, in memory and in virtual time, or on loopback."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import orjson
import trio

from loadtest_trio.users.clock import Sleepers
from loadtest_trio.users.http_wire import SocketWatch
from loadtest_trio.users.tally import Recorder
from loadtest_trio.users.user import Surroundings, User
from loadtest_trio.users.wire import ExchangeError, Reply

Answer = Callable[[str, str, bytes], Awaitable[tuple[int, Any]]]
"""Takes method, target and body; returns status and JSON."""


class MemoryWire:
    """A wire whose service is a function; an `ExchangeError` that it raises is a request without a reply."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.closed = False

    async def exchange(self, method: str, target: bytes, headers: bytes, body: bytes) -> Reply:
        status, content = await self._answer(method, target.decode(), body)
        await trio.lowlevel.checkpoint()
        if status == 0:
            raise ExchangeError("closed", "by the test")
        return Reply(status, [], orjson.dumps(content))

    def close(self) -> None:
        self.closed = True


@asynccontextmanager
async def surroundings(**options: str) -> AsyncIterator[Surroundings]:
    """What users share, with somebody who wakes them."""
    async with trio.open_nursery() as nursery:
        sleepers = Sleepers()
        await nursery.start(sleepers.run)
        yield Surroundings(Recorder(), sleepers, b"Host: test\r\n", options)
        nursery.cancel_scope.cancel()


def user(around: Surroundings, answer: Answer, number: int = 0) -> User:
    """A user who is due now, of a service in memory."""
    return User(number, MemoryWire(answer), around, trio.current_time(), number)


@asynccontextmanager
async def socket_watch() -> AsyncIterator[SocketWatch]:
    """A running watch over the sockets of users."""
    async with trio.open_nursery() as nursery:
        watch = SocketWatch()
        await nursery.start(watch.run)
        yield watch
        nursery.cancel_scope.cancel()
    watch.close()


@asynccontextmanager
async def raw_server(serve: Callable[[trio.SocketStream], Awaitable[None]]) -> AsyncIterator[str]:
    """A loopback server that hands each connection to a function; yields its address."""
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


class Nothing:
    """A target of which nothing is known."""

    async def read(self) -> dict[str, Any]:
        """See `Target.read`."""
        await trio.lowlevel.checkpoint()
        return {}
