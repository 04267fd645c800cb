"""Requests that nobody should send: good ones, spoiled in one or several places."""

import random
from collections.abc import Callable

_GOOD = (
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /echo?x=1 HTTP/1.1\r\nHost: a:80\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n",
    b"HEAD / HTTP/1.0\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world",
    b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc",
    b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX: y\r\n\r\n",
    b"PUT /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n" + bytes(70000),
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"GET /stream HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
)
_BYTES = (
    b"\0",
    b"\n",
    b"\r",
    b"\r\n",
    b" ",
    b"\t",
    b":",
    b"\x0b",
    b"\x7f",
    b"\xff",
    b"\xa0",
    b",",
    b";",
    b"0",
    b"-",
)
_LINES = (
    b"Content-Length: 5",
    b"Content-Length: 0",
    b"Content-Length: 99999999999999999999999999",
    b"Content-Length: -1",
    b"Content-Length : 5",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding:\x0bchunked",
    b" folded: 1",
    b"\tfolded",
    b"Host: b",
    b"Host:",
    b"no colon",
    b": no name",
    b"X\0: y",
    b"Expect: something",
    b"Connection: close, keep-alive, upgrade",
    b"Upgrade: h2c",
    b"X: " + b"y" * 20_000,
    b"5",
    b"0",
    b"ffffffffffffffff",
)
_LINE_ENDS = (b"\n", b"\r", b"\n\r", b"\r\r\n", b"\r\n ", b"\0\r\n", b"")


def malformed_request(rng: random.Random) -> bytes:
    """Return bytes that are most likely no good request.

    Args:
        rng: Makes the choices; the same seed gives the same bytes.
    """
    data = rng.choice(_GOOD)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
        data = rng.choice(_SPOILERS)(data, rng)
    return data


def _change_byte(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) or 1)
    return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]


def _insert_byte(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(min(len(data), 300) + 1)
    return data[:at] + rng.choice(_BYTES) + data[at:]


def _remove_bytes(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(min(len(data), 300) + 1)
    return data[:at] + data[at + rng.randrange(1, 6) :]


def _cut_off(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _insert_line(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\r\n")
    lines.insert(rng.randrange(len(lines) + 1), rng.choice(_LINES))
    return b"\r\n".join(lines)


def _repeat_line(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\r\n")
    lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
    return b"\r\n".join(lines)


def _change_line_end(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\r\n")
    at = rng.randrange(len(lines))
    return b"\r\n".join(lines[:at]) + rng.choice(_LINE_ENDS) + b"\r\n".join(lines[at:])


def _append_request(data: bytes, rng: random.Random) -> bytes:
    return data + rng.choice(_GOOD)


def _replace_by_noise(_: bytes, rng: random.Random) -> bytes:
    return rng.randbytes(rng.choice((1, 10, 100, 3000)))


_SPOILERS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _change_byte,
    _insert_byte,
    _remove_bytes,
    _cut_off,
    _insert_line,
    _repeat_line,
    _change_line_end,
    _append_request,
    _replace_by_noise,
)
