"""The HTTP proxy in front of HTTPS servers: found as other tools find it, used by CONNECT (RFC 9110, 9.3.6).

    us ──TCP──► proxy ──TCP──► server        CONNECT host:443 ► 200, then TLS from us to the server
     └───────────── TLS ─────────┘

Only tunnels: a plain-HTTP server is always reached directly, and the connection to the proxy itself is plain.
"""

import re
import socket
from base64 import b64encode
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from urllib.parse import unquote

import attrs
import httpx
import trio

from loadtest_trio.http.streams import connect

_MAX_HEAD = 16384
_WITH_PORT = re.compile(r"([^:]+|\[.*\]):([0-9]{1,5})")  # an IPv6 address needs its brackets
_VARIABLES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_PLAIN_VARIABLES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
_DEFAULT_PORT = 80  # of an http:// URL; curl's 1080 is for SOCKS


class ProxySettingError(ValueError):
    """A proxy variable cannot be used.

    Args:
        name: The variable.
        reason: What it must be; does not repeat the value, which may hold a password.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} {reason}")
        self.name = name
        self.reason = reason


@attrs.frozen
class Proxy:
    """An HTTP proxy.

    Attributes:
        host: Its host.
        port: Its port.
        authorization: The value of ``Proxy-Authorization``; "" for none.
    """

    host: str
    port: int
    authorization: str = attrs.field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def find_proxy(environ: Mapping[str, str], url: httpx.URL) -> Proxy | None:
    """Return the proxy that the environment names for a server.

    Args:
        environ: Supplies ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``; lower case comes first, as in curl.
        url: The server.

    Raises:
        ProxySettingError: The proxy is not an ``http://`` URL.
    """
    name = next((variable for variable in _VARIABLES if environ.get(variable)), None)
    excepted = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if name is None or url.scheme != "https" or is_excepted(url.host, url.port or 443, excepted):
        return None
    text = environ[name].strip()
    try:
        proxy = httpx.URL(text if "://" in text else f"http://{text}")
        host = proxy.host  # decodes it
    except (httpx.InvalidURL, UnicodeError):
        raise ProxySettingError(name, "must be a URL such as http://proxy.example:3128") from None
    if proxy.scheme != "http" or not host:
        raise ProxySettingError(name, "must be an http:// URL: TLS to the proxy and SOCKS are not supported")
    authorization = ""
    if proxy.userinfo:
        user, _, password = proxy.userinfo.decode("ascii").partition(":")
        authorization = f"Basic {b64encode(f'{unquote(user)}:{unquote(password)}'.encode()).decode('ascii')}"
    return Proxy(host, proxy.port or _DEFAULT_PORT, authorization)


def ignored_proxy(environ: Mapping[str, str], url: httpx.URL) -> str:
    """Return the variable that names a proxy for a plain-HTTP server, which is reached directly; "" for none.

    Args:
        environ: Supplies ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``, in either case.
        url: The server.
    """
    name = next((variable for variable in _PLAIN_VARIABLES if environ.get(variable)), "")
    excepted = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if url.scheme != "http" or is_excepted(url.host, url.port or 80, excepted):
        return ""
    return name


def is_excepted(host: str, port: int, excepted: str) -> bool:
    """Return whether ``NO_PROXY`` names a server.

    Args:
        host: Its name or address.
        port: Its port.
        excepted: Names (which include their subdomains), addresses and networks, separated by commas; each
            may end in ``:port``; ``*`` is everything.
    """
    host = host.lower().strip("[]").rstrip(".")
    return any(_matches(host, port, entry.strip().lower()) for entry in excepted.split(","))


def _matches(host: str, port: int, entry: str) -> bool:
    if entry == "*":
        return True
    with_port = _WITH_PORT.fullmatch(entry)
    if with_port:
        if int(with_port[2]) != port:
            return False
        entry = with_port[1]
    entry = entry.strip("[]").removeprefix("*").strip(".")
    try:
        return ip_address(host) in ip_network(entry, strict=False)
    except (ValueError, TypeError):  # one of them is a name, or they are of two versions
        return bool(entry) and (host == entry or host.endswith(f".{entry}"))


async def connect_through(proxy: Proxy, host: str, port: int) -> socket.socket:
    """Connect to a server through a proxy.

    Returns:
        A non-blocking socket whose other end is the server.

    Raises:
        OSError: The proxy cannot be reached.
        httpx.ProxyError: It did not connect us.
    """
    sock = await connect(proxy.host, proxy.port)
    try:
        await _tunnel(sock, proxy, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except BaseException:
        sock.close()
        raise
    return sock


async def _tunnel(sock: socket.socket, proxy: Proxy, target: str) -> None:
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    sock.send("\r\n".join([*lines, "", ""]).encode("ascii"))  # into the buffer of a fresh connection
    head = b""
    while b"\r\n\r\n" not in head:
        await trio.lowlevel.wait_readable(sock)
        try:
            received = sock.recv(4096)
        except BlockingIOError:  # woken for nothing
            continue
        head += received
        if not received or len(head) > _MAX_HEAD:
            raise httpx.ProxyError(f"the proxy {proxy} did not answer CONNECT")
    line = head.split(b"\r\n", 1)[0].decode("latin-1")
    version, _, status = line.partition(" ")
    if not version.startswith("HTTP/1.") or not status.startswith("2"):
        raise httpx.ProxyError(f"the proxy {proxy} refused CONNECT to {target}: {status or line}")
    if not head.endswith(b"\r\n\r\n"):
        raise httpx.ProxyError(f"the proxy {proxy} sent bytes that are not the server's")
