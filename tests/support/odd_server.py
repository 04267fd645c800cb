"""An HTTP server that misbehaves on request, as a process of its own: ``python -m tests.support.odd_server``.

The path says how: see `PATHS`. It prints its port. With ``--certificate FILE`` (key and chain) it speaks TLS.
"""

import argparse
import gzip
import socket
import ssl
import struct
import sys
from collections.abc import Awaitable, Callable

import trio

Serve = Callable[[trio.abc.Stream, str], Awaitable[None]]


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """Return a whole response."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def sends(*parts: bytes) -> Serve:
    """Return what sends some bytes and hangs up."""

    async def serve(stream: trio.abc.Stream, _: str) -> None:
        for part in parts:
            await stream.send_all(part)

    return serve


def sends_for_ever(head: bytes, part: bytes) -> Serve:
    """Return what sends a head and then the same again and again."""

    async def serve(stream: trio.abc.Stream, _: str) -> None:
        await stream.send_all(head)
        while True:
            await stream.send_all(part)

    return serve


async def redirect(stream: trio.abc.Stream, query: str) -> None:
    """Redirect to what stands behind the question mark."""
    await stream.send_all(answer(b"moved", f"Location: {query}", status="302 Found"))


async def status(stream: trio.abc.Stream, query: str) -> None:
    """Answer with any status."""
    await stream.send_all(answer(b"said so", status=f"{query} Any"))


async def big(stream: trio.abc.Stream, query: str) -> None:
    """Answer with so many bytes."""
    await stream.send_all(answer(b"x" * int(query)))


async def silent(stream: trio.abc.Stream, _: str) -> None:
    """Answer nothing until the client hangs up."""
    await stream.receive_some(1)


async def reset(stream: trio.abc.Stream, _: str) -> None:
    """Break the connection off without a word."""
    if isinstance(stream, trio.SocketStream):
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await trio.aclose_forcefully(stream)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
PATHS: dict[str, Serve] = {
    "/ok": sends(answer(b"Hello", "X-Twice: 1", "X-Twice: 2")),
    "/binary": sends(answer(bytes(range(256)))),
    "/gzip": sends(answer(gzip.compress(b"zeros" * 1000), "Content-Encoding: gzip")),
    "/chunked": sends(CHUNKED, b"5\r\nHello\r\n", b"7;a=b\r\n, world\r\n", b"0\r\nTrailer: x\r\n\r\n"),
    "/until-close": sends(b"HTTP/1.0 200 OK\r\n\r\nto the ", b"end"),
    "/empty": sends(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "/interim": sends(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", answer(b"late")),
    "/no-location": sends(answer(b"where?", status="302 Found")),
    "/redirect": redirect,
    "/loop": sends(answer(b"", "Location: loop", status="307 Temporary Redirect")),
    "/status": status,
    "/big": big,
    "/silent": silent,
    "/reset": reset,
    "/hang-up": sends(),
    "/half-head": sends(b"HTTP/1.1 200 OK\r\nContent-"),
    "/half-body": sends(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"),
    "/half-chunk": sends(CHUNKED, b"100\r\nhalf"),
    "/garbage": sends(b"\x16\x03\x01 this is no HTTP\r\n\r\n"),
    "/two-lengths": sends(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nhalf!"),
    "/bad-chunk": sends(CHUNKED, b"xyz\r\n"),
    "/switch": sends(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
    "/endless-head": sends_for_ever(b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n" * 100),
    "/endless-line": sends_for_ever(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 10_000),
    "/endless-interim": sends_for_ever(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100),
    "/endless-body": sends_for_ever(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65_536),
    "/endless-crumbs": sends_for_ever(CHUNKED, b"1\r\nx\r\n" * 1000),
    "/endless-trailer": sends_for_ever(CHUNKED + b"0\r\nX: ", b"x" * 10_000),
}
BREAKING = (
    *("/reset", "/hang-up", "/half-head", "/half-body"),
    *("/half-chunk", "/garbage", "/two-lengths", "/bad-chunk"),
)
"""Ends that are no complete answer."""


async def serve(stream: trio.abc.Stream) -> None:
    """Answer one request."""
    head = b""
    try:
        while b"\r\n\r\n" not in head:
            part = await stream.receive_some(65_536)
            if not part:
                return
            head += part
            if not head.startswith(b"GET "):
                await stream.send_all(answer(b"", status="400 Bad Request"))
                return
        path, _, query = head.split(b" ")[1].decode().partition("?")
        await PATHS.get(path, sends(answer(b"", status="404 Not Found")))(stream, query)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    finally:
        with trio.move_on_after(1, shield=True):
            await stream.aclose()


async def main(certificate: str) -> None:
    """Serve until killed, or until standard input ends."""
    async with trio.open_nursery() as nursery:
        listener: trio.abc.Listener[trio.abc.Stream] = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        port = listener.socket.getsockname()[1]  # type: ignore[attr-defined] # a SocketListener
        if certificate:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate)
            listener = trio.SSLListener(listener, context, https_compatible=True)
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        print(port, flush=True)
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--certificate", default="")
    trio.run(main, parser.parse_args().certificate)
