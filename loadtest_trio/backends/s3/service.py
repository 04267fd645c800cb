"""S3Service: list, get, put and delete objects of one bucket, under one prefix.

Every key is checked against the prefix before a request is sent, and again when a server lists it. A call
makes one attempt; the caller decides about retries.
"""

from collections.abc import AsyncIterator, Callable
from math import inf

import attrs
import httpx
import trio

from loadtest_trio.backends.s3.addressing import BucketLocation, is_inside
from loadtest_trio.backends.s3.client import Body, Call, SignedClient, Signing, unobserved, unreported
from loadtest_trio.backends.s3.errors import RequestContext, too_large
from loadtest_trio.backends.s3.listing import ListedObject, ListingError, ListingPage, parse_listing
from loadtest_trio.backends.s3.outage_detector import Outage
from loadtest_trio.backends.s3.sigv4 import encode_query
from loadtest_trio.errors import S3RejectedError
from loadtest_trio.http.client.deadline_watch import DeadlineWatch
from loadtest_trio.http.client.http1 import Buffer
from loadtest_trio.metrics.counters import Observer

_DEFAULT_REGION = "us-east-1"
_PROBE_SECONDS = 1.0
_MAX_EMPTY_PAGES = 1000  # in a row; S3 sends some where a bucket holds many delete markers


@attrs.frozen
class Page:
    """One page of a listing.

    Attributes:
        objects: The objects that the service can name.
        skipped: Why others were left out -> how many.
    """

    objects: list[ListedObject]
    skipped: dict[str, int] = attrs.field(factory=dict)


class _ListingProgress:
    """Notices a listing that never ends, because the server does not heed the continuation token."""

    def __init__(self) -> None:
        self._tokens: set[str] = set()
        self._last_keys: set[str] = set()
        self._empty_pages = 0

    def fault(self, page: ListingPage) -> str:
        """Return what is wrong with the listing up to this page; "" for nothing."""
        if page.next_token is None:
            return ""
        if page.next_token in self._tokens:
            return "it repeats its continuation token"
        self._tokens.add(page.next_token)
        self._empty_pages = 0 if page.objects else self._empty_pages + 1
        if self._empty_pages > _MAX_EMPTY_PAGES:
            return f"{self._empty_pages} pages in a row hold no object"
        last_key = page.objects[-1].key if page.objects else ""
        if last_key and last_key in self._last_keys:
            return "it repeats its objects: the server does not heed continuation tokens"
        self._last_keys.add(last_key)
        return ""


class S3Service:
    """Objects of one bucket, under one prefix.

    Args:
        transport: Sends the requests and applies the timeouts; `aclose` closes it.
        location: The bucket, where it is, and the prefix.
        signing: How requests are signed.
        observe: Called after every HTTP request: kind, seconds, bytes, error.
        on_outage: Called after every call with the present outage of S3 as a whole, or None.
        deadline_watch: The watch of the transport, if it has one; `run` runs it.

    Raises:
        ValueError: The endpoint URL is not usable.
    """

    def __init__(
        self,
        *,
        transport: httpx.AsyncBaseTransport,
        location: BucketLocation,
        signing: Signing,
        observe: Observer = unobserved,
        on_outage: Callable[[Outage | None], None] = unreported,
        deadline_watch: DeadlineWatch | None = None,
    ) -> None:
        self._bucket = location.bucket
        self._region = location.region
        self._prefix = location.prefix
        self._max_object_bytes = location.max_object_bytes
        self._deadline_watch = deadline_watch or DeadlineWatch()
        self._probing, self._probe_at = trio.Lock(), -inf
        self._client = SignedClient(
            transport=transport, location=location, signing=signing, observe=observe, on_outage=on_outage
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Enforce the deadlines of requests until cancelled.

        Requests work without it, at a higher cost. Cancel it after the last request has ended: a request
        under way would lose its deadline.
        """
        await self._deadline_watch.run(task_status=task_status)

    async def get(self, key: str) -> Body:
        """Download a whole object.

        Args:
            key: A key under the prefix.

        Returns:
            Its bytes; a bytearray if the transport received them into one.

        Raises:
            ValueError: The key lies outside the prefix.
            ObjectMissingError: The object does not exist.
            ObjectTooLargeError: The object is larger than the location allows.
            S3Error: The request failed otherwise.
            CredentialsError: There are no valid keys to sign with.
        """
        call = self._object_call("GET", key)
        body = await self._client.send(call)
        if len(body) > self._max_object_bytes:
            raise too_large(call.context)
        return body

    async def put(self, key: str, body: Buffer) -> None:
        """Upload a whole object as plain text.

        Args:
            key: A key under the prefix.
            body: Its bytes; they must not change before the call returns.

        Raises:
            ValueError: The key lies outside the prefix.
            S3Error: The object was not stored, or the outcome is unknown.
            CredentialsError: There are no valid keys to sign with.
        """
        await self._client.send(self._object_call("PUT", key, (("content-type", "text/plain"),), body))

    async def delete(self, key: str) -> None:
        """Delete an object; S3 does not report whether it existed.

        Args:
            key: A key under the prefix.

        Raises:
            ValueError: The key lies outside the prefix.
            S3Error: The object was not deleted, or the outcome is unknown.
            CredentialsError: There are no valid keys to sign with.
        """
        await self._client.send(self._object_call("DELETE", key))

    async def list(self) -> AsyncIterator[Page]:
        """List the objects under the prefix, page by page (up to 1,000 each).

        Yields:
            One page; keys that are not UTF-8 or lie outside the prefix are skipped.

        Raises:
            S3Error: A page could not be fetched, or the response is not a listing.
            CredentialsError: There are no valid keys to sign with.
        """
        token: str | None = None
        progress = _ListingProgress()
        while True:
            page = await self._page(token)
            if fault := progress.fault(page):
                raise self._not_a_listing(fault)
            inside = [each for each in page.objects if is_inside(each.key, self._prefix)]
            skipped = {"key_not_utf8": page.unreadable, "outside_prefix": len(page.objects) - len(inside)}
            yield Page(inside, {reason: number for reason, number in skipped.items() if number})
            if page.next_token is None:
                return
            token = page.next_token

    async def check_bucket(self) -> None:
        """Check that the bucket can be used: one LIST of at most one object.

        Not a HEAD, whose response has no body and so no error code that tells a wrong secret from a
        missing permission. Both need the same permission.

        Raises:
            BucketMissingError: The bucket does not exist.
            S3DeniedError: The keys are wrong or lack the permission.
            WrongRegionError: The bucket is in another region.
            S3UnreachableError: There was no connection.
            S3RejectedError: The response is not a listing.
            CredentialsError: There are no valid keys to sign with.
        """
        await self._page(None, limit=1)

    async def probe(self) -> None:
        """Find out whether S3 as a whole is out, with a LIST of at most one object, once a second at most.

        The outcome goes where those of all requests go: to `on_outage`.
        """
        async with self._probing:
            if trio.current_time() < self._probe_at:
                return
            await self._client.probe(self._list_call(None, limit=1))
            self._probe_at = trio.current_time() + _PROBE_SECONDS

    async def create_bucket(self) -> None:
        """Create the bucket, unless it already exists and is ours.

        Raises:
            S3Error: The bucket could not be created, or belongs to another account.
            CredentialsError: There are no valid keys to sign with.
        """
        body = b""
        if self._region != _DEFAULT_REGION:
            body = (
                '<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
                f"<LocationConstraint>{self._region}</LocationConstraint></CreateBucketConfiguration>"
            ).encode()
        context = RequestContext("PUT", self._bucket, self._region)
        try:
            await self._client.send(Call(context, "PUT", body=body))
        except S3RejectedError as error:
            if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                raise
            await self.check_bucket()

    async def aclose(self) -> None:
        """Close the transport and its connections."""
        await self._client.aclose()

    def _object_call(
        self, method: str, key: str, headers: tuple[tuple[str, str], ...] = (), body: Buffer = b""
    ) -> Call:
        if not is_inside(key, self._prefix):
            raise ValueError(f"key {key!r} is outside the prefix {self._prefix!r}")
        context = RequestContext(method, self._bucket, self._region, key)
        return Call(context, method, headers=headers, body=body)

    async def _page(self, token: str | None, limit: int | None = None) -> ListingPage:
        body = await self._client.send(self._list_call(token, limit))
        try:
            return parse_listing(body)
        except ListingError as error:
            raise self._not_a_listing(str(error)) from None

    def _list_call(self, token: str | None, limit: int | None = None) -> Call:
        parameters = [("list-type", "2"), ("encoding-type", "url"), ("prefix", self._prefix)]
        if token is not None:
            parameters.append(("continuation-token", token))
        if limit is not None:
            parameters.append(("max-keys", str(limit)))
        return Call(RequestContext("LIST", self._bucket, self._region), "GET", encode_query(parameters))

    def _not_a_listing(self, detail: str) -> S3RejectedError:
        return S3RejectedError(
            f"the answer to LIST is not an S3 listing ({detail}): check S3_ENDPOINT_URL",
            code="MalformedListing",
            status=200,
        )
