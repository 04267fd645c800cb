"""Connecting to a name."""

import socket
from typing import Any

import trio

from loadtest_trio.http.streams import connect


class _BothFamilies(trio.abc.HostnameResolver):
    """Knows one name, with an IPv6 address before the IPv4 one."""

    async def getaddrinfo(self, host: Any, port: Any, *options: Any) -> Any:
        stream = socket.SOCK_STREAM
        return [
            (socket.AF_INET6, stream, 6, "", ("::1", port, 0, 0)),
            (socket.AF_INET, stream, 6, "", ("127.0.0.1", port)),
        ]

    async def getnameinfo(self, sockaddr: Any, flags: Any) -> Any:
        raise NotImplementedError


async def test_connects_to_the_address_that_answers() -> None:
    """Nobody listens on the name's first address."""
    trio.socket.set_custom_hostname_resolver(_BothFamilies())
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = listener.socket.getsockname()[1]
        connected = await connect("dual.example", port)
        assert connected.getpeername() == ("127.0.0.1", port)
        connected.close()
