"""One signed HTTP request: keys, signature, transport, and what the answer means.

    call ──► keys ──► sign ──► transport ──► body or typed error ──► observer
              ▲                                    │
              └───── expired: renew, once more ────┘

Invariants: what is signed is what is sent, because both use the same encoded path and query; one attempt
a call, except after an answer that newer credentials may cure; every exception of the transport leaves
here as an `S3Error`; a cancelled call is not observed.

Requests go straight to the transport, not through `httpx.AsyncClient`: cookies, redirects, environment
proxies and event hooks are of no use to S3 and cost more than the signature.
"""

from collections.abc import Callable

import attrs
import httpx
import trio

from loadtest_trio.backends.s3.addressing import Address
from loadtest_trio.backends.s3.credentials import Credentials, CredentialsSource
from loadtest_trio.backends.s3.errors import STALE_CREDENTIALS, Asked, refused, truncated, unreachable
from loadtest_trio.backends.s3.sigv4 import UNSIGNED_PAYLOAD, Signer, payload_hash
from loadtest_trio.errors import LoadtestError, S3DeniedError, S3Error
from loadtest_trio.http.client.http1 import Buffer, BufferStream
from loadtest_trio.metrics.counters import Observer

_CLEANUP_SECONDS = 1.0
_MAX_LENGTH_DIGITS = 18
_NO_BODY = BufferStream(b"")


@attrs.frozen
class Call:
    """One request before it is signed: everything that does not depend on the keys and the time."""

    asked: Asked
    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: Buffer = b""


def unobserved(kind: str, seconds: float, size: int, error: LoadtestError | None) -> None:
    """Observe nothing."""


class SignedClient:
    """Sends calls to one bucket's address.

    Args:
        transport: Sends the requests, with its own timeouts; closed by `aclose`.
        address: Where the bucket is.
        region: The region to sign for.
        credentials: Where the keys come from.
        sign_payload: Hash every body into its signature.
        observe: Told about every HTTP request, by kind.
        now: The wall clock for signatures, in Unix seconds.
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
        now: Callable[[], float],
    ) -> None:
        self._transport = transport
        self._base = address.base
        self._host = ("host", address.host)
        self._signer = Signer(region)
        self._credentials = credentials
        self._sign_payload = sign_payload
        self._observe = observe
        self._now = now

    async def send(self, call: Call) -> bytes | bytearray:
        """Send a request; if its keys have gone stale, once more with newer ones.

        Args:
            call: The request.

        Returns:
            The body of the answer, complete; a bytearray when the transport received it into one.

        Raises:
            S3Error: The answer is a refusal, or did not come whole.
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
            self._observe(call.asked.kind, trio.current_time() - started, 0, error)
            raise
        self._observe(call.asked.kind, trio.current_time() - started, len(call.body) + len(body), None)
        return body

    async def _exchange(self, call: Call, keys: Credentials) -> bytes | bytearray:
        try:
            response = await self._transport.handle_async_request(self._request(call, keys))
            whole: bytes | bytearray | None = response.extensions.get("body")  # its length was checked
            body = await _read(response) if whole is None else whole
        except httpx.HTTPError as error:
            raise unreachable(call.asked, error) from error
        if response.status_code >= 300:
            raise refused(call.asked, response.status_code, response.headers, body)
        announced = _content_length(response) if whole is None else len(body)
        if announced is not None and announced != len(body):
            raise truncated(call.asked, len(body), announced)
        return body

    def _request(self, call: Call, keys: Credentials) -> httpx.Request:
        payload = payload_hash(call.body) if self._sign_payload else UNSIGNED_PAYLOAD
        headers = self._signer.sign(
            call.method, call.path, call.query, [self._host, *call.headers], payload, keys, self._now()
        )
        stream = _NO_BODY
        if call.method == "PUT":
            headers.append(("content-length", str(len(call.body))))
            stream = BufferStream(call.body)
        target = f"{call.path}?{call.query}" if call.query else call.path
        # A parsed URL and `stream` keep httpx from parsing, guessing headers and joining the body.
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
    """Read a body, and give the connection back also when that fails or is cancelled."""
    try:
        return await response.aread()
    finally:
        with trio.move_on_after(_CLEANUP_SECONDS, shield=True):
            await response.aclose()


def _content_length(response: httpx.Response) -> int | None:
    """Return the announced length of the body, None when there is none or httpx has decoded the body."""
    announced = None
    # Not `response.headers[...]`, which first guesses an encoding over all headers.
    for name, value in response.headers.raw:
        match name.lower():
            case b"content-length":
                announced = int(value) if value.isdigit() and len(value) <= _MAX_LENGTH_DIGITS else None
            case b"content-encoding":
                return None
    return announced
