"""A client's socket: a request that crosses the decision to close is not lost."""

import socket

import pytest
import trio
import trio.testing

from loadtest_trio.http.server.app_errors import ignore_error
from loadtest_trio.http.server.asgi import Receive, Scope, Send
from loadtest_trio.http.server.channel import Channel
from loadtest_trio.http.server.limits import ServerLimits
from loadtest_trio.http.server.shared import NEVER, Shared


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Be an application that is never called."""


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n"])
async def test_request_that_crosses_the_wake_is_taken(nursery: trio.Nursery, sent: bytes) -> None:
    """Woken to close, a channel looks once more whether a request has just arrived."""
    client, server = socket.socketpair()
    server.setblocking(False)
    channel = Channel(server, ("client", 1), Shared(nothing, ServerLimits(), ignore_error, ("server", 2)))
    begun: list[bool] = []

    async def wait() -> None:
        begun.append(await channel.wait_for_request())

    with client:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        assert channel.idle
        client.sendall(sent)
        channel.wake()
        await trio.testing.wait_all_tasks_blocked()
        assert begun == [bool(sent)]
        assert (channel.buffer, channel.idle, channel.read_deadline) == (sent, False, NEVER)
        channel.close()
