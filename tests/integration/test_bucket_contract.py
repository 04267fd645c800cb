"""MemoryBucket and S3Service behave alike: on SeaweedFS, and on scripted answers for faults."""

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Protocol

import httpx
import pytest

from loadtest_trio.backends.embedded import S3Server
from loadtest_trio.backends.s3 import BucketLocation, Credentials, Page, S3Service, Signing, StaticCredentials
from loadtest_trio.errors import BucketMissingError, LoadtestError, ObjectMissingError, S3Error
from loadtest_trio.http.client.transport import open_transport
from tests.support.memory_bucket import Fault, MemoryBucket


class Bucket(Protocol):
    """What both are."""

    async def get(self, key: str) -> bytes | bytearray: ...
    async def put(self, key: str, body: bytes | bytearray | memoryview) -> None: ...
    async def delete(self, key: str) -> None: ...
    def list(self) -> AsyncIterator[Page]: ...
    async def check_bucket(self) -> None: ...
    async def create_bucket(self) -> None: ...
    async def aclose(self) -> None: ...


Make = Callable[..., Bucket]


@pytest.fixture(params=["memory", "seaweedfs"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Makes clients of a bucket that does not exist yet."""
    if request.param == "memory":
        objects: dict[str, bytes] = {}
        defaults: dict[str, Any] = {"prefix": "p/", "exists": False}

        def make_memory(**options: Any) -> MemoryBucket:
            bucket = MemoryBucket(**(defaults | options))
            bucket.objects = objects
            return bucket

        yield make_memory
        return
    server: S3Server = request.getfixturevalue("s3_server")
    client: Any = request.getfixturevalue("s3_client")
    name = f"test-{uuid.uuid4().hex}"

    def make(prefix: str = "p/", **options: Any) -> S3Service:
        return S3Service(
            transport=open_transport("lean", max_connections=4),
            location=BucketLocation(name, "us-east-1", server.endpoint_url, prefix),
            signing=Signing(StaticCredentials(Credentials(server.access_key, server.secret_key))),
            **options,
        )

    yield make
    if any(each["Name"] == name for each in client.list_buckets()["Buckets"]):
        for each in client.list_objects_v2(Bucket=name).get("Contents", []):
            client.delete_object(Bucket=name, Key=each["Key"])
        client.delete_bucket(Bucket=name)


async def test_put_get_list_delete(make: Make) -> None:
    """A stored object is read, listed and deleted; deleting twice succeeds, reading it then is a miss."""
    bucket = make()
    await bucket.create_bucket()
    await bucket.create_bucket()
    await bucket.put("p/b", b"22")
    await bucket.put("p/a", bytearray(b"1"))
    await bucket.put("p/ü +%", memoryview(b"333"))
    assert await bucket.get("p/b") == b"22"
    await bucket.put("p/b", b"changed")
    assert await bucket.get("p/b") == b"changed"
    listed = [(each.key, each.size) async for page in bucket.list() for each in page.objects]
    assert listed == [("p/a", 1), ("p/b", 7), ("p/ü +%", 3)]
    await bucket.delete("p/a")
    await bucket.delete("p/a")
    with pytest.raises(ObjectMissingError) as caught:
        await bucket.get("p/a")
    assert (caught.value.code, caught.value.status, caught.value.key) == ("NoSuchKey", 404, "p/a")
    await bucket.aclose()


async def test_returned_bytes_are_a_copy(make: Make) -> None:
    """Changing bytes that were read or stored changes nothing in the bucket."""
    bucket = make()
    await bucket.create_bucket()
    sent = bytearray(b"abc")
    await bucket.put("p/a", sent)
    sent[0] = 120
    received = await bucket.get("p/a")
    if isinstance(received, bytearray):
        received[0] = 121
    assert await bucket.get("p/a") == b"abc"
    await bucket.aclose()


async def test_missing_bucket_is_reported_until_created(make: Make) -> None:
    """Without the bucket a check fails accordingly, until it is created."""
    bucket = make()
    with pytest.raises(BucketMissingError) as caught:
        await bucket.check_bucket()
    assert (caught.value.code, caught.value.status) == ("NoSuchBucket", 404)
    await bucket.create_bucket()
    await bucket.check_bucket()
    assert [page.objects async for page in bucket.list()] == [[]]
    await bucket.aclose()


async def test_operations_stay_within_the_prefix(make: Make) -> None:
    """Nothing outside the prefix is changed or listed."""
    inside, wider = make(), make(prefix="")
    await inside.create_bucket()
    await wider.create_bucket()
    await wider.put("q/other", b"1")
    await inside.put("p/mine", b"2")
    for call in (
        inside.get("q/other"),
        inside.delete("q/other"),
        inside.put("", b""),
        inside.get("p/../q/other"),
    ):
        with pytest.raises(ValueError, match="outside the prefix"):
            await call
    assert [each.key async for page in inside.list() for each in page.objects] == ["p/mine"]
    await wider.delete("q/other")
    for bucket in (inside, wider):
        await bucket.aclose()


async def test_requests_are_observed(make: Make) -> None:
    """The observer receives every request: its kind, bytes of both directions, and error."""
    seen: list[tuple[str, int, type | None]] = []

    def observe(kind: str, seconds: float, size: int, error: LoadtestError | None) -> None:
        assert seconds >= 0
        seen.append((kind, size, type(error) if error else None))

    bucket = make(observe=observe)
    await bucket.create_bucket()
    seen.clear()
    await bucket.put("p/a", b"12345")
    await bucket.get("p/a")
    await bucket.delete("p/a")
    with pytest.raises(ObjectMissingError):
        await bucket.get("p/a")
    assert seen == [("PUT", 5, None), ("GET", 5, None), ("DELETE", 0, None), ("GET", 0, ObjectMissingError)]
    async for _ in bucket.list():
        assert seen[-1][0] == "LIST"
    await bucket.aclose()


async def test_listing_is_paged_in_byte_order() -> None:
    """MemoryBucket lists 2,500 keys like S3: pages of up to 1,000, in byte order."""
    bucket = MemoryBucket(prefix="p/")
    bucket.objects = {f"p/{i}": b"x" for i in range(2500)}
    pages = [page.objects async for page in bucket.list()]
    assert [len(page) for page in pages] == [1000, 1000, 500]
    assert [each.key for page in pages for each in page] == sorted(f"p/{i}" for i in range(2500))


def _answer(status: int, code: str) -> Callable[[httpx.Request], httpx.Response]:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>"
    return lambda request: httpx.Response(status, content=body.encode())


def _raise(error: httpx.TransportError) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error

    return answer


def _cut_short(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, headers={"content-length": "10"}, content=b"12345")


ANSWERS = {
    Fault.UNREACHABLE: _raise(httpx.ConnectError("refused")),
    Fault.LOST_ANSWER: _raise(httpx.ReadError("reset")),
    Fault.SERVER_ERROR: _answer(500, "InternalError"),
    Fault.SLOW_DOWN: _answer(503, "SlowDown"),
    Fault.DENIED: _answer(403, "AccessDenied"),
    Fault.MISSING: _answer(404, "NoSuchKey"),
    Fault.TRUNCATED: _cut_short,
}


async def failure(bucket: Bucket) -> tuple[Any, ...]:
    """Return what a GET that fails says."""
    with pytest.raises(S3Error) as caught:
        await bucket.get("p/a")
    error = caught.value
    return type(error), error.code, error.status, error.key, error.retryable, error.fault


@pytest.mark.parametrize("fault", list(Fault), ids=lambda fault: fault.name.lower())
async def test_faults_raise_the_same_errors(fault: Fault) -> None:
    """Each fault of MemoryBucket raises the error that S3Service raises for that answer."""
    memory = MemoryBucket(prefix="p/")
    memory.objects["p/a"] = b"1234567890"
    memory.break_down(fault)
    real = S3Service(
        transport=httpx.MockTransport(ANSWERS[fault]),
        location=BucketLocation("bucket", "us-east-1", "http://localhost", "p/"),
        signing=Signing(StaticCredentials(Credentials("AK", "secret"))),
    )
    assert await failure(memory) == await failure(real)
    memory.recover()
    assert await memory.get("p/a") == b"1234567890"


async def test_request_with_lost_answer_took_effect() -> None:
    """A request whose answer is lost was carried out; an unreachable S3 did nothing."""
    bucket = MemoryBucket()
    for fault, stored in ((Fault.UNREACHABLE, False), (Fault.LOST_ANSWER, True)):
        bucket.break_down(fault, times=1)
        with pytest.raises(S3Error):
            await bucket.put("a", b"1")
        assert ("a" in bucket.objects) is stored
    await bucket.put("a", b"2")
    assert bucket.objects == {"a": b"2"}
