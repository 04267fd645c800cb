"""Listening sockets."""

import contextlib
import ipaddress
import socket


def listen(host: str, port: int, backlog: int) -> socket.socket:
    """Return a non-blocking socket that listens.

    Args:
        host: A name or an address. ``::`` listens on every address of both families.
        port: The port; 0 for any free one.
        backlog: How many clients may wait to be accepted.

    Raises:
        OSError: The name is unknown, or the address cannot be listened on.
    """
    everywhere = False
    with contextlib.suppress(ValueError):
        everywhere = ipaddress.ip_address(host) == ipaddress.IPv6Address("::")
    listening = socket.create_server(
        (host, port),
        family=socket.AF_INET6 if ":" in host else socket.AF_INET,
        backlog=backlog,
        dualstack_ipv6=everywhere and socket.has_dualstack_ipv6(),
    )
    listening.setblocking(False)
    return listening


def accept(listening: socket.socket) -> tuple[socket.socket, tuple[str, int]]:
    """Return a non-blocking connection and its client's host and port.

    Raises:
        BlockingIOError: Nobody waits.
        OSError: The client has left again, or the system cannot accept it now.
    """
    sock, (host, port, *_) = listening.accept()
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        sock.close()
        raise
    return sock, (host.removeprefix("::ffff:"), port)  # how a socket for both families shows IPv4
