"""A request's head, out of its bytes (RFC 9112), strictly: what could be read in two ways is refused.

Two servers that disagree on where a request ends can be made to answer somebody else's (request smuggling).
So a head must be spelled in the one way that the grammar gives it:

    bytes ─┬─► request line: a regular expression
           └─► headers ─┬─► httptools (llhttp without its leniencies), which refuses bare line feeds, folded
                        │   lines, blanks before a colon, control characters, doubled or odd lengths
                        └─► what llhttp lets through: codings before ``chunked``, chunks in HTTP/1.0,
                            several hosts or none

A head is parsed at once and not as it arrives: it nearly always arrives whole, its size is known exactly,
the parser keeps no state between requests, and an idle connection holds none. Clients repeat their headers
from request to request, so what was made of the latest blocks of headers is remembered; that spares half
of the work of a head.
"""

import re
from functools import lru_cache
from urllib.parse import unquote_to_bytes

import httptools

from loadtest_trio.http.server.asgi import Headers
from loadtest_trio.http.server.limits import ServerLimits
from loadtest_trio.http.server.refusal import RefusedError

HEAD_END = b"\r\n\r\n"

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# The characters of RFC 3986, with square brackets, which browsers leave as they are in queries.
_TARGET = rb"[!$%&'()*+,./0-9:;=?@A-Z\[\]_a-z~-]+"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") (" + _TARGET + rb") (?=HTTP/1\.[01]\r\n)")
_ANY_VERSION = re.compile(_TOKEN + rb" " + _TARGET + rb" HTTP/[0-9]\.[0-9]\r\n")
_METHODS = {
    name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
}
_ABSOLUTE = re.compile(rb"https?://[^/?]+", re.IGNORECASE)
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_HOST = re.compile(rb"[!$%&'()*+.0-9:;=A-Z\[\]_a-z~-]*")  # no comma: it is what joins two of them
_SPECIAL = frozenset((b"host", b"content-length", b"transfer-encoding", b"connection", b"expect"))
_SLASH = ord("/")
_REMEMBERED_BLOCKS = 1024
_LONGEST_REMEMBERED = 1024


class HeaderBlock:
    """The headers of a request, and what they say of its body and its connection.

    Args:
        version: ``1.0`` or ``1.1``.

    Attributes:
        headers: Names in lower case, values as sent.
        length: Size of the body in bytes, if it is not chunked.
        chunked: The body comes in chunks.
        keep_alive: The client may send another request on this connection.
        expects_continue: The client waits for a 100 before it sends the body.
    """

    __slots__ = ("_special", "chunked", "expects_continue", "headers", "keep_alive", "length", "version")

    def __init__(self, version: str) -> None:
        self.version = version
        self.headers: Headers = []
        self.length = 0
        self.chunked = self.expects_continue = False
        self.keep_alive = version == "1.1"
        self._special: dict[bytes, bytes] = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header: a callback of httptools, which leaves blanks at a value's end."""
        name = name.lower()
        value = value.rstrip()
        self.headers.append((name, value))
        if name in _SPECIAL:
            before = self._special.get(name)
            self._special[name] = value if before is None else before + b"," + value

    def settle(self) -> None:
        """Decide, once all headers are there, what they say.

        Raises:
            RefusedError: They cannot be accepted.
        """
        special = self._special
        host = special.get(b"host")
        if host is None and self.version == "1.1":
            raise RefusedError(400, "there is no Host header")
        if host is not None and not _HOST.fullmatch(host):
            raise RefusedError(400, "the Host header is not one host")
        coding = special.get(b"transfer-encoding")
        if coding is not None:
            if coding.lower() != b"chunked":
                raise RefusedError(400, "the only transfer coding that is understood is chunked")
            if self.version == "1.0":
                raise RefusedError(400, "HTTP/1.0 has no transfer codings")
            self.chunked = True
        # Without leading zeros, of which thousands are too many for `int`.
        self.length = int(special.get(b"content-length", b"").lstrip(b"0") or b"0")
        options = {option.strip() for option in special.get(b"connection", b"").lower().split(b",")}
        self.keep_alive = b"close" not in options and (self.keep_alive or b"keep-alive" in options)
        expectation = special.get(b"expect")
        if expectation is not None and self.version == "1.1":
            if expectation.lower() != b"100-continue":
                raise RefusedError(417, "the only expectation that is understood is 100-continue")
            self.expects_continue = True


class Request:
    """One request without its body.

    Attributes:
        method: Such as ``GET``.
        raw_path: The path as sent.
        path: The path without escapes.
        query: What follows the question mark.
        block: Its headers, and what they say; shared with other requests.
    """

    __slots__ = ("block", "method", "path", "query", "raw_path")

    def __init__(self, method: str, target: bytes, block: HeaderBlock) -> None:
        self.method = method
        self.block = block
        if target[0] != _SLASH:
            target = _origin_form(method, target)
        self.raw_path, _, self.query = target.partition(b"?")
        self.path = self.raw_path.decode("ascii") if b"%" not in target else _unescaped(self.raw_path)


def parse_head(head: bytes, limits: ServerLimits) -> Request:
    """Return the request that begins with a head.

    Args:
        head: From the request line to the empty line, both included.
        limits: Of headers and body.

    Raises:
        RefusedError: The head breaks the grammar or the limits, or it asks for what this server cannot do.
    """
    line = _REQUEST_LINE.match(head)
    if line is None:
        raise _refused_line(head)
    name, target = line.groups()
    method = _METHODS.get(name)
    if method is None:
        raise RefusedError(501, "the method is not known here")
    block = head[line.end() :]
    headers = _remembered(block) if len(block) <= _LONGEST_REMEMBERED else _parse_block(block)
    if len(headers.headers) > limits.headers:
        raise RefusedError(431, f"more than {limits.headers} header lines")
    if headers.length > limits.body_bytes:
        raise RefusedError(413, f"the body is longer than {limits.body_bytes} bytes")
    return Request(method, target, headers)


def check_partial_head(head: bytes) -> None:
    """Look at a head that has not arrived whole, so that nobody waits for the end of nonsense.

    Args:
        head: What has arrived, not empty.

    Raises:
        RefusedError: However it goes on, it is not going to be a request.
    """
    try:
        httptools.HttpRequestParser(None).feed_data(head)
    except httptools.HttpParserError as error:
        raise RefusedError(400, f"malformed head: {error}") from error


def _parse_block(block: bytes) -> HeaderBlock:
    """Return what a version and the lines after it say; ``block`` begins with ``HTTP/1.``."""
    headers = HeaderBlock("1.1" if block.startswith(b"HTTP/1.1") else "1.0")
    try:
        httptools.HttpRequestParser(headers).feed_data(b"GET / " + block)
    except httptools.HttpParserUpgrade:
        pass  # a server may ignore what the client would rather speak (RFC 9110, 7.8)
    except httptools.HttpParserError as error:
        raise RefusedError(400, f"malformed head: {error}") from error
    headers.settle()
    return headers


_remembered = lru_cache(_REMEMBERED_BLOCKS)(_parse_block)


def _refused_line(head: bytes) -> RefusedError:
    if _ANY_VERSION.match(head):
        return RefusedError(505, "the version of HTTP is neither 1.0 nor 1.1")
    return RefusedError(400, "malformed request line")


def _origin_form(method: str, target: bytes) -> bytes:
    """Return path and query of a target in another form: absolute or asterisk (RFC 9112, 3.2)."""
    if absolute := _ABSOLUTE.match(target):
        rest = target[absolute.end() :]
        return rest if rest.startswith(b"/") else b"/" + rest
    if target == b"*" and method == "OPTIONS":
        return target
    raise RefusedError(400, "malformed request target")


def _unescaped(raw_path: bytes) -> str:
    if _BAD_ESCAPE.search(raw_path):
        raise RefusedError(400, "malformed escape in the request target")
    return unquote_to_bytes(raw_path).decode("utf-8", "replace")
