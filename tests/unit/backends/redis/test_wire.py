"""A connection on the event loop, over a pair of sockets whose other end the tests hold."""

import socket
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
import redis
import trio

from loadtest_trio.backends.redis.wire import Wire

PING = b"*1\r\n$4\r\nPING\r\n"


@attrs.define
class Connected:
    """Stands in for redis-py's connection."""

    _sock: socket.socket = attrs.field(alias="_sock")

    def disconnect(self) -> None:
        self._sock.close()


@pytest.fixture
def pair() -> Iterator[tuple[Wire, socket.socket]]:
    """A wire with a short timeout, and the server's end."""
    ours, theirs = socket.socketpair()
    wire = Wire(Connected(ours), timeout=0.1)
    with theirs:
        yield wire, theirs
    wire.close()


async def answered(wire: Wire, server: socket.socket, reply: bytes) -> Any:
    """Let the reply lie in the socket before the command is sent."""
    server.sendall(reply)
    return await wire.exchange((b"PING",))


async def test_commands_and_replies(pair: tuple[Wire, socket.socket]) -> None:
    """Text, bytes and numbers go out; bytes, numbers, nothing and lists come in."""
    wire, server = pair
    server.sendall(b"*4\r\n$1\r\na\r\n:7\r\n$-1\r\n*0\r\n")
    assert await wire.exchange((b"X", "é", 5)) == [b"a", 7, None, []]
    assert server.recv(100) == b"*3\r\n$1\r\nX\r\n$2\r\n\xc3\xa9\r\n$1\r\n5\r\n"


async def test_an_error_reply_leaves_the_connection_usable(pair: tuple[Wire, socket.socket]) -> None:
    """It is raised as redis-py's class for it, and the next reply is the next command's."""
    wire, server = pair
    with pytest.raises(redis.exceptions.NoScriptError):
        await answered(wire, server, b"-NOSCRIPT No matching script.\r\n")
    assert await answered(wire, server, b"+PONG\r\n") == b"PONG"


async def test_parts_of_a_reply_each_get_time(pair: tuple[Wire, socket.socket]) -> None:
    """Together they may take longer than one of them."""
    wire, server = pair

    async def trickle() -> None:
        for part in (b"$3\r", b"\na", b"bc", b"\r\n"):
            await trio.sleep(0.06)
            server.sendall(part)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trickle)
        assert await wire.exchange((b"GET", b"k")) == b"abc"


async def test_silence_ends(pair: tuple[Wire, socket.socket]) -> None:
    """A server that does not answer is given up."""
    with pytest.raises(redis.TimeoutError):
        await pair[0].exchange((b"PING",))


async def test_a_trickling_reply_ends(pair: tuple[Wire, socket.socket]) -> None:
    """A reply that keeps arriving byte by byte is given up after the limit for the whole."""
    wire, server = pair
    wire.reply_seconds = 0.2

    async def trickle() -> None:
        server.sendall(b"$100\r\n")
        while True:
            server.sendall(b"x")
            await trio.sleep(0.02)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trickle)
        with pytest.raises(redis.TimeoutError, match="no whole reply within"):
            await wire.exchange((b"PING",))
        nursery.cancel_scope.cancel()


async def test_a_command_larger_than_the_buffers(pair: tuple[Wire, socket.socket]) -> None:
    """It is sent in parts, while the event loop goes on; a server that takes nothing is given up."""
    wire, server = pair
    large = b"x" * 5_000_000
    server.setblocking(False)

    async def take() -> int:
        size = 0
        while size < len(large):
            await trio.lowlevel.wait_readable(server)
            size += len(server.recv(1 << 20))
        server.sendall(b"+OK\r\n")
        return size

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        assert await wire.exchange((b"SET", b"k", large)) == b"OK"
    with pytest.raises(redis.TimeoutError):
        await wire.exchange((b"SET", b"k", large))


async def test_a_closed_connection_is_told(pair: tuple[Wire, socket.socket]) -> None:
    """The server has gone, perhaps in the middle of a reply."""
    wire, server = pair
    server.sendall(b"$10\r\nabc")
    server.shutdown(socket.SHUT_WR)
    with pytest.raises(redis.ConnectionError, match="closed"):
        await wire.exchange((b"PING",))


async def test_a_call_that_has_begun_is_not_cut_short(pair: tuple[Wire, socket.socket]) -> None:
    """Cancelled while it waits, it still hands over the reply: it may be a claim."""
    wire, server = pair
    reply = None

    async def answer() -> None:
        await trio.lowlevel.wait_readable(server)
        assert server.recv(100) == PING
        scope.cancel()
        await trio.sleep(0.05)
        server.sendall(b"+PONG\r\n")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        with trio.CancelScope() as scope:
            reply = await wire.exchange((b"PING",))
    assert reply == b"PONG"
