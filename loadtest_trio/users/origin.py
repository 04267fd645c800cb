"""Where requests go: an address that is looked up once, and connections to it."""

import errno
import os
import re
import socket
import ssl
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any
from urllib.parse import unquote, urlsplit

import attrs
import httpx
import trio

from loadtest_trio.http.streams import Stream, TcpStream
from loadtest_trio.http.tls import open_tls
from loadtest_trio.users.durations import bad_flag
from loadtest_trio.users.wire import ExchangeError

_CREDENTIALS = re.compile(r"((?:[A-Za-z][A-Za-z0-9+.-]*://)?)([^/?#]*)@(.*)", re.DOTALL)
_EXPLAINED = {
    errno.EADDRNOTAVAIL: ("no ports", "no source port is free: see net.ipv4.ip_local_port_range"),
    errno.EMFILE: ("no descriptors", "too many open files: raise ulimit -n"),
    errno.ENFILE: ("no descriptors", "too many open files in the system"),
}


@attrs.frozen(slots=True)
class Origin:
    """Where requests go.

    Attributes:
        host: Name or address.
        port: TCP port.
        addresses: Returns the host's addresses (family, address) in the order in which the next connection
            tries them: each begins with another one.
        tls: For HTTPS; None: plain.
        timeout: Seconds that a request may take.
    """

    host: str
    port: int
    addresses: Callable[[], Sequence[tuple[int, Any]]]
    tls: ssl.SSLContext | None = None
    timeout: float = 60.0


async def connect(origin: Origin) -> Stream:
    """Return a new connection to the next of a host's addresses that answers.

    Raises:
        ExchangeError: There is none.
    """
    try:
        with trio.fail_after(origin.timeout):
            sock = await _reached(origin)
            tls = origin.tls
            return TcpStream(sock) if tls is None else await open_tls(sock, tls, origin.host)
    except trio.TooSlowError:
        raise ExchangeError("timeout", f"no connection within {origin.timeout:g} s") from None
    except OSError as error:
        kind, detail = _EXPLAINED.get(error.errno or 0, ("connect", error.strerror or str(error)))
        raise ExchangeError(kind, detail) from error


async def _reached(origin: Origin) -> socket.socket:
    """Return a socket that is connected to the next of a host's addresses that answers.

    ``localhost`` is often two addresses of which a service listens on one.

    Raises:
        OSError: None does; the last one's error.
        trio.TooSlowError: The last one did not within the time that is left.
    """
    addresses = origin.addresses()  # all at once: others draw while this task waits
    for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        # A fair share of the time, so that an address that swallows packets leaves some to the next.
        share = (trio.current_effective_deadline() - trio.current_time()) / left
        with trio.move_on_after(max(0.0, share)):
            try:
                return await _connected(*address)
            except OSError as error:
                if left == 1 or error.errno in _EXPLAINED:
                    raise
    raise trio.TooSlowError


async def _connected(family: int, address: tuple[Any, ...]) -> socket.socket:
    """Return a non-blocking socket that is connected to an address.

    Raises:
        OSError: Nobody listens, or this machine has run out of something.
    """
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number = sock.connect_ex(address)
        if number == errno.EINPROGRESS:
            await trio.lowlevel.wait_writable(sock)
            number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise OSError(number, os.strerror(number))
    except BaseException:
        sock.close()
        raise
    return sock


def parse_url(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of a URL; without a scheme it is HTTP.

    Raises:
        ConfigurationError: It is no HTTP URL.
    """
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        usual = {"http": 80, "https": 443}[parts.scheme]
        port = usual if parts.port is None else parts.port
        if not (parts.hostname and port):
            raise KeyError(url)
        parts.hostname.encode("idna")  # as the look-up does, which fails where a label is empty or too long
    except (KeyError, ValueError):
        raise bad_flag("--host", for_people(url), "an address such as http://127.0.0.1:8000") from None
    return parts.scheme, parts.hostname, port


def for_people(url: str) -> str:
    """Return a URL without all that could be meant as a password, such as one with a raw slash."""
    return re.sub(r"^((?:[A-Za-z][A-Za-z0-9+.-]*://)?).*@", r"\1", url, flags=re.DOTALL)


def split_credentials(url: str) -> tuple[str, str]:
    """Return a URL without the user name and the password in it, and those, unquoted."""
    found = _CREDENTIALS.fullmatch(url)
    return (found[1] + found[3], unquote(found[2])) if found else (url, "")


async def resolve(url: str, *, timeout: float = 60.0, insecure: bool = False) -> Origin:
    """Look up the host of a URL, once: thousands of users that ask a name server would test that.

    Args:
        url: Such as ``http://127.0.0.1:8000``; a path is ignored.
        timeout: Seconds that a request may take.
        insecure: Do not check the certificate.

    Raises:
        ConfigurationError: It is no HTTP URL, or its host is unknown.
    """
    scheme, host, port = parse_url(url)
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise bad_flag("--host", for_people(url), f"a host that is known: {error.strerror}") from None
    tls = None
    if scheme == "https":
        tls = httpx.create_ssl_context(verify=not insecure)
        tls.set_alpn_protocols(["http/1.1"])
    addresses = list(dict.fromkeys((each[0], each[4]) for each in found))
    return Origin(host, port, in_turn(addresses), tls, timeout)


def in_turn(addresses: Sequence[tuple[int, Any]]) -> Callable[[], Sequence[tuple[int, Any]]]:
    """Return a function that returns all addresses, at each call beginning with the next."""
    orders = cycle([*addresses[first:], *addresses[:first]] for first in range(len(addresses)))
    return orders.__next__
