"""The users' HTTP client against servers that behave and servers that do not."""

import socket
import ssl
from contextlib import suppress

import pytest
import trio
import trustme

from loadtest_trio.errors import ConfigurationError
from loadtest_trio.users.http_wire import HttpWire
from loadtest_trio.users.origin import Origin, in_turn, parse_url, resolve, split_credentials
from loadtest_trio.users.user import User
from loadtest_trio.users.wire import ExchangeError, Reply
from tests.support.users_world import raw_server, socket_watch, surroundings

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: x\r\n\r\nok"
HOST = b"Host: test\r\n"
CHUNKED_END = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: "


async def get(wire: HttpWire, target: bytes = b"/") -> Reply:
    return await wire.exchange("GET", target, HOST, b"")


async def answers(stream: trio.abc.Stream, *replies: bytes) -> None:
    """Answer one request after the other, then hang up."""
    for reply in replies:
        if not await stream.receive_some(65536):
            return
        await stream.send_all(reply)


async def silent(_: trio.SocketStream) -> None:
    """Accept, and never say anything."""
    await trio.sleep_forever()


async def test_requests_share_one_connection() -> None:
    connections = 0

    async def serve(stream: trio.SocketStream) -> None:
        nonlocal connections
        connections += 1
        await answers(stream, OK, OK, OK)

    async with raw_server(serve) as url, socket_watch() as watch:
        wire = HttpWire(await resolve(url), watch)
        replies = [await get(wire) for _ in range(3)]
        wire.close()
    assert [(reply.status, bytes(reply.body)) for reply in replies] == [(200, b"ok")] * 3
    assert (b"ETag", b"x") in replies[0].headers
    assert connections == 1


async def test_the_request_is_what_was_asked_for() -> None:
    seen = b""

    async def serve(stream: trio.SocketStream) -> None:
        nonlocal seen
        seen = bytes(await stream.receive_some(65536))
        await stream.send_all(OK)

    async with raw_server(serve) as url, socket_watch() as watch:
        wire = HttpWire(await resolve(url), watch)
        await wire.exchange("POST", b"/a?b=1", HOST + b"Content-Length: 4\r\n", b"body")
        wire.close()
    assert seen == b"POST /a?b=1 HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody"


async def test_a_connection_closed_while_idle_is_opened_anew() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await answers(stream, OK)

    async with raw_server(serve) as url, socket_watch() as watch:
        wire = HttpWire(await resolve(url), watch)
        assert (await get(wire)).status == 200
        assert (await get(wire)).status == 200
        await trio.sleep(0.05)
        assert (await get(wire)).status == 200
        wire.close()


async def test_a_post_is_not_sent_twice() -> None:
    requests = 0

    async def serve(stream: trio.SocketStream) -> None:
        nonlocal requests
        for reply in (OK, b""):
            await stream.receive_some(65536)
            requests += 1
            if reply:
                await stream.send_all(reply)

    async with raw_server(serve) as url, socket_watch() as watch:
        wire = HttpWire(await resolve(url), watch)
        await get(wire)
        with pytest.raises(ExchangeError) as caught:
            await wire.exchange("POST", b"/", HOST + b"Content-Length: 0\r\n", b"")
        wire.close()
    assert caught.value.kind == "closed"
    assert requests == 2


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\ncut", "closed"),
        (b"", "closed"),
    ],
)
async def test_bad_replies_are_told_apart(reply: bytes, kind: str) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await answers(stream, reply or b"\r\n"[:0])

    async with raw_server(serve) as url, socket_watch() as watch:
        wire = HttpWire(await resolve(url), watch)
        with pytest.raises(ExchangeError) as caught:
            await get(wire)
        assert caught.value.kind == kind
        wire.close()


@pytest.mark.parametrize(
    ("reply", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", b"x"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"y" * 200_000, b"y" * 200_000),
    ],
)
async def test_bodies_are_read_however_they_are_framed(reply: bytes, body: bytes) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await answers(stream, reply)

    async with raw_server(serve) as url, socket_watch() as watch:
        wire = HttpWire(await resolve(url), watch)
        assert bytes((await get(wire)).body) == body
        wire.close()


async def test_a_head_has_no_body() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await answers(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", OK)

    async with raw_server(serve) as url, socket_watch() as watch:
        wire = HttpWire(await resolve(url), watch)
        assert (await wire.exchange("HEAD", b"/", HOST, b"")).status == 200
        assert bytes((await get(wire)).body) == b"ok"
        wire.close()


async def test_a_reply_that_does_not_come_is_a_timeout() -> None:
    async with raw_server(silent) as url, socket_watch() as watch:
        wire = HttpWire(await resolve(url, timeout=0.2), watch)
        with pytest.raises(ExchangeError) as caught:
            await get(wire)
        assert caught.value.kind == "timeout"
        wire.close()


async def test_a_body_that_nobody_reads_is_a_timeout() -> None:
    async with raw_server(silent) as url, socket_watch() as watch:
        wire = HttpWire(await resolve(url, timeout=0.2), watch)
        body = b"x" * 30_000_000
        with pytest.raises(ExchangeError) as caught:
            await wire.exchange("POST", b"/", HOST + b"Content-Length: 30000000\r\n", body)
        assert caught.value.kind == "timeout"
        wire.close()


async def test_a_cancelled_exchange_closes_its_connection() -> None:
    closed = trio.Event()

    async def serve(stream: trio.SocketStream) -> None:
        while await stream.receive_some(65536):
            pass
        closed.set()

    async with raw_server(serve) as url, socket_watch() as watch:
        wire = HttpWire(await resolve(url), watch)
        with trio.move_on_after(0.05):
            await get(wire)
        with trio.fail_after(2):
            await closed.wait()
        wire.close()


async def test_nobody_listening_is_said() -> None:
    async with raw_server(silent) as url:
        origin = await resolve(url)
    async with socket_watch() as watch:
        wire = HttpWire(origin, watch)
        with pytest.raises(ExchangeError, match="refused") as caught:
            await get(wire)
        assert caught.value.kind == "connect"


async def test_time_to_connect_is_in_the_response_time() -> None:
    """The server begins TLS late: the request was due, and sent, before."""
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)

    async def serve(stream: trio.SocketStream) -> None:
        await trio.sleep(0.2)
        await answers(trio.SSLStream(stream, server, server_side=True, https_compatible=True), OK, OK)

    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with raw_server(serve) as url, socket_watch() as watch, surroundings() as around:
        plain = await resolve(url)
        wire = HttpWire(Origin("localhost", plain.port, plain.addresses, trusting), watch)
        someone = User(0, wire, around, trio.current_time(), 0)
        assert (await someone.get("/")).ok
        counts = around.recorder.collect().total
        assert min(counts.due) >= 199_000
        assert min(counts.sent) >= 199_000
        someone.close()


async def test_a_connection_that_breaks_behind_a_reply_leaves_it_whole() -> None:
    """The server ends TLS without close_notify as soon as it has answered."""
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)

    async def serve(stream: trio.SocketStream) -> None:
        await answers(trio.SSLStream(stream, server, server_side=True, https_compatible=True), OK)

    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with raw_server(serve) as url, socket_watch() as watch:
        plain = await resolve(url)
        for _ in range(30):
            wire = HttpWire(Origin("localhost", plain.port, plain.addresses, trusting), watch)
            assert bytes((await get(wire)).body) == b"ok"
            wire.close()


async def test_https_is_checked() -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"z" * 300_000

    async def serve(stream: trio.SocketStream) -> None:
        secured = trio.SSLStream(stream, server, server_side=True, https_compatible=True)
        try:
            await secured.receive_some(65536)
            await secured.send_all(large)
            await secured.receive_some(65536)
        except trio.BrokenResourceError:
            pass

    async with raw_server(serve) as url, socket_watch() as watch:
        plain = await resolve(url)
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        wire = HttpWire(Origin("localhost", plain.port, plain.addresses, trusting), watch)
        assert len((await get(wire)).body) == 300_000
        wire.close()
        stranger = HttpWire(
            Origin("localhost", plain.port, plain.addresses, ssl.create_default_context()), watch
        )
        with pytest.raises(ExchangeError, match="certificate"):
            await get(stranger)


@pytest.mark.parametrize("url", ["ftp://host", "http://", "http://host:port", "http://no-such-host.invalid"])
async def test_a_bad_address_names_the_flag(url: str) -> None:
    with pytest.raises(ConfigurationError, match="--host"):
        await resolve(url)


def two_addresses(first: int, second: int) -> Origin:
    """A host with two addresses on loopback, told apart by their ports."""
    addresses = [(socket.AF_INET, ("127.0.0.1", port)) for port in (first, second)]
    return Origin("host.test", 80, in_turn(addresses))


async def test_an_address_that_refuses_is_passed_over() -> None:
    """``localhost`` is often two addresses: a service that listens on one of them is not half down."""

    async def serve(stream: trio.SocketStream) -> None:
        await answers(stream, OK)

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and nobody listens
        async with raw_server(serve) as url, socket_watch() as watch:
            origin = two_addresses(closed.getsockname()[1], int(url.rpartition(":")[2]))

            async def ask() -> None:
                wire = HttpWire(origin, watch)
                assert (await get(wire)).status == 200
                wire.close()

            for _ in range(4):
                await ask()
            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(ask)
            gone = two_addresses(closed.getsockname()[1], closed.getsockname()[1])
            with pytest.raises(ExchangeError, match="connect: Connection refused"):
                await get(HttpWire(gone, watch))


@pytest.mark.parametrize(
    "part",
    [b"X: y\r\n" * 10_000, b"HTTP/1.1 103 Early\r\n\r\n" * 2000, b"y" * 60_000],
    ids=["headers", "interim replies", "one header"],
)
@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nX: ", CHUNKED_END], ids=["head", "trailers"])
async def test_an_endless_head_is_cut_off(head: bytes, part: bytes) -> None:
    """A target that never comes to the body must not fill the memory of the generator."""
    sent = 0

    async def serve(stream: trio.SocketStream) -> None:
        nonlocal sent
        await stream.receive_some(65536)
        with suppress(trio.BrokenResourceError):  # cut off
            await stream.send_all(head if not part.startswith(b"HTTP") else b"")
            while True:
                await stream.send_all(part)
                sent += len(part)

    async with raw_server(serve) as url, socket_watch() as watch:
        wire = HttpWire(await resolve(url), watch)
        with pytest.raises(ExchangeError) as caught, trio.fail_after(20):
            await get(wire)
        assert caught.value.kind == "protocol"
    assert sent < 20_000_000  # what the system's buffers take, and not more


@pytest.mark.parametrize(
    "url", ["http://a..b", f"http://{'a' * 64}", "http://h:0", "http://[::1", "http://h:99999"]
)
def test_an_address_that_cannot_be_looked_up_names_the_flag(url: str) -> None:
    """The look-up would end in an error of the codec."""
    with pytest.raises(ConfigurationError, match="--host"):
        parse_url(url)


@pytest.mark.parametrize(
    ("url", "shown", "credentials"),
    [
        ("http://u:p%40ss@h:1", "http://h:1", "u:p@ss"),
        ("u:p@h", "h", "u:p"),
        ("https://a@b@h/x", "https://h/x", "a@b"),
        ("http://h/a@b", "http://h/a@b", ""),
        ("http://h?a@b", "http://h?a@b", ""),
    ],
)
def test_credentials_of_a_url_are_told_apart(url: str, shown: str, credentials: str) -> None:
    """They go into a header, and into nothing that is shown."""
    assert split_credentials(url) == (shown, credentials)
