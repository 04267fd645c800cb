"""S3Service over a scripted transport: what it sends, what it makes of the answers, what it observes."""

import gzip
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import formatdate
from typing import Any
from urllib.parse import quote, unquote

import attrs
import httpx
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from loadtest_trio.backends.s3 import (
    BucketLocation,
    Credentials,
    CredentialsSource,
    S3Service,
    Signing,
    StaticCredentials,
)
from loadtest_trio.backends.s3.outage_detector import Outage
from loadtest_trio.backends.s3.sigv4 import Signer
from loadtest_trio.errors import (
    BucketMissingError,
    ClockSkewError,
    CredentialsError,
    LoadtestError,
    ObjectMissingError,
    S3BrokenResponseError,
    S3CredentialsError,
    S3DeniedError,
    S3Error,
    S3RedirectedError,
    S3RejectedError,
    S3ServerError,
    S3ThrottledError,
    S3UnreachableError,
    WrongRegionError,
)
from tests.support.log_lines import LogLines

KEYS = Credentials("AKEXAMPLE", "hidden-secret", "hidden-token")
NOW = 1700000000.0
LOCATION = BucketLocation("bkt", "us-east-1", "http://s3.test:9000", "p/")
Answer = httpx.Response | Exception | Callable[[httpx.Request], Awaitable[httpx.Response]]


class Script(httpx.AsyncBaseTransport):
    """Gives the scripted answers, the last one for ever, and keeps the requests."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else await answer(request)

    async def aclose(self) -> None:
        self.closed = True

    @property
    def targets(self) -> list[str]:
        """The request targets, as they would go on the wire."""
        return [request.extensions["target"].decode("ascii") for request in self.requests]


@attrs.define
class Observations:
    """An observer that keeps everything."""

    calls: list[tuple[str, float, int, LoadtestError | None]] = attrs.field(factory=list)

    def __call__(self, kind: str, seconds: float, size: int, error: LoadtestError | None) -> None:
        self.calls.append((kind, seconds, size, error))


def signing(source: CredentialsSource = StaticCredentials(KEYS), **options: Any) -> Signing:  # noqa: B008
    """Sign with keys of the test, by a clock that stands still."""
    return Signing(source, **{"unix_clock": lambda: NOW, **options})


def service(transport: Script, **options: object) -> S3Service:
    """Make the service under test: bucket ``bkt``, prefix ``p/``, a clock that stands still."""
    defaults: dict[str, object] = {
        "location": LOCATION,
        "signing": signing(),
    }
    return S3Service(transport=transport, **{**defaults, **options})  # type: ignore[arg-type] # one place, many kinds


def refusal(status: int, code: str, **headers: str) -> httpx.Response:
    """Make an S3 error answer."""
    return httpx.Response(
        status, headers=headers, text=f"<Error><Code>{code}</Code><Message>no</Message></Error>"
    )


def page(keys: list[str], token: str | None = None) -> httpx.Response:
    """Make a ListObjectsV2 answer."""
    contents = "".join(f"<Contents><Key>{quote(key)}</Key><Size>1</Size></Contents>" for key in keys)
    more = (
        f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"
        if token
        else ""
    )
    return httpx.Response(
        200, text=f"<ListBucketResult><EncodingType>url</EncodingType>{contents}{more}</ListBucketResult>"
    )


async def listed(s3: S3Service) -> list[str]:
    """List to the end."""
    return [each.key async for page in s3.list() for each in page.objects]


async def test_get_returns_the_buffer_of_the_transport() -> None:
    """A body that the transport received into one buffer is returned without a copy."""
    buffer = bytearray(b"hello")
    transport = Script(httpx.Response(200, headers={"content-length": "5"}, extensions={"body": buffer}))
    assert await service(transport).get("p/k") is buffer
    assert transport.targets == ["/bkt/p/k"]


async def test_get_reads_streamed_body() -> None:
    """A transport without the extension is read to the end and closed."""

    async def chunks() -> AsyncIterator[bytes]:
        for chunk in (b"he", b"llo"):
            yield chunk

    answer = httpx.Response(200, headers={"content-length": "5"}, content=chunks())
    assert await service(Script(answer)).get("p/k") == b"hello"
    assert answer.is_closed


async def test_body_shorter_than_announced_is_an_error() -> None:
    """A body shorter than its header said is not returned but can be asked for again."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"hell"

    answer = httpx.Response(200, headers={"Content-Length": "5"}, content=chunks())
    with pytest.raises(S3BrokenResponseError, match="4 of 5 bytes") as caught:
        await service(Script(answer)).get("p/k")
    assert (caught.value.code, caught.value.key) == ("TruncatedBody", "p/k")


async def test_labelled_body_is_returned_as_it_was_sent() -> None:
    """S3 stores bytes: a Content-Encoding is a label of the object and not of the transfer."""
    for label, body in (("gzip", b"plain"), ("gzip", gzip.compress(b"packed")), ("aws-chunked", b"plain")):
        headers = {"content-encoding": label, "content-length": str(len(body))}

        async def chunks(body: bytes = body) -> AsyncIterator[bytes]:
            yield body

        assert (
            await service(Script(httpx.Response(200, headers=headers, content=chunks()))).get("p/k") == body
        )


@pytest.mark.parametrize("body", [b"", b"text", bytearray(b"text"), memoryview(b"some text")[5:]])
async def test_put_sends_body_unchanged(body: bytes | bytearray | memoryview) -> None:
    """Any buffer is sent whole and uncopied, as plain text, with its length."""
    transport = Script(httpx.Response(200))
    await service(transport).put("p/k", body)
    [request] = transport.requests
    assert isinstance(request.stream, httpx.AsyncByteStream)
    parts = [part async for part in request.stream]
    assert len(parts) == 1
    assert parts[0] is body
    assert request.method == "PUT"
    assert request.headers["content-type"] == "text/plain"
    assert request.headers["content-length"] == str(len(body))
    assert request.headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"


async def test_payload_hash_is_sent_when_payloads_are_signed() -> None:
    """With `sign_payload` the body's hash is sent and signed instead."""
    transport = Script(httpx.Response(200))
    await service(transport, signing=signing(sign_payload=True)).put("p/k", b"text")
    assert transport.requests[0].headers["x-amz-content-sha256"] == hashlib.sha256(b"text").hexdigest()


@given(st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda key: ".." not in key.split("/")))
def test_sent_path_is_the_signed_path(key: str) -> None:
    """A server that decodes the target finds the exact key, and the signature over the target's path."""
    transport = Script(httpx.Response(204))
    trio.run(service(transport).delete, f"p/{key}")
    [request], [target] = transport.requests, transport.targets
    assert unquote(target, errors="strict") == f"/bkt/p/{key}"
    expected = Signer("us-east-1").sign(
        "DELETE", target, "", [("host", "s3.test:9000")], "UNSIGNED-PAYLOAD", KEYS, NOW
    )
    assert list(request.headers.items()) == expected
    assert request.headers["x-amz-security-token"] == "hidden-token"


@pytest.mark.parametrize("key", ["", "q/k", "p", "p/../q/k", "P/k"])
async def test_keys_outside_the_prefix_are_never_sent(key: str) -> None:
    """No operation touches a key outside the prefix."""
    transport = Script(httpx.Response(200))
    s3 = service(transport)
    for operation in (s3.get(key), s3.put(key, b""), s3.delete(key)):
        with pytest.raises(ValueError, match="outside the prefix"):
            await operation
    assert transport.requests == []


async def test_missing_object_raises_object_missing() -> None:
    """An object that is gone is ObjectMissingError, with its key and request id."""
    transport = Script(refusal(404, "NoSuchKey", **{"x-amz-request-id": "R1"}))
    with pytest.raises(ObjectMissingError) as caught:
        await service(transport).get("p/k")
    assert (caught.value.key, caught.value.request_id, caught.value.status) == ("p/k", "R1", 404)


@attrs.define
class Succession:
    """A source that hands out the next keys when some are refused."""

    keys: list[Credentials]
    renewals: int = 0

    async def current(self) -> Credentials:
        return self.keys[0]

    async def renewed(self, refused: Credentials) -> Credentials:
        self.renewals += 1
        if len(self.keys) > 1:
            self.keys.pop(0)
        return self.keys[0]


NEWER = Credentials("AKNEWER", "s", "t")


@pytest.mark.parametrize(
    ("status", "code"), [(400, "ExpiredToken"), (400, "InvalidToken"), (403, "ExpiredTokenException")]
)
async def test_expired_keys_are_renewed_and_request_repeated(status: int, code: str) -> None:
    """An answer that calls the token stale renews the keys and tries once more with the new ones."""
    transport, source = (
        Script(refusal(status, code), httpx.Response(200, content=b"x")),
        Succession([KEYS, NEWER]),
    )
    assert await service(transport, signing=signing(source)).get("p/k") == b"x"
    assert ["AKNEWER/" in request.headers["authorization"] for request in transport.requests] == [False, True]


async def test_request_is_repeated_only_once() -> None:
    """If the new keys are refused too, that is the answer."""
    transport, source = Script(refusal(400, "ExpiredToken")), Succession([KEYS, NEWER])
    with pytest.raises(S3DeniedError, match="session token has expired"):
        await service(transport, signing=signing(source)).get("p/k")
    assert (len(transport.requests), source.renewals) == (2, 1)


async def test_expired_keys_without_newer_ones_are_an_error() -> None:
    """Keys that cannot be renewed are not tried again."""
    transport = Script(refusal(400, "ExpiredToken"))
    with pytest.raises(S3DeniedError):
        await service(transport).get("p/k")
    assert len(transport.requests) == 1


@pytest.mark.parametrize(
    "answer", [refusal(403, "AccessDenied"), refusal(503, "SlowDown"), httpx.ReadError("reset")]
)
async def test_other_errors_are_not_retried(answer: Answer) -> None:
    """Everything else is the caller's to try again: one request, no renewal."""
    transport, source = Script(answer), Succession([KEYS, NEWER])
    with pytest.raises(S3Error):
        await service(transport, signing=signing(source)).get("p/k")
    assert (len(transport.requests), source.renewals) == (1, 0)


async def test_nothing_is_sent_without_keys() -> None:
    """When there are no valid keys the call fails with the source's reason."""

    class Empty(Succession):
        async def current(self) -> Credentials:
            raise CredentialsError("no valid AWS credentials: down")

    transport = Script(httpx.Response(200))
    with pytest.raises(CredentialsError, match="down"):
        await service(transport, signing=signing(Empty([]))).get("p/k")
    assert transport.requests == []


async def test_every_request_is_observed(autojump_clock: MockClock) -> None:
    """Each HTTP request is observed once, by kind, with its duration, its bytes and its error."""

    async def slow(_request: httpx.Request) -> httpx.Response:
        await trio.sleep(0.25)
        return httpx.Response(200, content=b"12345")

    observed = Observations()
    s3 = service(
        Script(slow, httpx.Response(200), refusal(500, "InternalError"), page(["p/a"])), observe=observed
    )
    await s3.get("p/k")
    await s3.put("p/k", b"123")
    with pytest.raises(S3ServerError) as caught:
        await s3.delete("p/k")
    await listed(s3)
    kinds, seconds, sizes, errors = zip(*observed.calls, strict=True)
    assert kinds == ("GET", "PUT", "DELETE", "LIST")
    assert seconds[0] == pytest.approx(0.25)
    assert sizes[:3] == (5, 3, 0)
    assert sizes[3] > 0
    assert errors == (None, None, caught.value, None)


async def test_both_attempts_are_observed() -> None:
    """The request that was refused for its token counts as one of its own."""
    observed = Observations()
    transport = Script(refusal(400, "ExpiredToken"), httpx.Response(204))
    await service(transport, signing=signing(Succession([KEYS, NEWER])), observe=observed).delete("p/k")
    assert [type(error) for _, _, _, error in observed.calls] == [S3CredentialsError, type(None)]


async def test_cancelled_request_is_closed_and_not_observed(autojump_clock: MockClock) -> None:
    """Cancellation while the body arrives passes through, closes the response, and is no observation."""
    closed = trio.Event()

    class Stalled(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"a"
            await trio.sleep_forever()

        async def aclose(self) -> None:
            await trio.sleep(0.1)
            closed.set()

    observed = Observations()
    with trio.move_on_after(1) as scope:
        await service(Script(httpx.Response(200, stream=Stalled())), observe=observed).get("p/k")
    assert scope.cancelled_caught
    assert closed.is_set()
    assert observed.calls == []


async def test_hanging_close_is_abandoned(autojump_clock: MockClock) -> None:
    """A response that will not close holds a cancelled task for a second, not for ever."""

    class Stuck(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            await trio.sleep(1_000)
            yield b""

        async def aclose(self) -> None:
            await trio.sleep_forever()

    with trio.move_on_after(1):
        await service(Script(httpx.Response(200, stream=Stuck()))).get("p/k")
    assert trio.current_time() == pytest.approx(2.0)


async def test_each_attempt_is_signed_at_its_own_time() -> None:
    """A message that is tried again after half an hour does not carry the old date."""
    now = NOW
    transport = Script(refusal(503, "SlowDown"), httpx.Response(200, content=b"x"))
    s3 = service(transport, signing=signing(unix_clock=lambda: now))
    with pytest.raises(S3ThrottledError):
        await s3.get("p/k")
    now += 1800
    assert await s3.get("p/k") == b"x"
    dates = [request.headers["x-amz-date"] for request in transport.requests]
    assert dates == ["20231114T221320Z", "20231114T224320Z"]


async def test_list_follows_the_tokens() -> None:
    """Pages follow one another by their tokens; the query is sorted and encoded, as it was signed."""
    transport = Script(page(["p/a", "p/b"], "t/+1"), page([], "t2"), page(["p/c d"]))
    assert await listed(service(transport)) == ["p/a", "p/b", "p/c d"]
    assert transport.targets == [
        "/bkt?encoding-type=url&list-type=2&prefix=p%2F",
        "/bkt?continuation-token=t%2F%2B1&encoding-type=url&list-type=2&prefix=p%2F",
        "/bkt?continuation-token=t2&encoding-type=url&list-type=2&prefix=p%2F",
    ]


async def test_list_skips_keys_outside_the_prefix() -> None:
    """Keys that a faulty server lists from elsewhere never reach the inventory."""
    assert await listed(service(Script(page(["q/x", "p/a", "p/../q/x"])))) == ["p/a"]


@pytest.mark.parametrize(
    "pages",
    [
        [page(["p/a"], "t1"), page(["p/b"], "t2"), page(["p/c"], "t1"), page(["p/b"], "t2")],
        [page(["p/a", "p/b"], f"t{number}") for number in range(5)],
        [page([], f"t{number}") for number in range(1100)],
    ],
    ids=["tokens in a circle", "tokens not heeded", "no object ever"],
)
async def test_listing_that_never_ends_is_an_error(pages: list[Answer]) -> None:
    """A server that goes in circles, whatever its tokens are, does not hold up the scheduler for ever."""
    with pytest.raises(S3RejectedError, match="S3_ENDPOINT_URL"):
        await listed(service(Script(*pages)))


@pytest.mark.parametrize("answer", [page(["p/a"], "same"), httpx.Response(200, text="<html>hi</html>")])
async def test_response_that_is_no_listing_is_an_error(answer: httpx.Response) -> None:
    """A token that repeats itself, or a page of something else, ends the listing with a typed error."""
    with pytest.raises(S3RejectedError, match="S3_ENDPOINT_URL") as caught:
        await listed(service(Script(answer)))
    assert caught.value.code == "MalformedListing"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusal(404, "NoSuchBucket"), BucketMissingError),
        (refusal(403, "AccessDenied"), S3DeniedError),
        (refusal(403, "SignatureDoesNotMatch"), S3DeniedError),
        (refusal(301, "PermanentRedirect", **{"x-amz-bucket-region": "eu-west-1"}), WrongRegionError),
        (
            refusal(400, "AuthorizationHeaderMalformed", **{"x-amz-bucket-region": "eu-west-1"}),
            WrongRegionError,
        ),
        (httpx.ConnectError("refused"), S3UnreachableError),
        (httpx.Response(200, text="It works!"), S3RejectedError),
    ],
)
async def test_check_bucket_distinguishes_faults(answer: Answer, kind: type[S3Error]) -> None:
    """What is wrong with the bucket, the keys, the region or the endpoint is a type each."""
    with pytest.raises(kind) as caught:
        await service(Script(answer)).check_bucket()
    assert type(caught.value) is kind
    assert "hidden" not in f"{caught.value} {caught.value!r}"


async def test_check_bucket_is_one_small_list() -> None:
    """A usable bucket is found usable by one request for at most one object."""
    transport = Script(page(["p/a"], "more"))
    await service(transport).check_bucket()
    assert transport.targets == ["/bkt?encoding-type=url&list-type=2&max-keys=1&prefix=p%2F"]


@pytest.mark.parametrize(("region", "constraint"), [("us-east-1", b""), ("eu-west-1", b">eu-west-1<")])
async def test_create_bucket_names_the_region(region: str, constraint: bytes) -> None:
    """The region goes into the body, except for us-east-1, which S3 refuses to see there."""
    transport = Script(httpx.Response(200))
    await service(transport, location=attrs.evolve(LOCATION, region=region)).create_bucket()
    [request] = transport.requests
    body = await request.aread()
    assert (constraint in body) if constraint else body == b""
    assert request.headers["content-length"] == str(len(body))
    assert (request.method, transport.targets) == ("PUT", ["/bkt"])


@pytest.mark.parametrize("code", ["BucketAlreadyOwnedByYou", "BucketAlreadyExists"])
async def test_create_bucket_accepts_our_existing_bucket(code: str) -> None:
    """A bucket that is there and can be used is fine."""
    await service(Script(refusal(409, code), page([]))).create_bucket()


async def test_create_bucket_rejects_foreign_bucket() -> None:
    """A name that somebody else has taken is not fine."""
    with pytest.raises(S3DeniedError):
        await service(
            Script(refusal(409, "BucketAlreadyExists"), refusal(403, "AccessDenied"))
        ).create_bucket()


async def test_create_bucket_reports_rejection() -> None:
    """Any other refusal is passed on."""
    with pytest.raises(S3RejectedError, match="InvalidBucketName"):
        await service(Script(refusal(400, "InvalidBucketName"))).create_bucket()


async def test_closing_closes_the_transport() -> None:
    """The service owns its transport."""
    transport = Script(httpx.Response(200))
    await service(transport).aclose()
    assert transport.closed


def test_unusable_endpoint_is_a_value_error() -> None:
    """A bad endpoint is refused when the service is built."""
    with pytest.raises(ValueError, match="endpoint"):
        service(Script(httpx.Response(200)), location=attrs.evolve(LOCATION, endpoint_url="s3.test"))


def dated(unix_seconds: float) -> str:
    """Write an HTTP date."""
    return formatdate(unix_seconds, usegmt=True)


async def test_clock_is_corrected_by_the_answers_date() -> None:
    """A machine two hours slow signs with S3's time after one refusal, and so from then on."""
    skewed = refusal(403, "RequestTimeTooSkewed", date=dated(NOW + 7200))
    transport = Script(skewed, httpx.Response(200, content=b"x"))
    s3 = service(transport)
    assert await s3.get("p/k") == b"x"
    assert await s3.get("p/k") == b"x"
    dates = [request.headers["x-amz-date"] for request in transport.requests]
    assert dates == ["20231114T221320Z", "20231115T001320Z", "20231115T001320Z"]


async def test_clock_is_corrected_once_for_all(log_lines: LogLines) -> None:
    """Requests that are refused at the same moment all succeed at their second attempt."""
    told: list[Outage | None] = []
    skewed = refusal(403, "RequestTimeTooSkewed", date=dated(NOW + 7200))
    transport = Script(page([]), *[skewed] * 5, *[httpx.Response(204)] * 5)
    s3 = service(transport, on_outage=told.append)
    await s3.check_bucket()
    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(s3.delete, f"p/{number}")
    assert told == [None] * 6
    assert len(log_lines.of("clock_corrected")) == 1


@pytest.mark.parametrize("headers", [{}, {"date": dated(NOW)}, {"date": "yesterday"}])
async def test_clock_without_a_better_time_is_not_corrected(headers: dict[str, str]) -> None:
    """If the answer does not tell another time, there is nothing to try again with."""
    transport = Script(refusal(403, "RequestTimeTooSkewed", **headers))
    with pytest.raises(ClockSkewError, match="clock"):
        await service(transport).get("p/k")
    assert len(transport.requests) == 1


@pytest.mark.parametrize("status", [307, 308])
async def test_redirect_to_the_same_host_is_followed_for_one_hop(status: int) -> None:
    """The request is signed anew for the address; a second redirect is an error."""
    hop = httpx.Response(status, headers={"location": "http://s3.test:9001/bkt/p/k"})
    transport = Script(hop, httpx.Response(200))
    await service(transport).put("p/k", b"body")
    first, second = transport.requests
    assert (str(first.url), str(second.url)) == ("http://s3.test:9000", "http://s3.test:9001/")
    assert second.headers["host"] == "s3.test:9001"
    assert second.extensions["target"] == b"/bkt/p/k"
    assert await second.aread() == b"body"
    assert first.headers["authorization"] != second.headers["authorization"]
    with pytest.raises(S3RedirectedError):
        await service(Script(hop)).get("p/k")


@pytest.mark.parametrize(
    ("status", "location"), [(302, "http://s3.test:9001/"), (307, "http://elsewhere.test/"), (301, "/login")]
)
async def test_other_redirects_are_named_and_not_followed(status: int, location: str) -> None:
    """Our signature goes to nobody else; the error says where the redirect leads."""
    transport = Script(httpx.Response(status, headers={"location": location}))
    with pytest.raises(S3RedirectedError, match=f"redirected to {location.rstrip('/')}"):
        await service(transport).get("p/k")
    assert len(transport.requests) == 1


async def test_keys_that_are_denied_everything_are_renewed() -> None:
    """A profile may have been replaced by one with the permission."""
    transport = Script(page([]), refusal(403, "AccessDenied"), refusal(403, "AccessDenied"), page([]))
    source = Succession([KEYS, NEWER])
    s3 = service(transport, signing=signing(source))
    await s3.check_bucket()
    with pytest.raises(S3DeniedError):
        await s3.check_bucket()
    assert source.renewals == 0
    await s3.check_bucket()
    assert source.renewals == 1


async def test_outages_are_reported_and_end() -> None:
    """The listener hears the reason of an outage after each call, and that there is none any more."""
    told: list[Outage | None] = []
    answers = (page([]), refusal(403, "ExpiredToken"), httpx.ConnectError("refused"), httpx.Response(204))
    s3 = service(Script(*answers), on_outage=told.append)
    await s3.check_bucket()
    for _ in range(2):
        with pytest.raises(S3Error):
            await s3.delete("p/k")
    await s3.delete("p/k")
    assert [type(outage and outage.error) for outage in told] == [
        type(None),
        S3CredentialsError,
        S3CredentialsError,
        type(None),
    ]


async def test_mended_request_is_no_outage() -> None:
    """Keys that were renewed in time are nobody's concern."""
    told: list[Outage | None] = []
    transport = Script(page([]), refusal(403, "ExpiredToken"), httpx.Response(204))
    s3 = service(transport, signing=signing(Succession([KEYS, NEWER])), on_outage=told.append)
    await s3.check_bucket()
    await s3.delete("p/k")
    assert told == [None, None]


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        ("get", httpx.Response(206, content=b"x")),
        ("get", httpx.Response(200, text="<Error><Code>InternalError</Code></Error>")),
        ("put", httpx.Response(200, text="<html>ok</html>")),
        ("delete", httpx.Response(202)),
    ],
)
async def test_foreign_success_is_a_retryable_error(call: str, answer: httpx.Response) -> None:
    """It is retryable and counts as an error in the metrics."""
    observed = Observations()
    s3 = service(Script(answer), observe=observed)
    with pytest.raises(S3ServerError) as caught:
        await (s3.put("p/k", b"x") if call == "put" else getattr(s3, call)("p/k"))
    assert caught.value.retryable
    assert observed.calls[0][3] is caught.value


async def test_listing_that_is_an_error_is_retryable() -> None:
    """A start that meets SlowDown with status 200 waits instead of ending with advice about the endpoint."""
    slow = httpx.Response(200, text="<Error><Code>SlowDown</Code></Error>")
    with pytest.raises(S3ThrottledError) as caught:
        await service(Script(slow)).check_bucket()
    assert caught.value.retryable
    assert not caught.value.fatal_at_start


async def test_skipped_keys_are_counted() -> None:
    """Keys that are not UTF-8 and keys outside the prefix are left out of a page and counted."""
    answer = page(["p/a", "q/b"])
    text = answer.text.replace("<Contents>", "<Contents><Key>p/%E9</Key></Contents><Contents>", 1)
    pages = [each async for each in service(Script(httpx.Response(200, text=text))).list()]
    assert [each.key for each in pages[0].objects] == ["p/a"]
    assert pages[0].skipped == {"key_not_utf8": 1, "outside_prefix": 1}
