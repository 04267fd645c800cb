"""S3Service against servers: SeaweedFS, which checks signatures, and moto; over both transports."""

import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any, Literal

import attrs
import botocore.session
import httpx
import pytest
import trio

from loadtest_trio.backends.embedded import S3Server
from loadtest_trio.backends.embedded.ports import LOOPBACK, free_ports
from loadtest_trio.backends.s3 import BucketLocation, Credentials, S3Service, Signing, StaticCredentials
from loadtest_trio.errors import (
    BucketMissingError,
    ClockSkewError,
    ObjectMissingError,
    S3DeniedError,
    S3Error,
    S3UnreachableError,
)
from loadtest_trio.http.client.transport import open_transport

ODD_KEYS = [
    "a b",
    "a+b",
    "a%20b",
    "100%",
    "~tilde",
    "ünï/日本/😀",
    ".hidden",
    "...",
    "a..b",
    "q?x=1&y#z",
    "(!*')",
    ":;,@=$",
    '"<>^`{|}',
    "tab\tkey",
    "\x01\x7f",
    " lead and trail ",
]
# SeaweedFS keeps objects in a file system and resolves these; moto cannot route a line break.
SEAWEED_ONLY, MOTO_ONLY = ["line\nbreak"], ["a//b", "/lead", "a/./b", "back\\slash", "trail/"]

Make = Callable[..., S3Service]


KINDS: list[Literal["lean", "httpx"]] = ["lean", "httpx"]


def connect(
    kind: Literal["lean", "httpx"], endpoint_url: str, bucket: str, keys: Credentials, **options: Any
) -> S3Service:
    """Make a service over one kind of transport."""
    region, prefix = options.pop("region", "us-east-1"), options.pop("prefix", "p/")
    return S3Service(
        transport=open_transport(kind, max_connections=8),
        location=BucketLocation(bucket, region, endpoint_url, prefix),
        signing=Signing(
            StaticCredentials(keys), options.pop("sign_payload", False), options.pop("unix_clock", time.time)
        ),
        **options,
    )


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest) -> Make:
    """Make services over one of the two transports: the test runs once on each."""
    return partial(connect, request.param)


@pytest.fixture
def keys(s3_server: S3Server) -> Credentials:
    """The keys of SeaweedFS."""
    return Credentials(s3_server.access_key, s3_server.secret_key)


@pytest.fixture
def new_bucket() -> str:
    """A name nobody uses."""
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture
def seaweed_bucket(s3_client: Any, new_bucket: str) -> Iterator[str]:
    """A bucket on SeaweedFS, removed afterwards with what botocore still finds in it."""
    s3_client.create_bucket(Bucket=new_bucket)
    yield new_bucket
    for each in s3_client.list_objects_v2(Bucket=new_bucket).get("Contents", []):
        s3_client.delete_object(Bucket=new_bucket, Key=each["Key"])
    s3_client.delete_bucket(Bucket=new_bucket)


async def round_trip(s3: S3Service, names: list[str]) -> None:
    """Put, list, get and delete an object of each name under the prefix."""
    bodies = {f"p/{name}": f"body of {name}".encode() for name in names}
    for key, body in bodies.items():
        await s3.put(key, bytearray(body))
    listed = {each.key: each async for page in s3.list() for each in page.objects}
    assert listed.keys() == bodies.keys()
    for key, body in bodies.items():
        assert await s3.get(key) == body
        assert listed[key].size == len(body)
        await s3.delete(key)
        await s3.delete(key)
        with pytest.raises(ObjectMissingError) as caught:
            await s3.get(key)
        assert (caught.value.code, caught.value.status, caught.value.key) == ("NoSuchKey", 404, key)
    assert [page.objects async for page in s3.list()] == [[]]
    await s3.aclose()


@pytest.mark.parametrize("sign_payload", [False, True])
async def test_odd_keys_on_seaweedfs(
    make: Make, s3_server: S3Server, keys: Credentials, seaweed_bucket: str, sign_payload: bool
) -> None:
    """Keys of every kind survive put, list, get and delete where signatures are checked."""
    s3 = make(s3_server.endpoint_url, seaweed_bucket, keys, sign_payload=sign_payload)
    await round_trip(s3, ODD_KEYS + SEAWEED_ONLY)


async def test_odd_keys_on_moto(make: Make, moto_endpoint: str, new_bucket: str) -> None:
    """The same on moto, with the keys that only a real key-value store keeps apart."""
    s3 = make(moto_endpoint, new_bucket, Credentials("AK", "secret"))
    await s3.create_bucket()
    await round_trip(s3, ODD_KEYS + MOTO_ONLY)


async def test_botocore_sees_what_we_wrote(
    make: Make, s3_server: S3Server, s3_client: Any, keys: Credentials, seaweed_bucket: str
) -> None:
    """An object of 200 KB that we put is, byte for byte and by name and type, the one botocore gets."""
    s3 = make(s3_server.endpoint_url, seaweed_bucket, keys)
    body = bytes(range(256)) * 800
    await s3.put("p/ö +%", memoryview(body))
    answer = await trio.to_thread.run_sync(lambda: s3_client.get_object(Bucket=seaweed_bucket, Key="p/ö +%"))
    with closing(answer["Body"]) as stream:
        assert await trio.to_thread.run_sync(stream.read) == body
    assert answer["ContentType"] == "text/plain"
    assert await s3.get("p/ö +%") == body
    await s3.aclose()


async def test_long_listings_on_seaweedfs(
    s3_server: S3Server, keys: Credentials, seaweed_bucket: str
) -> None:
    """Keys of more than two pages come back once each over both transports, whatever page they fall on."""
    names = await fill(s3_server.endpoint_url, seaweed_bucket, keys, 2_005)
    await check_listing(s3_server.endpoint_url, seaweed_bucket, keys, names)
    s3 = connect("lean", s3_server.endpoint_url, seaweed_bucket, keys)
    await each_of(names, s3.delete)
    await s3.aclose()


async def test_long_listings_on_moto(moto_endpoint: str, new_bucket: str, keys: Credentials) -> None:
    """The same on moto, whose continuation tokens look different."""
    s3 = connect("lean", moto_endpoint, new_bucket, keys)
    await s3.create_bucket()
    await s3.aclose()
    names = await fill(moto_endpoint, new_bucket, keys, 1_005)
    await check_listing(moto_endpoint, new_bucket, keys, names)


async def fill(endpoint_url: str, bucket: str, keys: Credentials, count: int) -> list[str]:
    """Put `count` objects with odd names into a bucket and return the names."""
    names = [f"p/{'a b' if index % 20 else 'c'}/é+{index:05} %" for index in range(count)]
    s3 = connect("lean", endpoint_url, bucket, keys)
    await each_of(names, lambda name: s3.put(name, b"x"))
    await s3.aclose()
    return names


async def each_of(names: list[str], operation: Callable[[str], Awaitable[None]]) -> None:
    """Do something with every name, eight at a time."""

    async def lane(part: list[str]) -> None:
        for name in part:
            await operation(name)

    async with trio.open_nursery() as nursery:
        for start in range(8):
            nursery.start_soon(lane, names[start::8])


async def check_listing(endpoint_url: str, bucket: str, keys: Credentials, names: list[str]) -> None:
    """List over both transports, in pages of at most a thousand."""
    for kind in KINDS:
        s3 = connect(kind, endpoint_url, bucket, keys)
        pages = [[each.key for each in page.objects] async for page in s3.list()]
        await s3.aclose()
        assert len(pages) == len(names) // 1_000 + 1
        assert sorted(key for page in pages for key in page) == sorted(names)


async def test_only_the_prefix_is_listed(
    make: Make, s3_server: S3Server, keys: Credentials, seaweed_bucket: str
) -> None:
    """Objects outside the prefix are not seen through the service."""
    everything = make(s3_server.endpoint_url, seaweed_bucket, keys, prefix="")
    for key in ("p/a", "p2/a", "q", "p-a"):
        await everything.put(key, b"x")
    ours = make(s3_server.endpoint_url, seaweed_bucket, keys)
    assert [[each.key for each in page.objects] async for page in ours.list()] == [["p/a"]]
    for s3 in (everything, ours):
        await s3.aclose()


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (lambda keys: attrs.evolve(keys, secret_key="wrong"), "secret access key is wrong"),
        (lambda keys: attrs.evolve(keys, access_key="AKUNKNOWN"), "access key id is unknown"),
    ],
    ids=["secret", "id"],
)
async def test_wrong_keys_are_denied(
    make: Make,
    s3_server: S3Server,
    keys: Credentials,
    seaweed_bucket: str,
    change: Callable[[Credentials], Credentials],
    hint: str,
) -> None:
    """A server that checks signatures denies wrong keys, and the error says which half is wrong."""
    s3 = make(s3_server.endpoint_url, seaweed_bucket, change(keys))
    for operation in (s3.get("p/k"), s3.put("p/k", b"x"), s3.delete("p/k"), s3.check_bucket()):
        with pytest.raises(S3DeniedError, match=hint) as caught:
            await operation
        assert caught.value.status == 403
        assert caught.value.request_id
    await s3.aclose()


def assume_role(endpoint_url: str) -> Credentials:
    """Make a role on moto that may use S3, and get temporary keys for it (blocking)."""

    def client(service: str) -> Any:
        return botocore.session.Session().create_client(
            service, "us-east-1", endpoint_url=endpoint_url, aws_access_key_id="AK", aws_secret_access_key="s"
        )

    allow = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}'
    role = client("iam").create_role(RoleName="worker", AssumeRolePolicyDocument=allow)["Role"]
    client("iam").put_role_policy(RoleName="worker", PolicyName="s3", PolicyDocument=allow)
    keys = client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="test")["Credentials"]
    return Credentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])


def check_signatures(endpoint_url: str, after: str) -> None:
    """Tell moto after how many actions it starts to check signatures and permissions (blocking)."""
    httpx.post(f"{endpoint_url}/moto-api/reset-auth", content=after).raise_for_status()


async def test_session_token_where_signatures_are_checked(
    make: Make, moto_endpoint: str, new_bucket: str
) -> None:
    """Temporary keys of an assumed role work with their token, and not with a wrong secret or token."""
    role = await trio.to_thread.run_sync(assume_role, moto_endpoint)
    await trio.to_thread.run_sync(check_signatures, moto_endpoint, "0")
    try:
        s3 = make(moto_endpoint, new_bucket, role)
        await s3.create_bucket()
        await s3.put("p/k é", b"text")
        assert await s3.get("p/k é") == b"text"
        await s3.aclose()
        for wrong in (attrs.evolve(role, secret_key="wrong"), attrs.evolve(role, session_token="wrong")):
            s3 = make(moto_endpoint, new_bucket, wrong)
            with pytest.raises(S3DeniedError):
                await s3.get("p/k é")
            await s3.aclose()
    finally:
        await trio.to_thread.run_sync(check_signatures, moto_endpoint, "inf")


async def test_clock_that_is_off(
    make: Make, s3_server: S3Server, keys: Credentials, seaweed_bucket: str
) -> None:
    """A clock that is an hour off is corrected by a real server's answer: the request succeeds."""
    seen: list[type | None] = []
    s3 = make(
        s3_server.endpoint_url,
        seaweed_bucket,
        keys,
        unix_clock=lambda: time.time() - 3600,
        observe=lambda kind, seconds, size, error: seen.append(type(error) if error else None),
    )
    await s3.check_bucket()
    await s3.check_bucket()
    assert seen == [ClockSkewError, None, None]
    await s3.aclose()


async def test_missing_bucket(
    make: Make, s3_server: S3Server, keys: Credentials, moto_endpoint: str, new_bucket: str
) -> None:
    """Everything but a DELETE finds out that the bucket does not exist, on both servers."""
    for endpoint in (s3_server.endpoint_url, moto_endpoint):
        s3 = make(endpoint, new_bucket, keys)
        for operation in (s3.get("p/k"), s3.put("p/k", b"x"), s3.check_bucket()):
            with pytest.raises(BucketMissingError, match="S3_CREATE_BUCKET"):
                await operation
        await s3.aclose()


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
async def test_create_bucket(
    make: Make, s3_server: S3Server, s3_client: Any, keys: Credentials, moto_endpoint: str, region: str
) -> None:
    """A bucket is created, found usable, and creating it again is fine, in any region."""
    for endpoint in (s3_server.endpoint_url, moto_endpoint):
        name = f"test-{uuid.uuid4().hex}"
        s3 = make(endpoint, name, keys, region=region)
        await s3.create_bucket()
        await s3.check_bucket()
        await s3.create_bucket()
        await s3.aclose()
        if endpoint == s3_server.endpoint_url:
            await trio.to_thread.run_sync(partial(s3_client.delete_bucket, Bucket=name))


async def test_nobody_listens(make: Make, keys: Credentials) -> None:
    """A port where nobody listens is unreachable, retryable, and says so."""
    s3 = make(f"http://{LOOPBACK}:{free_ports(1)[0]}", "bucket", keys)
    with pytest.raises(S3UnreachableError) as caught:
        await s3.check_bucket()
    assert (caught.value.code, caught.value.retryable) == ("ConnectError", True)
    await s3.aclose()


async def test_what_goes_over_the_wire(make: Make, keys: Credentials) -> None:
    """The request line carries the signed path byte for byte: no transport resolves or re-encodes it."""
    lines: list[bytes] = []

    async def answer(stream: trio.SocketStream) -> None:
        head = await stream.receive_some()
        lines.append(head.partition(b"\r\n")[0])
        await stream.send_all(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host=LOOPBACK)
        nursery.start_soon(trio.serve_listeners, answer, [listener])
        s3 = make(f"http://{LOOPBACK}:{listener.socket.getsockname()[1]}", "bkt", keys)
        await s3.delete("p/./x//%2e+é?#/")
        await s3.aclose()
        nursery.cancel_scope.cancel()
    assert lines == [b"DELETE /bkt/p/./x//%252e%2B%C3%A9%3F%23/ HTTP/1.1"]


async def test_answers_that_are_not_http(make: Make, keys: Credentials) -> None:
    """A server of another kind, or one that hangs up, is an S3Error, never anything else."""
    for reply in (b"", b"\x00\xff garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort"):

        async def answer(stream: trio.SocketStream, reply: bytes = reply) -> None:
            await stream.receive_some()
            await stream.send_all(reply)
            await stream.aclose()

        async with trio.open_nursery() as nursery:
            [listener] = await trio.open_tcp_listeners(0, host=LOOPBACK)
            nursery.start_soon(trio.serve_listeners, answer, [listener])
            s3 = make(f"http://{LOOPBACK}:{listener.socket.getsockname()[1]}", "bkt", keys)
            with pytest.raises(S3Error) as caught:
                await s3.get("p/k")
            assert caught.value.retryable
            await s3.aclose()
            nursery.cancel_scope.cancel()
