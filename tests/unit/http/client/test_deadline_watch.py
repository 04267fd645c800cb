"""The watch over deadlines: ends whose time is up and nobody else, and may be missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
import trio
from trio.testing import MockClock

from loadtest_trio.http.client.deadline_watch import DeadlineWatch
from loadtest_trio.http.client.transport import LeanTransport, response_body

if TYPE_CHECKING:
    from tests.unit.http.client.conftest import Peer, Serve

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


async def fetch(transport: LeanTransport, url: str) -> bytes:
    """Return the body."""
    return bytes(await response_body(await transport.handle_async_request(httpx.Request("GET", url))))


async def by_path(peer: Peer) -> None:
    """Answer ``/slow`` in two halves 20 s apart, ``/dead`` never, anything else at once."""
    while True:
        head, _ = await peer.request()
        if b" /dead " in head:
            await trio.sleep_forever()
        await peer.send(ANSWER + b"o")
        if b" /slow " in head:
            await trio.sleep(20)
        await peer.send(b"k")


async def test_only_late_requests_are_ended(serve: Serve, virtual_clock: MockClock) -> None:
    """A dead request ends at its idle time and half a second at most; a slow one beside it goes on."""
    server, watch = await serve(by_path), DeadlineWatch()
    transport = LeanTransport(max_connections=2, idle_timeout=30, watch=watch)
    answers: list[bytes] = []

    async def slow() -> None:
        answers.extend([await fetch(transport, server.url("/slow")) for _ in range(3)])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.run)
        async with trio.open_nursery() as requests:
            requests.start_soon(slow)
            await trio.testing.wait_all_tasks_blocked()
            began = trio.current_time()
            with pytest.raises(httpx.ReadTimeout, match="no read within 30"):
                await fetch(transport, server.url("/dead"))
            assert 30 <= trio.current_time() - began < 30.7
        nursery.cancel_scope.cancel()
    assert answers == [b"ok"] * 3
    await transport.aclose()


async def test_requests_keep_their_own_deadline_without_a_watch(
    serve: Serve, virtual_clock: MockClock
) -> None:
    """Before the watch runs, and after it has ended, a dead request ends all the same."""
    server, watch = await serve(by_path), DeadlineWatch()
    transport = LeanTransport(max_connections=2, idle_timeout=3, watch=watch)
    with pytest.raises(httpx.ReadTimeout):
        await fetch(transport, server.url("/dead"))
    with trio.move_on_after(5):
        await watch.run()
    assert not watch.running
    with pytest.raises(httpx.ReadTimeout):
        await fetch(transport, server.url("/dead"))
    await transport.aclose()
