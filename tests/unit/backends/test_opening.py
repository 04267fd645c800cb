"""Opening the clients: what of the environment is honoured, and what is refused."""

import ssl
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio

from loadtest_trio.backends.opening import Clients, Opener
from loadtest_trio.errors import ConfigurationError, S3Error
from loadtest_trio.metrics.counters import Metrics
from loadtest_trio.metrics.health_state import HealthState
from tests.support.in_memory import settings
from tests.support.log_lines import LogLines
from tests.support.tls import certificates

KEYS = {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "s"}


@attrs.define
class Opened:
    """What a transport was opened with."""

    options: dict[str, Any] = attrs.field(factory=dict)

    def transport(self, kind: str, **options: Any) -> httpx.AsyncBaseTransport:
        """Open no transport."""
        self.options = options
        return httpx.MockTransport(lambda request: httpx.Response(500))


async def opened(environ: dict[str, str], **variables: object) -> dict[str, Any]:
    """Open the bucket in an environment; return the options of its transport."""
    seen = Opened()
    state = HealthState(trio.current_time, 60)
    clients = Clients(transport=seen.transport)
    await Opener(settings(**variables), KEYS | environ, Metrics(), state, clients).s3()
    return seen.options


async def test_proxy_of_the_environment_is_used_and_logged(log_lines: LogLines) -> None:
    """HTTPS_PROXY is honoured for AWS, and said once without its password."""
    options = await opened({"HTTPS_PROXY": "http://me:hidden@proxy.example:3128"})
    assert str(options["proxy"]) == "proxy.example:3128"
    (line,) = log_lines.of("proxy_used")
    assert line["proxy"] == "proxy.example:3128"
    assert "hidden" not in log_lines.text


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        ({}, ""),
        ({"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": "amazonaws.com"}, ""),
        ({"HTTPS_PROXY": "http://proxy:1"}, "http://127.0.0.1:8333"),
    ],
)
async def test_no_proxy_where_none_is_due(
    environ: dict[str, str], endpoint: str, log_lines: LogLines
) -> None:
    """An excepted host and a plain-HTTP endpoint are reached directly."""
    assert (await opened(environ, S3_ENDPOINT_URL=endpoint))["proxy"] is None
    assert log_lines.of("proxy_used") == []


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
async def test_proxy_that_is_not_used_is_said(variable: str, log_lines: LogLines) -> None:
    """A plain-HTTP endpoint is reached directly; whoever set a proxy for it reads that once."""
    environ = {variable: "http://me:hidden@proxy:1"}
    assert (await opened(environ, S3_ENDPOINT_URL="http://minio.example:9000"))["proxy"] is None
    (line,) = log_lines.of("proxy_ignored")
    assert (line["variable"], line["host"]) == (variable, "minio.example")
    assert "hidden" not in log_lines.text


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        ({"HTTP_PROXY": "http://proxy:1", "NO_PROXY": ".example"}, "http://minio.example:9000"),
        ({"HTTP_PROXY": "http://proxy:1"}, "https://minio.example"),
        ({"HTTPS_PROXY": "http://proxy:1"}, "http://minio.example"),
        ({}, "http://minio.example"),
    ],
)
async def test_nothing_is_said_where_no_proxy_was_meant(
    environ: dict[str, str], endpoint: str, log_lines: LogLines
) -> None:
    """The host is excepted, the variable is for the other scheme, or there is none."""
    await opened(environ, S3_ENDPOINT_URL=endpoint)
    assert log_lines.of("proxy_ignored") == []


async def test_proxy_that_cannot_be_used_is_a_configuration_error() -> None:
    """It is named, with what is allowed, and its value is not repeated."""
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY") as caught:
        await opened({"HTTPS_PROXY": "socks5://me:hidden@proxy:1"})
    assert "hidden" not in str(caught.value)


async def test_listings_fit_whatever_the_limit_of_objects() -> None:
    """A small MAX_OBJECT_BYTES does not make listings too large."""
    assert (await opened({}, MAX_OBJECT_BYTES=1000))["max_body_bytes"] >= 4_000_000


async def test_user_without_a_home_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's arbitrary user id has no home directory; keys of the environment do without."""

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    assert "proxy" in await opened({})


@pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "SSL_CERT_FILE"])
async def test_certificates_that_cannot_be_read_are_a_configuration_error(name: str) -> None:
    """The variable is named at start, instead of every connection failing without it."""
    with pytest.raises(ConfigurationError, match=f"{name}.*No such file"):
        await opened({name: "/missing.pem"})


async def test_named_authorities_also_sign_for_the_source_of_the_keys(tmp_path: Path) -> None:
    """AWS_CA_BUNDLE holds for the container endpoint too, where that is HTTPS."""
    _, bundle = certificates(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    body = b'{"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "s"}'

    async def answer(stream: trio.SSLStream[trio.SocketStream]) -> None:
        while not (await stream.receive_some()).endswith(b"\r\n\r\n"):
            pass
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    sent = list[httpx.Request]()

    def refuse(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(500)

    clients = Clients(transport=lambda kind, **options: httpx.MockTransport(refuse))
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, answer, [trio.SSLListener(listener, context)])
        uri = f"https://localhost:{port}/keys"
        environ = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": uri, "AWS_CA_BUNDLE": str(bundle)}
        state = HealthState(trio.current_time, 60)
        service = await Opener(settings(), environ, Metrics(), state, clients).s3()
        with pytest.raises(S3Error):
            await service.check_bucket()
        nursery.cancel_scope.cancel()
    assert "Credential=ASIAEXAMPLE/" in sent[0].headers["authorization"]
