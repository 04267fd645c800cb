"""From a host name to a connected stream: resolve, check, connect.

These are one step: the addresses that are checked are those that are connected to, so a name that resolves to
something else a moment later (DNS rebinding) changes nothing. One forbidden address among several refuses all
of them: which one comes first is the name server's choice.
"""

import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import trio

from loadtest_trio.errors import FetchRefusedError, FetchUnreachableError
from loadtest_trio.handlers.http_fetch.addresses import check_address
from loadtest_trio.settings.allow_list import AllowList

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns all addresses of a host; raises `socket.gaierror`."""

_MOST_LOOKUPS = 16
_PERMANENT = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME), socket.EAI_FAIL}


class SystemResolver:
    """Resolves names as the system does.

    A look-up cannot be cancelled: it is abandoned, and its thread ends when the name server has answered or
    the resolver gives up. So look-ups have a limiter of their own, or slow name servers would use up the
    threads of the whole service.
    """

    def __init__(self) -> None:
        self._threads = trio.CapacityLimiter(_MOST_LOOKUPS)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of a host in the system's order of preference."""
        look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        try:
            found = look_up(flags=socket.AI_NUMERICHOST)  # an address in any spelling: asks nobody
        except socket.gaierror:
            found = await trio.to_thread.run_sync(look_up, abandon_on_cancel=True, limiter=self._threads)
        return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def connect(host: str, port: int, allow: AllowList, resolve: Resolve) -> trio.SocketStream:
    """Resolve a host, check all its addresses and connect to the first that answers.

    Args:
        host: A name or an address, in ASCII.
        port: Where to connect.
        allow: Which addresses are allowed besides public ones.
        resolve: Looks the name up.

    Raises:
        FetchRefusedError: The name does not exist, or has an address that is not allowed.
        FetchUnreachableError: The name server or all addresses fail.
    """
    addresses = await _resolved(host, port, resolve)
    for address in addresses:
        check_address(host, port, address, allow)
    failures = []
    for left in range(len(addresses), 0, -1):
        address = addresses[-left]
        # A fair share of the time, so that an address that swallows packets leaves some to the next.
        share = (trio.current_effective_deadline() - trio.current_time()) / left
        with trio.move_on_after(max(0.0, share)):  # the deadline may have passed meanwhile
            try:
                return await trio.open_tcp_stream(address, port)
            except OSError as error:
                failures.append(f"{address}: {_reason(error)}")
                continue
        failures.append(f"{address}: timed out")
    raise FetchUnreachableError(f"cannot connect to {host}:{port} ({'; '.join(failures)})")


async def _resolved(host: str, port: int, resolve: Resolve) -> Sequence[str]:
    try:
        addresses = await resolve(host, port)
    except socket.gaierror as error:
        fault = FetchRefusedError if error.errno in _PERMANENT else FetchUnreachableError
        raise fault(f"cannot resolve {host}: {error.strerror}") from error
    except UnicodeError as error:
        raise FetchRefusedError(f"{host} is not a host name: {error}") from error
    except (OSError, RuntimeError) as error:  # no descriptor or thread is left
        raise FetchUnreachableError(f"cannot resolve {host}: {error}") from error
    if not addresses:
        raise FetchUnreachableError(f"cannot resolve {host}: no addresses")
    return addresses


def _reason(error: OSError) -> str:
    """Return the system's words without the address, which Trio repeats."""
    cause: BaseException | None = error
    while isinstance(cause, BaseExceptionGroup) or (cause and cause.__cause__):
        cause = cause.exceptions[0] if isinstance(cause, BaseExceptionGroup) else cause.__cause__
    number = getattr(cause, "errno", None)
    return os.strerror(number) if number else str(error)


async def secure(stream: trio.SocketStream, host: str, context: ssl.SSLContext) -> trio.abc.Stream:
    """Put TLS on a connection and check that the server is the one that the URL names.

    Raises:
        FetchRefusedError: The certificate is not the host's, or nobody we know vouches for it.
        FetchUnreachableError: The handshake broke.
    """
    secured = trio.SSLStream(stream, context, server_hostname=host, https_compatible=True)
    try:
        await secured.do_handshake()
    except trio.BrokenResourceError as error:
        cause = error.__cause__
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise FetchRefusedError(f"the certificate of {host}: {cause.verify_message}") from error
        raise FetchUnreachableError(f"no TLS with {host}: {cause or 'the connection broke'}") from error
    return secured
