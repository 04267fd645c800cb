"""Signs one HTTP request, sends it and turns the answer into a body or a typed error.

    call ──► keys ──► sign ──► transport ──► body or typed error ──► observer
              ▲                                    │
              └────── expired: renew, retry once ──┘

Invariants: the signed path and query are the ones sent; a call is attempted once, or twice if newer
credentials may help; every exception of the transport becomes an `S3Error`; a cancelled call is not
observed.

Requests go straight to the transport instead of through `httpx.AsyncClient`, whose cookies, redirects,
environment proxies and event hooks S3 does not need and which cost more than the signature.
"""

from collections.abc import Callable

import attrs
import httpx
import trio

from loadtest_trio.backends.s3.addressing import Address
from loadtest_trio.backends.s3.credentials import Credentials, CredentialsSource
from loadtest_trio.backends.s3.errors import (
    STALE_CREDENTIALS,
    RequestContext,
    refused,
    truncated,
    unreachable,
)
from loadtest_trio.backends.s3.sigv4 import UNSIGNED_PAYLOAD, Signer, payload_hash
from loadtest_trio.errors import LoadtestError, S3DeniedError, S3Error
from loadtest_trio.http.client.http1 import Buffer, BufferStream
from loadtest_trio.metrics.counters import Observer

_CLEANUP_SECONDS = 1.0
_MAX_LENGTH_DIGITS = 18
_NO_BODY = BufferStream(b"")


@attrs.frozen
class Call:
    """A request before it is signed: everything that does not depend on the keys and the time.

    Attributes:
        context: What the request is about, for error messages.
        method: ``GET``, ``PUT`` or ``DELETE``.
        path: The encoded path.
        query: The canonical query string.
        headers: Names and values, besides ``host`` and those that signing adds.
        body: The request body.
    """

    context: RequestContext
    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: Buffer = b""


def unobserved(kind: str, seconds: float, size: int, error: LoadtestError | None) -> None:
    """Do nothing: the default observer."""


class SignedClient:
    """Sends calls to one bucket.

    Args:
        transport: Sends the requests and applies the timeouts; `aclose` closes it.
        address: The address of the bucket.
        region: The region to sign for.
        credentials: Supplies the keys.
        sign_payload: Include a hash of every body in its signature.
        observe: Called after every HTTP request: kind, seconds, bytes, error.
        unix_clock: The time of day in Unix seconds, for signatures.
    """

    def __init__(
        self,
        *,
        transport: httpx.AsyncBaseTransport,
        address: Address,
        region: str,
        credentials: CredentialsSource,
        sign_payload: bool,
        observe: Observer,
        unix_clock: Callable[[], float],
    ) -> None:
        self._transport = transport
        self._base = address.base
        self._host = ("host", address.host)
        self._signer = Signer(region)
        self._credentials = credentials
        self._sign_payload = sign_payload
        self._observe = observe
        self._unix_clock = unix_clock

    async def send(self, call: Call) -> bytes | bytearray:
        """Send a request; if S3 rejects the keys as expired, renew them and send it once more.

        Args:
            call: The request.

        Returns:
            The complete body of the response; a bytearray if the transport received it into one.

        Raises:
            S3Error: S3 rejected the request, or the response was incomplete.
            CredentialsError: There are no valid keys to sign with.
        """
        keys = await self._credentials.current()
        try:
            return await self._observed(call, keys)
        except S3DeniedError as error:
            if error.code not in STALE_CREDENTIALS:
                raise
            fresh = await self._credentials.renewed(keys)
            if fresh is keys:
                raise
        return await self._observed(call, fresh)

    async def _observed(self, call: Call, keys: Credentials) -> bytes | bytearray:
        started = trio.current_time()
        try:
            body = await self._exchange(call, keys)
        except S3Error as error:
            self._observe(call.context.kind, trio.current_time() - started, 0, error)
            raise
        self._observe(call.context.kind, trio.current_time() - started, len(call.body) + len(body), None)
        return body

    async def _exchange(self, call: Call, keys: Credentials) -> bytes | bytearray:
        try:
            response = await self._transport.handle_async_request(self._request(call, keys))
            whole: bytes | bytearray | None = response.extensions.get("body")  # complete
            body = await _read(response) if whole is None else whole
        except httpx.HTTPError as error:
            raise unreachable(call.context, error) from error
        if response.status_code >= 300:
            raise refused(call.context, response.status_code, response.headers, body)
        announced = _content_length(response) if whole is None else len(body)
        if announced is not None and announced != len(body):
            raise truncated(call.context, len(body), announced)
        return body

    def _request(self, call: Call, keys: Credentials) -> httpx.Request:
        payload = payload_hash(call.body) if self._sign_payload else UNSIGNED_PAYLOAD
        headers = self._signer.sign(
            call.method, call.path, call.query, [self._host, *call.headers], payload, keys, self._unix_clock()
        )
        stream = _NO_BODY
        if call.method == "PUT":
            headers.append(("content-length", str(len(call.body))))
            stream = BufferStream(call.body)
        target = f"{call.path}?{call.query}" if call.query else call.path
        # A parsed URL and `stream` spare httpx parsing the URL, guessing headers and copying the body.
        return httpx.Request(
            call.method,
            self._base,
            headers=headers,
            stream=stream,
            extensions={"target": target.encode("ascii")},
        )

    async def aclose(self) -> None:
        """Close the transport and its connections."""
        await self._transport.aclose()


async def _read(response: httpx.Response) -> bytes:
    """Read a body; release the connection even when reading fails or is cancelled."""
    try:
        return await response.aread()
    finally:
        with trio.move_on_after(_CLEANUP_SECONDS, shield=True):
            await response.aclose()


def _content_length(response: httpx.Response) -> int | None:
    """Return the announced length of the body; None if there is none or httpx has decoded the body."""
    announced = None
    # `response.headers[...]` would first guess the encoding of all headers.
    for name, value in response.headers.raw:
        match name.lower():
            case b"content-length":
                announced = int(value) if value.isdigit() and len(value) <= _MAX_LENGTH_DIGITS else None
            case b"content-encoding":
                return None
    return announced
