"""Signs one HTTP request, sends it and turns the answer into a body or a typed error.

    call ──► keys ──► sign ──► transport ──► body or typed error ──► observer, outage detector
              ▲                                    │
              └── keys renewed, clock corrected, ──┘
                  redirected: once more

Invariants: the signed path and query are the ones sent; a call is sent once, or twice if something about
it can be mended at once; every exception of the transport becomes an `S3Error`; a cancelled call is not
observed.

Requests go straight to the transport instead of through `httpx.AsyncClient`, whose cookies, redirects,
environment proxies and event hooks S3 does not need and which cost more than the signature.
"""

import time
from collections.abc import Callable

import attrs
import httpx
import trio

from loadtest_trio.backends.s3.addressing import Address, BucketLocation, follow_redirect, locate
from loadtest_trio.backends.s3.answers import check_success
from loadtest_trio.backends.s3.credentials import Credentials, CredentialsSource
from loadtest_trio.backends.s3.errors import RequestContext, refused, truncated, unreachable
from loadtest_trio.backends.s3.outage_detector import Outage, OutageDetector
from loadtest_trio.backends.s3.sigv4 import UNSIGNED_PAYLOAD, Signer, payload_hash
from loadtest_trio.errors import (
    ClockSkewError,
    LoadtestError,
    S3CredentialsError,
    S3DeniedError,
    S3Error,
    S3RedirectedError,
)
from loadtest_trio.http.client.http1 import Buffer, BufferStream, raw_body
from loadtest_trio.metrics import logs
from loadtest_trio.metrics.counters import Observer

_CLEANUP_SECONDS = 1.0
_MAX_LENGTH_DIGITS = 18
_MIN_SKEW_SECONDS = 60.0
_NO_BODY = BufferStream(b"")
_FOLLOWED = frozenset({307, 308})
Body = bytes | bytearray


@attrs.frozen
class Call:
    """A request before it is signed: everything that does not depend on the keys and the time.

    Attributes:
        context: What the request is about, for error messages.
        method: ``GET``, ``PUT`` or ``DELETE``.
        query: The canonical query string.
        headers: Names and values, besides ``host`` and those that signing adds.
        body: The request body.
    """

    context: RequestContext
    method: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: Buffer = b""


@attrs.frozen
class Signing:
    """How requests are signed.

    Attributes:
        credentials: Supplies the keys.
        sign_payload: Include a hash of every body in its signature. Off by default: HTTPS already protects
            the body, and hashing 200 KB costs as much CPU as the rest of the request. The AWS SDKs do it
            over plain HTTP; do the same on a network that is not trusted.
        unix_clock: The time of day in Unix seconds.
    """

    credentials: CredentialsSource
    sign_payload: bool = False
    unix_clock: Callable[[], float] = time.time


@attrs.frozen
class _Attempt:
    """What may differ between the two attempts at a call.

    Attributes:
        keys: What to sign with.
        address: Where to send.
        skew: S3's clock minus ours, in seconds.
        final: Whether its error is the call's.
    """

    keys: Credentials
    address: Address
    skew: float
    final: bool = False


def unobserved(kind: str, seconds: float, size: int, error: LoadtestError | None) -> None:
    """Do nothing: the default observer."""


def unreported(outage: Outage | None) -> None:
    """Do nothing: the default listener for outages."""


class SignedClient:
    """Sends calls to one bucket.

    Args:
        transport: Sends the requests and applies the timeouts; `aclose` closes it.
        location: The bucket.
        signing: How requests are signed.
        observe: Called after every HTTP request: kind, seconds, bytes, error.
        on_outage: Called after every call with the present outage, or None.

    Attributes:
        address: The address of the bucket.
    """

    def __init__(
        self,
        *,
        transport: httpx.AsyncBaseTransport,
        location: BucketLocation,
        signing: Signing,
        observe: Observer,
        on_outage: Callable[[Outage | None], None],
    ) -> None:
        self.address = locate(location)
        self._transport = transport
        self._bucket = location.bucket
        self._signer = Signer(location.region)
        self._signing = signing
        self._observe = observe
        self._on_outage = on_outage
        self._outages = OutageDetector(trio.current_time)
        self._in_outage = False
        self._skew = 0.0  # of the next attempt

    async def send(self, call: Call) -> Body:
        """Send a request; once more if its keys, its time of signing or its address can be mended at once.

        Args:
            call: The request.

        Returns:
            The complete body of the response; a bytearray if the transport received it into one.

        Raises:
            S3Error: S3 rejected the request, or the response was incomplete.
            CredentialsError: There are no valid keys to sign with.
        """
        try:
            body = await self._sent(call)
        except LoadtestError as error:
            self._conclude(call.context, error)
            raise
        self._conclude(call.context, None)
        return body

    async def probe(self, call: Call) -> None:
        """Send a request for the bucket to find out whether S3 as a whole is out; its error is not raised."""
        error: LoadtestError | None = None
        try:
            await self._sent(call)
        except LoadtestError as failure:
            error = failure
        self._note(self._outages.observe_probe(error))

    async def _sent(self, call: Call) -> Body:
        keys = await self._signing.credentials.current()
        outcome = await self._observed(call, _Attempt(keys, self.address, self._skew))
        if isinstance(outcome, _Attempt):
            outcome = await self._observed(call, outcome)
        assert not isinstance(outcome, _Attempt), "a final attempt returns a body or raises"
        return outcome

    def _conclude(self, context: RequestContext, error: LoadtestError | None) -> None:
        self._note(self._outages.observe(context.kind, context.key, error))

    def _note(self, outage: Outage | None) -> None:
        self._in_outage = outage is not None
        self._on_outage(outage)

    async def _observed(self, call: Call, attempt: _Attempt) -> Body | _Attempt:
        """Make an attempt; return the body, or the attempt that may succeed instead."""
        started = trio.current_time()
        try:
            body = await self._exchange(call, attempt)
        except S3Error as error:
            self._observe(call.context.kind, trio.current_time() - started, 0, error)
            better = None if attempt.final else await self._mend(attempt, error)
            if better is None:
                raise
            return better
        self._observe(call.context.kind, trio.current_time() - started, len(call.body) + len(body), None)
        return body

    async def _mend(self, attempt: _Attempt, error: S3Error) -> _Attempt | None:
        """Return an attempt without the fault of the last one, if there is one."""
        if isinstance(error, ClockSkewError) and error.server_time is not None:
            skew = self._correct_clock(error.server_time)
            corrected = abs(skew - attempt.skew) >= _MIN_SKEW_SECONDS  # here, or by another call meanwhile
            return attrs.evolve(attempt, skew=skew, final=True) if corrected else None
        if isinstance(error, S3RedirectedError) and error.status in _FOLLOWED:
            address = follow_redirect(attempt.address, self._bucket, error.location)
            return attrs.evolve(attempt, address=address, final=True) if address else None
        if isinstance(error, S3DeniedError) and self._renewable(error):
            fresh = await self._signing.credentials.renewed(attempt.keys)
            return attrs.evolve(attempt, keys=fresh, final=True) if fresh != attempt.keys else None
        return None

    def _renewable(self, error: S3DeniedError) -> bool:
        """Return whether newer keys may help; keys that are denied everything may have been replaced."""
        return (
            isinstance(error, S3CredentialsError) or error.code == "SignatureDoesNotMatch" or self._in_outage
        )

    def _correct_clock(self, server_time: float) -> float:
        """Sign with S3's clock from now on, as the AWS SDKs do; return how far ours is behind."""
        skew = server_time - self._signing.unix_clock()
        if abs(skew - self._skew) >= _MIN_SKEW_SECONDS:
            self._skew = skew
            logs.event("clock_corrected", "WARNING", seconds=round(skew, 1), source="S3")
        return self._skew

    async def _exchange(self, call: Call, attempt: _Attempt) -> Body:
        try:
            response = await self._transport.handle_async_request(self._request(call, attempt))
            whole: Body | None = response.extensions.get("body")  # complete
            body = await _read(response) if whole is None else whole
        except httpx.HTTPError as error:
            raise unreachable(call.context, error) from error
        if response.status_code >= 300:
            raise refused(call.context, response.status_code, response.headers, body)
        announced = _content_length(response) if whole is None else len(body)
        if announced is not None and announced != len(body):
            raise truncated(call.context, len(body), announced)
        fault = check_success(call.context, response.status_code, lambda: response.headers, body)
        if fault is not None:
            raise fault
        return body

    def _request(self, call: Call, attempt: _Attempt) -> httpx.Request:
        address, signing = attempt.address, self._signing
        path = address.path(call.context.key)
        payload = payload_hash(call.body) if signing.sign_payload else UNSIGNED_PAYLOAD
        headers = self._signer.sign(
            call.method,
            path,
            call.query,
            [("host", address.host), *call.headers],
            payload,
            attempt.keys,
            signing.unix_clock() + attempt.skew,
        )
        stream = _NO_BODY
        if call.method == "PUT":
            headers.append(("content-length", str(len(call.body))))
            stream = BufferStream(call.body)
        target = f"{path}?{call.query}" if call.query else path
        # A parsed URL and `stream` spare httpx parsing the URL, guessing headers and copying the body.
        return httpx.Request(
            call.method,
            address.base,
            headers=headers,
            stream=stream,
            extensions={"target": target.encode("ascii")},
        )

    async def aclose(self) -> None:
        """Close the transport and its connections."""
        await self._transport.aclose()


async def _read(response: httpx.Response) -> bytes:
    """Read a body as it was sent; release the connection even when reading fails or is cancelled."""
    try:
        return await raw_body(response)
    finally:
        with trio.move_on_after(_CLEANUP_SECONDS, shield=True):
            await response.aclose()


def _content_length(response: httpx.Response) -> int | None:
    """Return the announced length of the body; None if there is none."""
    # `response.headers[...]` would first guess the encoding of all headers.
    for name, value in response.headers.raw:
        if name.lower() == b"content-length":
            return int(value) if value.isdigit() and len(value) <= _MAX_LENGTH_DIGITS else None
    return None
