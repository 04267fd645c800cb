"""Heads of requests: one way to read each, or none."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest_trio.http.server.limits import ServerLimits
from loadtest_trio.http.server.refusal import RefusedError
from loadtest_trio.http.server.request import Request, _remembered, check_partial_head, parse_head

LIMITS = ServerLimits()
HOST = b"Host: a\r\n"


def parse(line: bytes = b"GET / HTTP/1.1", headers: bytes = HOST) -> Request:
    """Parse a head."""
    return parse_head(line + b"\r\n" + headers + b"\r\n", LIMITS)


def refused(line: bytes = b"GET / HTTP/1.1", headers: bytes = HOST) -> int:
    """Return the status with which a head is refused."""
    with pytest.raises(RefusedError) as caught:
        parse(line, headers)
    assert caught.value.reason
    return caught.value.status


def test_head_is_taken_apart() -> None:
    """Every part of a head arrives; names in lower case, values without the blanks around them."""
    request = parse(b"POST /a%20b/%C3%A9?x=1&y=%20 HTTP/1.1", b"HOST: a:80\r\nX-One: \t1 \t\r\nx-one:\r\n")
    assert (request.method, request.block.version) == ("POST", "1.1")
    assert request.path == "/a b/é"
    assert request.raw_path == b"/a%20b/%C3%A9"
    assert request.query == b"x=1&y=%20"
    assert request.block.headers == [(b"host", b"a:80"), (b"x-one", b"1"), (b"x-one", b"")]
    block = request.block
    assert (block.length, block.chunked, block.expects_continue) == (0, False, False)


@pytest.mark.parametrize(
    ("line", "path", "query"),
    [
        (b"GET http://a HTTP/1.1", "/", b""),
        (b"GET http://a/b?c HTTP/1.1", "/b", b"c"),
        (b"GET HTTPS://a?c HTTP/1.1", "/", b"c"),
        (b"OPTIONS * HTTP/1.1", "*", b""),
        (b"GET //a/b HTTP/1.1", "//a/b", b""),
        (b"GET /%FF HTTP/1.1", "/\ufffd", b""),
        (b"GET /?a[]=1 HTTP/1.1", "/", b"a[]=1"),
        (b"GET /?q=http://b/?x HTTP/1.1", "/", b"q=http://b/?x"),
    ],
)
def test_forms_of_a_target(line: bytes, path: str, query: bytes) -> None:
    """A target is read in each form that RFC 9112 gives it."""
    request = parse(line)
    assert (request.path, request.query) == (path, query)


@pytest.mark.parametrize(
    ("line", "headers", "keep_alive"),
    [
        (b"GET / HTTP/1.1", b"", True),
        (b"GET / HTTP/1.1", b"Connection: close\r\n", False),
        (b"GET / HTTP/1.1", b"Connection: x, CLOSE\r\n", False),
        (b"GET / HTTP/1.1", b"Connection: keep-alive\r\nConnection: close\r\n", False),
        (b"GET / HTTP/1.1", b"Connection: closed\r\n", True),
        (b"GET / HTTP/1.0", b"", False),
        (b"GET / HTTP/1.0", b"Connection: Keep-Alive\r\n", True),
        (b"GET / HTTP/1.0", b"Connection: keep-alive, close\r\n", False),
    ],
)
def test_keep_alive(line: bytes, headers: bytes, keep_alive: bool) -> None:
    """HTTP/1.1 keeps a connection unless told otherwise, HTTP/1.0 only when told."""
    assert parse(line, HOST + headers).block.keep_alive is keep_alive


def test_http_1_0_needs_no_host() -> None:
    """The Host header is younger than HTTP/1.0."""
    assert parse(b"GET / HTTP/1.0", b"").block.version == "1.0"


def test_length_may_have_any_number_of_zeros_before_it() -> None:
    """More digits than Python reads are a length all the same (RFC 9110, 8.6)."""
    assert parse(b"POST / HTTP/1.1", HOST + b"Content-Length: %b5\r\n" % (b"0" * 5000)).block.length == 5
    assert parse(b"POST / HTTP/1.1", HOST + b"Content-Length: %b\r\n" % (b"0" * 5000)).block.length == 0


@pytest.mark.parametrize(
    "headers",
    [b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: x\r\n"],
)
@pytest.mark.parametrize("length", [0, 5])
def test_offer_of_another_protocol_is_ignored(headers: bytes, length: int) -> None:
    """A client that would rather speak HTTP/2 (``curl --http2``) is served in HTTP/1.1, with its body."""
    request = parse(b"POST / HTTP/1.1", HOST + headers + b"Content-Length: %d\r\n" % length)
    assert (request.block.length, request.block.keep_alive) == (length, True)


LINES = {
    "no target": b"GET HTTP/1.1",
    "no version": b"GET /",
    "two blanks before the target": b"GET  / HTTP/1.1",
    "two blanks after the target": b"GET /  HTTP/1.1",
    "blank at the end": b"GET / HTTP/1.1 ",
    "blank at the start": b" GET / HTTP/1.1",
    "tab": b"GET\t/ HTTP/1.1",
    "blank in the target": b"GET /a b HTTP/1.1",
    "NUL in the target": b"GET /\0 HTTP/1.1",
    "control character in the target": b"GET /\x1b HTTP/1.1",
    "bare carriage return in the target": b"GET /\ra HTTP/1.1",
    "bytes beyond ASCII in the target": b"GET /\xc3\xa9 HTTP/1.1",
    "fragment": b"GET /#a HTTP/1.1",
    "quote": b'GET /" HTTP/1.1',
    "backslash": b"GET /a\\b HTTP/1.1",
    "broken escape": b"GET /%zz HTTP/1.1",
    "half an escape": b"GET /%4 HTTP/1.1",
    "relative target": b"GET a HTTP/1.1",
    "query alone": b"GET ?a HTTP/1.1",
    "asterisk for GET": b"GET * HTTP/1.1",
    "another scheme": b"GET ftp://a/ HTTP/1.1",
    "absolute form without a host": b"GET http:///a HTTP/1.1",
    "user in the absolute form": b"GET http:a@b HTTP/1.1",
    "method with a character that is no token": b"G(T / HTTP/1.1",
    "method with NUL": b"G\0T / HTTP/1.1",
    "lower-case protocol": b"GET / http/1.1",
    "two digits": b"GET / HTTP/1.10",
    "leading zero": b"GET / HTTP/01.1",
    "no dot": b"GET / HTTP/11",
    "another protocol": b"GET / RTSP/1.0",
    "ICE": b"SOURCE / ICE/1.0",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "empty": b"",
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_malformed_request_line_is_refused(line: bytes) -> None:
    """A request line that the grammar does not know is answered 400."""
    assert refused(line) == 400


@pytest.mark.parametrize("version", [b"0.9", b"1.2", b"2.0", b"3.0"])
def test_other_versions_are_refused(version: bytes) -> None:
    """Versions of HTTP that this server does not speak are answered 505."""
    assert refused(b"GET / HTTP/" + version) == 505


@pytest.mark.parametrize("line", [b"get / HTTP/1.1", b"BREW /pot HTTP/1.1", b"GETX / HTTP/1.1"])
def test_unknown_methods_are_refused(line: bytes) -> None:
    """Methods that nobody knows are answered 501; which of the known ones it takes says the application."""
    assert refused(line) == 501


@pytest.mark.parametrize(
    "line", [b"CONNECT a:80 HTTP/1.1", b"CONNECT /a HTTP/1.1", b"CONNECT http://a HTTP/1.1"]
)
def test_tunnels_are_refused(line: bytes) -> None:
    """This is no proxy."""
    assert refused(line) == 501


# Each can be read in two ways, by two servers or by one server and its proxy.
SMUGGLING = {
    "length and chunks": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "chunks and length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "length of none and chunks": b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n",
    "the same length twice": b"Content-Length: 5\r\nContent-Length: 5\r\n",
    "list of lengths": b"Content-Length: 5, 6\r\n",
    "list of the same length": b"Content-Length: 5,5\r\n",
    "signed length": b"Content-Length: +5\r\n",
    "negative length": b"Content-Length: -5\r\n",
    "hexadecimal length": b"Content-Length: 0x5\r\n",
    "length with an exponent": b"Content-Length: 1e1\r\n",
    "length with a blank inside": b"Content-Length: 5 5\r\n",
    "length with an underscore": b"Content-Length: 1_0\r\n",
    "length with a vertical tab": b"Content-Length: 5\x0b\r\n",
    "length in Arabic digits": "Content-Length: ٥\r\n".encode(),
    "no length": b"Content-Length:\r\n",
    "length beyond 64 bits": b"Content-Length: 18446744073709551621\r\n",
    "coding before chunked": b"Transfer-Encoding: gzip, chunked\r\n",
    "coding after chunked": b"Transfer-Encoding: chunked, gzip\r\n",
    "chunked twice": b"Transfer-Encoding: chunked, chunked\r\n",
    "identity": b"Transfer-Encoding: identity\r\n",
    "identity, then chunked": b"Transfer-Encoding: identity, chunked\r\n",
    "two lines of codings": b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
    "chunked, then identity": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "an empty coding": b"Transfer-Encoding: , chunked\r\n",
    "no coding": b"Transfer-Encoding:\r\n",
    "nearly chunked": b"Transfer-Encoding: xchunked\r\n",
    "chunked with a parameter": b"Transfer-Encoding: chunked;q=1\r\n",
    "chunked in quotes": b'Transfer-Encoding: "chunked"\r\n',
    "chunked after a vertical tab": b"Transfer-Encoding: \x0bchunked\r\n",
    "chunked after a byte beyond ASCII": b"Transfer-Encoding: \xa0chunked\r\n",
    "blank before the colon": b"Transfer-Encoding : chunked\r\n",
    "tab before the colon": b"Content-Length\t: 5\r\n",
    "blank before the name": b" Content-Length: 5\r\n",
    "folded line": b"X: a\r\n Content-Length: 5\r\n",
    "folded value": b"Transfer-Encoding:\r\n chunked\r\n",
    "folded by a tab": b"X: a\r\n\tb\r\n",
    "bare line feed": b"X: a\nContent-Length: 5\r\n",
    "bare carriage return": b"X: a\rContent-Length: 5\r\n",
    "carriage return before the end of a line": b"X: a\r\r\n",
    "NUL in a value": b"X: a\0b\r\n",
    "NUL in a name": b"Content\0-Length: 5\r\n",
    "control character in a value": b"X: \x01\r\n",
    "DEL in a value": b"X: \x7f\r\n",
    "byte beyond ASCII in a name": b"Content-Length\xa0: 5\r\n",
    "no colon": b"Content-Length 5\r\n",
    "no name": b": 5\r\n",
    "brackets in a name": b"Content[Length]: 5\r\n",
}


@pytest.mark.parametrize("headers", SMUGGLING.values(), ids=SMUGGLING)
@pytest.mark.parametrize("first", [True, False], ids=["before Host", "after Host"])
def test_ambiguous_head_is_refused(headers: bytes, first: bool) -> None:
    """What two readers could take for two requests, or for two bodies, is answered 400."""
    assert refused(b"POST / HTTP/1.1", headers + HOST if first else HOST + headers) == 400


def test_chunks_in_http_1_0_are_refused() -> None:
    """HTTP/1.0 has no chunks: an old proxy would take the body for the next request."""
    assert refused(b"POST / HTTP/1.0", HOST + b"Transfer-Encoding: chunked\r\n") == 400


@pytest.mark.parametrize(
    "headers",
    [
        b"",
        HOST + HOST,
        HOST + b"Host: b\r\n",
        b"Host: a b\r\n",
        b"Host: a/b\r\n",
        b"Host: u@a\r\n",
        b"Host: a,b\r\n",
    ],
)
def test_request_names_exactly_one_host(headers: bytes) -> None:
    """Without a host, with several or with a malformed one, a request is answered 400."""
    assert refused(headers=headers) == 400


@pytest.mark.parametrize("host", [b"", b"a:80", b"[::1]:80", b"127.0.0.1", b"xn--bcher-kva.example"])
def test_hosts(host: bytes) -> None:
    """A host may be a name, an address of either family, or empty."""
    assert parse(headers=b"Host: %b\r\n" % host).block.headers == [(b"host", host)]


def test_expectations() -> None:
    """100-continue is understood, other expectations are answered 417."""
    assert parse(headers=HOST + b"Expect: 100-Continue\r\nContent-Length: 1\r\n").block.expects_continue
    assert not parse(b"GET / HTTP/1.0", b"Expect: 100-continue\r\n").block.expects_continue
    assert refused(headers=HOST + b"Expect: 200-ok\r\n") == 417


def test_limits() -> None:
    """Too many headers are answered 431, too long a body 413; at the limit both are accepted."""
    limits = ServerLimits(headers=3, body_bytes=10)
    line = b"POST / HTTP/1.1\r\n" + HOST
    assert parse_head(line + b"Content-Length: 10\r\nX: 1\r\n\r\n", limits).block.length == 10
    for headers, status in ((b"X: 1\r\n" * 3, 431), (b"Content-Length: 11\r\n", 413)):
        with pytest.raises(RefusedError) as caught:
            parse_head(line + headers + b"\r\n", limits)
        assert caught.value.status == status


def test_only_short_blocks_of_headers_are_remembered() -> None:
    """What is remembered takes a bounded memory."""
    _remembered.cache_clear()
    parse(headers=HOST + b"X-Long: " + b"x" * 2000 + b"\r\n")
    assert _remembered.cache_info().currsize == 0
    for _ in range(2):
        parse(headers=HOST + b"X-Short: x\r\n")
    assert _remembered.cache_info().currsize == 1


@pytest.mark.parametrize(
    "bad", [b"\x16\x03\x01", b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\r\nX : ", b"GET\0", b"{"]
)
def test_nonsense_is_refused_before_it_ends(bad: bytes) -> None:
    """Nobody waits for the end of a head that cannot become one."""
    with pytest.raises(RefusedError):
        check_partial_head(bad)


HEAD = b"POST /a?b HTTP/1.1\r\nHost: a\r\nX-Y: z \xff\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"


@given(st.integers(1, len(HEAD) - 1))
def test_part_of_a_good_head_is_never_refused(length: int) -> None:
    """However a good head arrives, its beginning is not refused."""
    check_partial_head(HEAD[:length])


TOKEN = st.text("!#$%&'*+-.^_`|~0123456789abcXYZ", min_size=1).map(str.encode)
VALUE = st.binary(max_size=20).map(lambda value: bytes(byte for byte in value if byte >= 32 and byte != 127))
SPECIAL = {b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"}


@given(st.lists(st.tuples(TOKEN.filter(lambda name: name.lower() not in SPECIAL), VALUE), max_size=20))
def test_every_header_of_the_grammar_arrives(headers: list[tuple[bytes, bytes]]) -> None:
    """Whatever names and values the grammar allows, they arrive as they are, in their order."""
    request = parse(headers=HOST + b"".join(b"%b: %b\r\n" % header for header in headers))
    assert request.block.headers[1:] == [(name.lower(), value.strip(b" ")) for name, value in headers]


@given(st.binary(max_size=200))
def test_anything_is_a_request_or_refused(data: bytes) -> None:
    """No bytes raise anything but a refusal."""
    for head in (
        data + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + data + b"\r\n\r\n",
        b"GET /" + data + b"\r\n\r\n",
    ):
        with contextlib.suppress(RefusedError):
            parse_head(head, LIMITS)
