"""S3Service: list, get, put and delete in one bucket, under one prefix.

Every key is checked against the prefix before anything is sent, and again when a server lists it. One
attempt a call: retrying is the caller's business.
"""

import time
from collections.abc import AsyncIterator, Callable

import httpx

from loadtest_trio.backends.s3.addressing import is_inside, locate
from loadtest_trio.backends.s3.client import Call, SignedClient, unobserved
from loadtest_trio.backends.s3.credentials import CredentialsSource
from loadtest_trio.backends.s3.errors import Asked
from loadtest_trio.backends.s3.listing import ListedObject, ListingError, ListingPage, parse_listing
from loadtest_trio.backends.s3.sigv4 import encode_query
from loadtest_trio.errors import S3RejectedError
from loadtest_trio.http.client.deadline_watch import DeadlineWatch
from loadtest_trio.http.client.http1 import Buffer
from loadtest_trio.metrics.counters import Observer

Page = list[ListedObject]
_DEFAULT_REGION = "us-east-1"


class S3Service:
    """Objects of one bucket, under one prefix.

    Args:
        transport: Sends the requests, with its own timeouts; closed by `aclose`.
        bucket: The bucket.
        region: Its AWS region; also of an S3-compatible endpoint, which usually ignores it.
        credentials: Where the keys come from.
        endpoint_url: An S3-compatible endpoint instead of AWS's own.
        prefix: Keys outside it are refused.
        sign_payload: Hash every body into its signature. Off by default: HTTPS already protects the
            body, and the hash of 200 KB costs as much CPU as the rest of the request. The AWS SDKs
            switch it on for plain HTTP; do so when a plain-HTTP path is not trusted.
        observe: Told about every HTTP request, by kind.
        now: The wall clock for signatures, in Unix seconds.
        watch: The transport's, if it has one: `run` runs it.

    Raises:
        ValueError: The endpoint URL is not usable.
    """

    def __init__(
        self,
        *,
        transport: httpx.AsyncBaseTransport,
        bucket: str,
        region: str,
        credentials: CredentialsSource,
        endpoint_url: str | None = None,
        prefix: str = "",
        sign_payload: bool = False,
        observe: Observer = unobserved,
        now: Callable[[], float] = time.time,
        watch: DeadlineWatch | None = None,
    ) -> None:
        self._bucket = bucket
        self._region = region
        self._prefix = prefix
        self._watch = watch or DeadlineWatch()
        self._address = locate(bucket, region, endpoint_url)
        self._client = SignedClient(
            transport=transport,
            address=self._address,
            region=region,
            credentials=credentials,
            sign_payload=sign_payload,
            observe=observe,
            now=now,
        )

    async def run(self) -> None:
        """Watch the deadlines of requests until cancelled; requests work without, at a higher price.

        End it after the last request: those under way then would have no deadline.
        """
        await self._watch.run()

    async def get(self, key: str) -> bytes | bytearray:
        """Download a whole object.

        Args:
            key: A key under the prefix.

        Returns:
            Its bytes; a bytearray when the transport received them into one.

        Raises:
            ValueError: The key lies outside the prefix.
            ObjectMissingError: There is no such object.
            S3Error: Anything else that went wrong.
            CredentialsError: There are no valid keys to sign with.
        """
        return await self._client.send(self._object_call("GET", key))

    async def put(self, key: str, body: Buffer) -> None:
        """Upload a whole object as plain text.

        Args:
            key: A key under the prefix.
            body: Its bytes; must not be changed before the call returns.

        Raises:
            ValueError: The key lies outside the prefix.
            S3Error: It was not stored, or it is not known whether it was.
            CredentialsError: There are no valid keys to sign with.
        """
        await self._client.send(self._object_call("PUT", key, (("content-type", "text/plain"),), body))

    async def delete(self, key: str) -> None:
        """Delete an object; S3 does not say whether it existed.

        Args:
            key: A key under the prefix.

        Raises:
            ValueError: The key lies outside the prefix.
            S3Error: It was not deleted, or it is not known whether it was.
            CredentialsError: There are no valid keys to sign with.
        """
        await self._client.send(self._object_call("DELETE", key))

    async def list(self) -> AsyncIterator[Page]:
        """List the objects under the prefix, page by page (up to 1,000 each).

        Yields:
            The objects of one page; a key that this service would refuse is left out.

        Raises:
            S3Error: A page could not be fetched, or is not a listing.
            CredentialsError: There are no valid keys to sign with.
        """
        token: str | None = None
        while True:
            page = await self._page(token)
            yield [each for each in page.objects if is_inside(each.key, self._prefix)]
            if page.next_token is None:
                return
            if page.next_token == token:
                raise self._not_a_listing("it repeats its continuation token")
            token = page.next_token

    async def check_bucket(self) -> None:
        """Find out whether the bucket can be used: one LIST of at most one object.

        A HEAD would do, but its answer has no body, and so no code that tells a wrong secret from a
        missing permission; LIST needs the same permission, which the service needs anyway.

        Raises:
            BucketMissingError: It does not exist.
            S3DeniedError: The keys are wrong or lack the permission.
            WrongRegionError: It is in another region.
            S3UnreachableError: There was no answer.
            S3RejectedError: The answer is not S3's.
            CredentialsError: There are no valid keys to sign with.
        """
        await self._page(None, limit=1)

    async def create_bucket(self) -> None:
        """Create the bucket; one that is already ours is fine.

        Raises:
            S3Error: It could not be created, or belongs to somebody else.
            CredentialsError: There are no valid keys to sign with.
        """
        body = b""
        if self._region != _DEFAULT_REGION:
            body = (
                '<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
                f"<LocationConstraint>{self._region}</LocationConstraint></CreateBucketConfiguration>"
            ).encode()
        asked = Asked("PUT", self._bucket, self._region)
        try:
            await self._client.send(Call(asked, "PUT", self._address.bucket_path, body=body))
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
        asked = Asked(method, self._bucket, self._region, key)
        return Call(asked, method, self._address.object_path(key), "", headers, body)

    async def _page(self, token: str | None, limit: int | None = None) -> ListingPage:
        parameters = [("list-type", "2"), ("encoding-type", "url"), ("prefix", self._prefix)]
        if token is not None:
            parameters.append(("continuation-token", token))
        if limit is not None:
            parameters.append(("max-keys", str(limit)))
        asked = Asked("LIST", self._bucket, self._region)
        body = await self._client.send(
            Call(asked, "GET", self._address.bucket_path, encode_query(parameters))
        )
        try:
            return parse_listing(body)
        except ListingError as error:
            raise self._not_a_listing(str(error)) from None

    def _not_a_listing(self, detail: str) -> S3RejectedError:
        return S3RejectedError(
            f"the answer to LIST is not an S3 listing ({detail}): check S3_ENDPOINT_URL",
            code="MalformedListing",
            status=200,
        )
