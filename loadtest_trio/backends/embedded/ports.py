"""Free loopback ports for servers that cannot be told "any port"."""

import random
import socket

LOOPBACK = "127.0.0.1"
GRPC_OFFSET = 10_000

# Port and twin both stay below 32768, where Linux starts to hand out ports for outgoing connections: a
# connection of somebody else cannot take a port between our look and the server's bind.
_LOWEST, _HIGHEST = 10_240, 22_000
_ATTEMPTS = 1_000


def free_ports(count: int, *, offset: int = 0) -> list[int]:
    """Choose ports at random that nobody listens on.

    Another process can still take one before the server does; the caller starts again with others then.

    Args:
        count: How many.
        offset: When not 0, ``port + offset`` must be free as well (SeaweedFS puts gRPC at +10000).

    Returns:
        Distinct port numbers.

    Raises:
        OSError: Hardly a port is free.
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
