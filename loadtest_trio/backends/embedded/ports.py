"""Finds free loopback ports for servers that cannot choose a port themselves."""

import random
import socket

LOOPBACK = "127.0.0.1"
GRPC_OFFSET = 10_000

# The port and its gRPC port stay below 32768, where Linux's range for outgoing connections starts, so no
# outgoing connection can take a port between this check and the server's bind.
_LOWEST, _HIGHEST = 10_240, 22_000
_ATTEMPTS = 1_000


def free_ports(count: int, *, offset: int = 0) -> list[int]:
    """Choose free ports at random.

    Another process can still take a port before the server does; the caller then retries with other ports.

    Args:
        count: How many.
        offset: If not 0, ``port + offset`` must be free as well (SeaweedFS uses +10000 for gRPC).

    Returns:
        Distinct port numbers.

    Raises:
        OSError: Too few ports are free.
    """
    chosen: set[int] = set()
    for _ in range(_ATTEMPTS):
        port = random.randint(_LOWEST, _HIGHEST)
        if _is_free(port) and (offset == 0 or _is_free(port + offset)):
            chosen.add(port)
        if len(chosen) == count:
            return list(chosen)
    raise OSError(f"found only {len(chosen)} of {count} free ports between {_LOWEST} and {_HIGHEST}")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True
