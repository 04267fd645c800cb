"""The end of a server, of a client and of a task: in order, and without leaving anything behind."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import psutil
import pytest
import trio
import trio.testing

from loadtest_trio.http.server import HypercornServer, LeanServer, Server
from loadtest_trio.http.server.app_errors import AppError
from loadtest_trio.http.server.asgi import App, Message, Receive, Scope, Send
from tests.support.cancellation import Scene, cancel_everywhere
from tests.support.raw_client import RawClient

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.integration.http.conftest import DemoApp, Serving

HEAD = b" HTTP/1.1\r\nHost: test\r\n"
SERVERS = [LeanServer, HypercornServer]


async def ask_to_wait(client: RawClient, demo: DemoApp) -> None:
    """Send a request that waits, and wait until it does."""
    await client.send(b"GET /wait" + HEAD + b"\r\n")
    await demo.asked.wait()


async def test_idle_connections_close_at_once(serve: Serving) -> None:
    """A server that drains does not wait for those who only keep a connection open."""
    server = await serve()
    async with await RawClient.connect(server.port) as used, await RawClient.connect(server.port) as new:
        assert (await used.get()).status == 200
        await trio.testing.wait_all_tasks_blocked()
        server.stop(60)
        assert await used.is_closed()
        assert await new.is_closed()
        with pytest.raises(OSError, match="connect"):
            await RawClient.connect(server.port)


async def test_requests_in_work_are_answered(serve: Serving, demo: DemoApp) -> None:
    """A request in work gets its answer, which says that the connection ends."""
    server = await serve()
    async with await RawClient.connect(server.port) as client:
        await ask_to_wait(client, demo)
        server.stop(60)
        await trio.testing.wait_all_tasks_blocked()
        demo.go_on.set()
        answer = await client.answer()
        assert (answer.body, answer.headers[b"connection"]) == (b"waited", b"close")
        assert await client.is_closed()


async def test_request_that_is_still_arriving_is_answered(serve_lean: Serving) -> None:
    """So does one of which only a part has arrived."""
    server = await serve_lean()
    async with await RawClient.connect(server.port) as client:
        await client.send(b"POST /echo" + HEAD)
        server.stop(60)
        await client.send(b"Content-Length: 5\r\n\r\nhe", b"llo")
        assert (await client.answer()).body == b"hello"
        assert await client.is_closed()


async def test_client_in_the_backlog_is_answered(
    serve_lean: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To a client that the system has accepted, the server has: it is not turned away by a stop."""

    async def too_busy_to_accept(*_: object) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(LeanServer, "_accept", too_busy_to_accept)
    server = await serve_lean()
    async with await RawClient.connect(server.port) as client:
        await client.send(b"GET /" + HEAD + b"\r\n")
        server.stop(60)
        assert (await client.answer()).status == 200


async def test_request_that_crosses_the_stop_is_answered(serve_lean: Serving) -> None:
    """A request that the system has, but not the server, is answered."""
    server = await serve_lean()
    async with await RawClient.connect(server.port) as used:
        assert (await used.get()).status == 200
        await trio.testing.wait_all_tasks_blocked()
        new = await RawClient.connect(server.port)
        for client in (used, new):
            os.write(
                client.stream.socket.fileno(), b"GET /" + HEAD + b"\r\n"
            )  # without a turn for the server
        server.stop(60)
        for client in (used, new):
            assert (await client.answer()).headers[b"connection"] == b"close"
        await new.stream.aclose()


async def test_grace_has_an_end(serve: Serving, demo: DemoApp) -> None:
    """When the grace is over, requests are cancelled; the lean server still tells their clients."""
    server = await serve()
    async with await RawClient.connect(server.port) as client:
        await ask_to_wait(client, demo)
        server.stop(0.2)
        if isinstance(server, LeanServer):
            answer = await client.answer()
            assert (answer.status, json.loads(answer.body)["status"]) == (503, 503)
        assert await client.is_closed()
    assert demo.errors == []


async def test_answer_that_the_end_of_the_grace_cuts_off_ends_with_a_reset(
    serve_lean: Serving, demo: DemoApp
) -> None:
    """A client that reads to the end of the connection does not take half an answer for a whole one."""
    server = await serve_lean()
    async with await RawClient.connect(server.port) as client:
        await client.send(b"GET /half HTTP/1.0\r\n\r\n")
        await demo.asked.wait()
        server.stop(0)
        with pytest.raises(trio.BrokenResourceError):
            await client.answer()


async def test_client_that_reads_nothing_does_not_hold_up_the_end(
    serve: Serving, demo: DemoApp, autojump_clock: MockClock
) -> None:
    """The end of the grace cuts off an answer that is not taken, whatever the limit of writing."""
    server = await serve(write_seconds=1000)
    async with await RawClient.connect(server.port, patience=60) as client:
        await client.stream.send_all(b"GET /big" + HEAD + b"\r\n")
        await demo.asked.wait()
        await trio.sleep(1)
        begun = trio.current_time()
        server.stop(2)
        with trio.fail_after(10):
            await serve.ended.wait()
        assert trio.current_time() - begun <= 2.5
    assert demo.errors == []


async def test_second_stop_shortens_the_grace(serve_lean: Serving, demo: DemoApp) -> None:
    """Whoever is in a hurry after all can say so."""
    server = await serve_lean()
    async with await RawClient.connect(server.port) as client:
        await ask_to_wait(client, demo)
        server.stop(60)
        await trio.testing.wait_all_tasks_blocked()
        server.stop(0)
        assert (await client.answer()).status == 503


@pytest.mark.parametrize("kind", SERVERS)
async def test_server_that_was_stopped_before_it_ran(kind: type[LeanServer | HypercornServer]) -> None:
    """Stopped early, `run` ends at once, and the port is free."""
    server: Server = kind(DemoLike(), "127.0.0.1", 0)
    server.stop(0)
    with trio.fail_after(5):
        await server.run()
    kind(DemoLike(), "127.0.0.1", server.port).close()


@pytest.mark.parametrize("path", [b"/poll", b"/echo"])
async def test_application_hears_that_the_client_left(serve: Serving, demo: DemoApp, path: bytes) -> None:
    """A long poll hears of it while it waits, and a request in the middle of its body."""
    async with await RawClient.connect((await serve()).port) as client:
        length = b"Content-Length: 5\r\n\r\nhe" if path == b"/echo" else b"\r\n"
        await client.send(b"POST " + path + HEAD + length)
        if path == b"/poll":
            await demo.asked.wait()
    with trio.fail_after(5):
        await demo.left.wait()
    assert demo.errors == []


async def test_client_that_left_is_noticed_behind_its_next_requests(
    serve_lean: Serving, demo: DemoApp
) -> None:
    """Requests that a client has sent ahead do not hide that it has left."""
    async with await RawClient.connect((await serve_lean()).port) as client:
        await client.send(b"GET /poll" + HEAD + b"\r\n" + (b"GET /" + HEAD + b"\r\n") * 50)
        await demo.asked.wait()
    with trio.fail_after(5):
        await demo.left.wait()


async def test_requests_sent_ahead_during_a_poll_are_answered(serve_lean: Serving, demo: DemoApp) -> None:
    """What was read behind a long poll is not lost."""
    async with await RawClient.connect((await serve_lean()).port) as client:
        requests = [b"GET " + path + HEAD + b"\r\n" for path in (b"/poll", b"/", b"/echo")]
        await client.send(b"".join(requests[:2]), requests[2])
        await demo.asked.wait()
        demo.go_on.set()
        assert [(await client.answer()).body for _ in range(3)] == [b"polled", b'{"ok":true}', b""]


async def test_client_may_close_its_half_and_read(serve_lean: Serving, demo: DemoApp) -> None:
    """A client that has sent all it wants to send still gets its answer."""
    async with await RawClient.connect((await serve_lean()).port) as client:
        await client.send(b"GET /wait" + HEAD + b"\r\n")
        await client.stream.send_eof()
        demo.go_on.set()
        assert (await client.answer()).body == b"waited"
        assert await client.is_closed()


async def test_client_that_left_is_no_error(serve: Serving, demo: DemoApp) -> None:
    """An answer that nobody waits for any more is nobody's fault."""
    server = await serve()
    for path in (b"/big", b"/wait"):
        async with await RawClient.connect(server.port) as client:
            await client.send(b"GET " + path + HEAD + b"\r\n")
            await demo.asked.wait()
    demo.go_on.set()
    async with await RawClient.connect(server.port) as client:
        assert (await client.get()).status == 200
    assert demo.errors == []


async def test_receive_after_the_answer_says_that_the_client_left(serve_lean: Serving) -> None:
    """A listener that an application left running ends with the answer, and disturbs no later request."""
    received: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def listen() -> None:
            await receive()
            received.append(await receive())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await trio.testing.wait_all_tasks_blocked()
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"done"})

    async with await RawClient.connect((await serve_lean(app)).port) as client:
        for _ in range(3):
            assert (await client.get()).body == b"done"
    assert received == [{"type": "http.disconnect"}] * 3


async def test_errors_beside_a_cancellation_do_not_end_the_server(serve_lean: Serving, demo: DemoApp) -> None:
    """An application that fails while it is cancelled is reported, and the server ends in order."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def fail_when_cancelled() -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("while cancelled")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail_when_cancelled)
            demo.asked.set()
            await trio.sleep_forever()

    server = await serve_lean(app)
    async with await RawClient.connect(server.port) as client:
        await client.send(b"GET /" + HEAD + b"\r\n")
        await demo.asked.wait()
        server.stop(0)
        assert (await client.answer()).status == 503
    assert isinstance(demo.errors[0], ExceptionGroup)


class DemoLike:
    """The smallest application with a lifespan."""

    def __init__(self, fault: str = "") -> None:
        self.heard: list[str] = []
        self._fault = fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a lifespan, or answer with its state."""
        if scope["type"] == "lifespan":
            for phase in ("startup", "shutdown"):
                self.heard.append((await receive())["type"])
                if phase == self._fault:
                    await send({"type": f"lifespan.{phase}.failed", "message": "no database"})
                    return
                scope["state"]["started"] = True
                await send({"type": f"lifespan.{phase}.complete"})
            return
        assert scope["state"] == {"started": True}
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"alive"})


async def test_lifespan(serve: Serving) -> None:
    """An application is started before the first request and shut down after the last."""
    app = DemoLike()
    server = await serve(app, has_lifespan=True)
    async with await RawClient.connect(server.port) as client:
        assert app.heard == ["lifespan.startup"]
        assert (await client.get()).body == b"alive"
    server.stop(0)
    await trio.testing.wait_all_tasks_blocked(0.1)
    assert app.heard == ["lifespan.startup", "lifespan.shutdown"]


async def test_application_that_cannot_start() -> None:
    """A lifespan that fails ends the server with the reason."""
    server = LeanServer(DemoLike("startup"), "127.0.0.1", 0, has_lifespan=True)
    with trio.fail_after(5), pytest.raises(AppError, match="no database"):
        await server.run()


async def test_application_that_knows_no_lifespan() -> None:
    """So does one that is not known."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise NotImplementedError("no lifespan here")

    server = LeanServer(app, "127.0.0.1", 0, has_lifespan=True)
    with trio.fail_after(5), pytest.raises(AppError, match="no lifespan here"):
        await server.run()


def descriptors() -> int:
    """Return how many descriptors this process has open."""
    return int(psutil.Process().num_fds())


@pytest.mark.parametrize("kind", SERVERS)
def test_cancelled_anywhere_it_leaves_nothing_open(kind: type[LeanServer | HypercornServer]) -> None:
    """Cancelled at any checkpoint of starting, reading, answering and draining, no descriptor stays open."""
    open_before: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await trio.sleep(0.1)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(3):
            await send({"type": "http.response.body", "body": b"part", "more_body": True})
        await send({"type": "http.response.body", "body": b"end"})

    async def build() -> Scene:
        server: Server = kind(app, "127.0.0.1", 0)

        async def run() -> None:
            async with trio.open_nursery() as nursery:
                await nursery.start(server.run)
                nursery.start_soon(ask)

        async def ask() -> None:
            async with await RawClient.connect(server.port) as client:
                await client.send(b"POST /" + HEAD + b"Content-Length: 5\r\n", b"\r\nhe", b"llo")
                assert (await client.answer()).body == b"partpartpartend"
                await client.send(b"GET /" + HEAD + b"\r\n")
                server.stop(10)
                assert (await client.answer()).body == b"partpartpartend"

        async def check(cancelled: bool) -> None:
            await trio.lowlevel.checkpoint()
            server.close()
            open_before.append(descriptors())

        return Scene(run, check)

    assert cancel_everywhere(build) > 20
    assert len(set(open_before)) == 1


@pytest.mark.parametrize("app", [DemoLike()])
async def test_address_that_is_taken(app: App) -> None:
    """A port in use is known before anything starts."""
    first = LeanServer(app, "127.0.0.1", 0)
    for kind in SERVERS:
        with pytest.raises(OSError, match="in use"):
            kind(app, "127.0.0.1", first.port)
    first.close()
