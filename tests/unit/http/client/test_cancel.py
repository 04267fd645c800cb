"""A request may be cancelled anywhere: nothing leaks, and the transport works on."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio

from loadtest_trio.http.client.transport import response_body

if TYPE_CHECKING:
    from tests.unit.http.client.conftest import Eventually, Kind, Open, Peer, Serve, Server

# A socket that is dropped instead of closed fails the test in which it is collected.
pytestmark = pytest.mark.filterwarnings("error::ResourceWarning")

BODY = os.urandom(200_000)
SLOTS = 2


class CancelAtStep(trio.abc.Instrument):
    """Cancel a scope when a task has run its n-th step, that is, while it waits at its n-th checkpoint."""

    def __init__(self, task: trio.lowlevel.Task, scope: trio.CancelScope, step: int) -> None:
        self.task, self.scope, self.steps_left = task, scope, step

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self.task:
            self.steps_left -= 1
            if self.steps_left == 0:
                self.scope.cancel()


async def fetch(
    transport: httpx.AsyncBaseTransport, url: str, method: str = "GET", content: Any = b""
) -> bytes:
    """Send one request and return its body."""
    request = httpx.Request(method, url, content=content, extensions={"timeout": {"pool": 5, "read": 5}})
    return bytes(await response_body(await transport.handle_async_request(request)))


async def cancelled_at(step: int, transport: httpx.AsyncBaseTransport, *request: Any) -> bool:
    """Run a request and cancel it at a step; return False when it was over before that."""
    with trio.CancelScope() as scope:
        instrument = CancelAtStep(trio.lowlevel.current_task(), scope, step)
        trio.lowlevel.add_instrument(instrument)
        try:
            assert await fetch(transport, *request) == BODY
        finally:
            trio.lowlevel.remove_instrument(instrument)
    return scope.cancelled_caught


async def slowly(peer: Peer) -> None:
    """Read in small bites, answer in parts, so that the client waits many times."""
    while True:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n", b"Content-Length: 200000\r\n\r\n")
        for start in range(0, 200_000, 50_000):
            await trio.testing.wait_all_tasks_blocked()
            await peer.send(BODY[start : start + 50_000])


@pytest.mark.parametrize("kind", ["lean", "watched"])
@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("reused", [False, True])
@pytest.mark.parametrize("upload", [b"", bytes(8_000_000)])
async def test_cancelled_at_every_checkpoint(
    serve: Serve,
    open_with: Open,
    server_tls: ssl.SSLContext,
    client_tls: ssl.SSLContext,
    kind: Kind,
    secure: bool,
    reused: bool,
    upload: bytes,
    open_fds: Callable[[], int],
    eventually: Eventually,
) -> None:
    """Cancelled at any checkpoint, on a new or a used connection, a request leaks nothing."""
    server = await serve(slowly, server_tls if secure else None)

    def nothing_is_open() -> bool:
        return server.open_now == 0 and open_fds() <= before

    step, was_cancelled = 0, True
    while was_cancelled:
        step += 1
        before = open_fds()
        transport = open_with(kind, max_connections=SLOTS, ssl_context=client_tls)
        if reused:
            await fetch(transport, server.url())
        was_cancelled = await cancelled_at(step, transport, server.url(), "PUT", upload)
        await everything_works(transport, server)
        await transport.aclose()
        await eventually(nothing_is_open)
    assert step > 5, "the request was meant to pass several checkpoints"


async def everything_works(transport: httpx.AsyncBaseTransport, server: Server) -> None:
    """Use every slot at once: a leaked one would end in PoolTimeout, a dirty connection in a wrong body."""
    async with trio.open_nursery() as nursery:
        for _ in range(SLOTS):
            nursery.start_soon(assert_body, transport, server)


async def assert_body(transport: httpx.AsyncBaseTransport, server: Server) -> None:
    assert await fetch(transport, server.url()) == BODY


async def test_cancelled_while_waiting_for_a_slot(serve: Serve, open_with: Open) -> None:
    """A request that is cancelled in the queue takes no slot with it."""
    server = await serve(slowly)
    transport = open_with(max_connections=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(assert_body, transport, server)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(5):
            with trio.move_on_after(0):
                await fetch(transport, server.url())
                raise AssertionError("there was no slot")
    assert await fetch(transport, server.url()) == BODY
    assert server.connections == 1


async def test_many_cancellations_leak_nothing(serve: Serve, open_with: Open, eventually: Eventually) -> None:
    """Fifty tasks, cancelled at random moments for a while, leave all slots usable."""
    server = await serve(slowly)
    transport = open_with(max_connections=SLOTS)

    async def impatient(number: int) -> None:
        for turn in range(10):
            with trio.move_on_after((number * 7 + turn * 13) % 50 / 1000):
                await fetch(transport, server.url())

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(impatient, number)
    await everything_works(transport, server)
    await transport.aclose()
    await eventually(lambda: server.open_now == 0)


async def test_timeout_of_the_caller_passes_through(serve: Serve, open_with: Open) -> None:
    """A scope around the request is told apart from the transport's own deadlines: no httpx exception."""

    async def handler(peer: Peer) -> None:
        await trio.sleep_forever()

    server = await serve(handler)
    with pytest.raises(trio.TooSlowError), trio.fail_after(0.01):
        await fetch(open_with(idle_timeout=10), server.url())
