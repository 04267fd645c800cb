"""The container endpoint: a stand-in on loopback answers, and virtual time for the retries."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import orjson
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from loadtest_trio.backends.s3.credentials import Credentials
from loadtest_trio.backends.s3.credentials.container_endpoint import (
    ContainerEndpoint,
    find_endpoint,
    parse_answer,
)
from loadtest_trio.errors import CredentialsError

ANSWER = {
    "AccessKeyId": "ASIAEXAMPLE",
    "SecretAccessKey": "hidden-secret",
    "Token": "hidden-token",
    "Expiration": "2030-01-02T03:04:05Z",
    "RoleArn": "arn:aws:iam::1:role/x",
}
KEYS = Credentials("ASIAEXAMPLE", "hidden-secret", "hidden-token", 1893553445.0)


@asynccontextmanager
async def stand_in(status: str, body: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Serve one answer to every request on loopback; yields the address and what was received."""
    received: list[bytes] = []

    async def handler(stream: trio.SocketStream) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await stream.receive_some()
        received.append(head)
        await stream.send_all(
            b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status.encode(), len(body), body)
        )

    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, handler, [listener])
        yield f"http://127.0.0.1:{port}", received
        nursery.cancel_scope.cancel()


async def test_fetch_reads_the_token_file_every_time(tmp_path: Path) -> None:
    """The path and the authorization token are sent, the token file being read anew each time."""
    token_file = tmp_path / "token"
    async with stand_in("200 OK", orjson.dumps(ANSWER)) as (url, received):
        environ = {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{url}/v1/keys?role=x",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "unused",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token_file),
        }
        endpoint = find_endpoint(environ, unix_clock=lambda: 0.0)
        assert endpoint is not None
        for token in ("first", "second"):
            token_file.write_text(f"{token}\n")
            assert await endpoint.fetch() == KEYS
            assert received[-1].startswith(b"GET /v1/keys?role=x HTTP/1.1\r\n")
            assert f"authorization: {token}\r\n".encode() in received[-1].lower()


async def test_token_from_the_environment() -> None:
    """Without a token file the token variable is sent; without either, nothing is."""
    async with stand_in("200 OK", orjson.dumps(ANSWER)) as (url, received):
        environ = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": url}
        for extra in ({}, {"AWS_CONTAINER_AUTHORIZATION_TOKEN": "Bearer t"}):
            endpoint = find_endpoint({**environ, **extra}, unix_clock=lambda: 0.0)
            assert endpoint is not None
            await endpoint.fetch()
    assert b"uthorization" not in received[0]
    assert b"uthorization: Bearer t\r\n" in received[1]


def mock_endpoint(
    respond: Callable[[httpx.Request], httpx.Response], token: str | None = None
) -> ContainerEndpoint:
    """Make an endpoint whose transport is a function."""
    return ContainerEndpoint(
        "http://169.254.170.2/v2/credentials/hidden-path",
        token,
        None,
        lambda: 0.0,
        lambda: httpx.MockTransport(respond),
    )


async def test_fetch_succeeds_after_two_failures(autojump_clock: MockClock) -> None:
    """The third attempt's answer counts, two pauses later."""
    answers: Iterator[httpx.Response | Exception] = iter(
        [httpx.Response(500), httpx.ConnectError("refused"), httpx.Response(200, json=ANSWER)]
    )

    def respond(_request: httpx.Request) -> httpx.Response:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert await mock_endpoint(respond).fetch() == KEYS
    assert trio.current_time() >= 2


async def test_fetch_fails_after_three_attempts(autojump_clock: MockClock) -> None:
    """A source that stays down is asked three times, and named without its secret path."""
    asked = list[httpx.Request]()

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(503, text="hidden-body")

    with pytest.raises(CredentialsError, match=r"on 169\.254\.170\.2: HTTP status 503") as caught:
        await mock_endpoint(respond).fetch()
    assert len(asked) == 3
    assert "hidden" not in str(caught.value)


async def test_failed_connection_says_why(autojump_clock: MockClock) -> None:
    """Such as a certificate that nobody known has signed; the secret path is not shown."""

    def respond(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("certificate verify failed")

    with pytest.raises(CredentialsError, match=r"ConnectError: certificate verify failed") as caught:
        await mock_endpoint(respond).fetch()
    assert "hidden" not in str(caught.value)


async def test_silent_endpoint_times_out(autojump_clock: MockClock) -> None:
    """An endpoint that never answers costs at most three attempts of two seconds and the pauses."""

    class Silent(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await trio.sleep_forever()
            raise AssertionError

    began = trio.current_time()
    with pytest.raises(CredentialsError, match="TooSlowError"):
        await ContainerEndpoint("http://127.0.0.1/", None, None, lambda: 0.0, Silent).fetch()
    assert trio.current_time() - began <= 8.01


async def test_unreadable_or_unsendable_token_is_an_error(autojump_clock: MockClock, tmp_path: Path) -> None:
    """A missing token file is named; a token with a line break is neither sent nor shown."""
    missing = ContainerEndpoint("http://127.0.0.1/", None, str(tmp_path / "none"), lambda: 0.0)
    with pytest.raises(CredentialsError, match=r"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE.*No such file"):
        await missing.fetch()
    with pytest.raises(CredentialsError, match="one line") as caught:
        await mock_endpoint(lambda _request: httpx.Response(200), token="hidden\r\nX: 1").fetch()
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/x"}, "http://169.254.170.2/v2/x"),
        (
            {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "@evil.example/x"},
            "http://169.254.170.2/@evil.example/x",
        ),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "https://any.example/x"}, "https://any.example/x"),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost:99/x"}, "http://localhost:99/x"),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.3.2.1/x"}, "http://127.3.2.1/x"),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://[::1]/x"}, "http://[::1]/x"),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1"}, "http://169.254.170.23/v1"),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://[fd00:ec2::23]/v1"}, "http://[fd00:ec2::23]/v1"),
    ],
)
def test_allowed_addresses_are_accepted(environ: dict[str, str], url: str) -> None:
    """The agents' addresses, loopback, and anything over https may be asked."""
    endpoint = find_endpoint(environ, unix_clock=lambda: 0.0)
    assert endpoint is not None
    assert endpoint.url == url
    assert url not in repr(endpoint)


@pytest.mark.parametrize(
    "url",
    [
        "http://evil.example/x",
        "http://10.0.0.1/",
        "http://localhost.evil.example/",
        "ftp://127.0.0.1/",
        "x",
        "http://h:port/",
    ],
)
def test_other_addresses_are_rejected(url: str) -> None:
    """The authorization token is not sent over plain http to anybody else."""
    with pytest.raises(CredentialsError, match="AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        find_endpoint({"AWS_CONTAINER_CREDENTIALS_FULL_URI": url}, unix_clock=lambda: 0.0)


def test_endpoint_is_none_without_variables() -> None:
    """Outside a container there is no endpoint."""
    assert find_endpoint({}, unix_clock=lambda: 0.0) is None


@pytest.mark.parametrize("expiration", ["2030-01-02T03:04:05", "soon", 1893553445, ""])
def test_unreadable_expiration_is_an_error(expiration: object) -> None:
    """An end without a zone, or in another form, is not guessed: renewing too late would fail requests."""
    with pytest.raises(CredentialsError, match="Expiration that is not a time"):
        parse_answer(orjson.dumps({**ANSWER, "Expiration": expiration}), now=0.0)


@pytest.mark.parametrize(
    "expiration",
    [
        "2030-01-02T03:04:05+00:00",
        "2030-01-02T04:04:05+01:00",
        "2030-01-01T22:04:05-05:00",
        "2030-01-02T03:04:05.000Z",
        "2030-01-02T03:04:05.000000000Z",
        "20300102T030405Z",
    ],
)
def test_expiration_may_be_in_any_zone(expiration: str) -> None:
    """Some sources write an offset or a fraction of a second."""
    assert parse_answer(orjson.dumps({**ANSWER, "Expiration": expiration}), now=0.0) == KEYS


@pytest.mark.parametrize("name", ["AccessKeyId", "SecretAccessKey"])
def test_keys_that_are_no_text_are_an_error(name: str) -> None:
    """A null is not a key named None."""
    with pytest.raises(CredentialsError, match="holds no AWS credentials"):
        parse_answer(orjson.dumps({**ANSWER, name: None}), now=0.0)


def test_keys_may_have_no_expiration() -> None:
    """Keys without a token and an end are taken as they are."""
    body = orjson.dumps({"AccessKeyId": "AK", "SecretAccessKey": "s"})
    assert parse_answer(body, now=0.0) == Credentials("AK", "s")


def test_already_expired_keys_are_rejected() -> None:
    """Keys that ended before they arrived are an error here, not a denial later; the clock may be ahead."""
    with pytest.raises(CredentialsError, match="expired 7200 s ago by this machine's clock"):
        parse_answer(orjson.dumps(ANSWER), now=1893553445.0 + 7200)


@given(
    st.binary()
    | st.recursive(
        st.none() | st.text() | st.integers(0, 9),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(list(ANSWER)), inner),
    ).map(orjson.dumps)
)
def test_any_answer_is_keys_or_a_credentials_error(body: bytes) -> None:
    """Nonsense from the endpoint is a CredentialsError that quotes nothing of it."""
    try:
        keys: Credentials | None = parse_answer(body, now=0.0)
    except CredentialsError as error:
        keys, shown = None, f"{error}"
    assert isinstance(keys, Credentials) or "container endpoint" in shown or "the AWS" in shown


@pytest.mark.parametrize("variable", ["RELATIVE", "FULL"])
@given(text=st.text(min_size=1) | st.just("/a\udcff") | st.just("/a\tb") | st.just("xn--zz/x"))
def test_any_address_is_an_endpoint_or_a_credentials_error(variable: str, text: str) -> None:
    """Also bytes that are no UTF-8, which the environment holds as surrogates."""
    name = f"AWS_CONTAINER_CREDENTIALS_{variable}_URI"
    for address in (text, f"http://{text}"):
        with suppress(CredentialsError):
            endpoint = find_endpoint({name: address}, unix_clock=lambda: 0.0)
            assert endpoint is not None
            httpx.URL(endpoint.url)
