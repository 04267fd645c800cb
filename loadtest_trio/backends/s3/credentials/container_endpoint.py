"""The ECS / EKS container credential endpoint.

Protocol: "Container credential provider" in the AWS SDKs and Tools Reference Guide. The address rules are
botocore's: they keep the authorization token from being sent over plain HTTP to an arbitrary host.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path

import attrs
import httpx
import orjson
import trio

from loadtest_trio.backends.s3.credentials.keys import Credentials
from loadtest_trio.errors import CredentialsError

RELATIVE_URI = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
FULL_URI = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
TOKEN = "AWS_CONTAINER_AUTHORIZATION_TOKEN"  # noqa: S105 - the variable's name
TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"  # noqa: S105 - the variable's name

ECS_ENDPOINT = "http://169.254.170.2"
_PLAIN_HTTP_HOSTS = frozenset({"169.254.170.2", "169.254.170.23", "fd00:ec2::23", "localhost"})
_ATTEMPTS = 3
_ATTEMPT_SECONDS = 2.0
_PAUSE_SECONDS = 1.0
_file_limiter = trio.CapacityLimiter(1)


@attrs.frozen
class ContainerEndpoint:
    """The endpoint that supplies a container's temporary keys.

    Attributes:
        url: Where to GET the keys. The path is a secret and is never shown.
        token: The value of the ``Authorization`` header, or None.
        token_file: A file that holds that value, or None; read at every fetch, because EKS rotates it.
        unix_clock: The time of day in Unix seconds.
        transport: Creates the transport of one fetch.
    """

    url: str = attrs.field(repr=False)
    token: str | None = attrs.field(repr=False)
    token_file: str | None
    unix_clock: Callable[[], float]
    transport: Callable[[], httpx.AsyncBaseTransport] = httpx.AsyncHTTPTransport

    async def fetch(self) -> Credentials:
        """Fetch a set of keys: three attempts of two seconds each, one second apart.

        Raises:
            CredentialsError: No attempt returned usable keys.
        """
        failure = CredentialsError("not attempted")
        for attempt in range(_ATTEMPTS):
            if attempt:
                await trio.sleep(_PAUSE_SECONDS)
            try:
                return parse_answer(await self._get(), self.unix_clock())
            except CredentialsError as error:
                failure = error
        raise failure

    async def _get(self) -> bytes:
        headers = {"accept": "application/json"}
        token = await self._authorization()
        if token:
            headers["authorization"] = token
        try:
            with trio.fail_after(_ATTEMPT_SECONDS):
                async with httpx.AsyncClient(transport=self.transport(), trust_env=False) as client:
                    response = await client.get(self.url, headers=headers)
        except (httpx.HTTPError, trio.TooSlowError, RuntimeError) as error:  # RuntimeError: no thread for DNS
            # Only the text of a connection's failure: others may show the path.
            reason = f": {error}" if isinstance(error, httpx.ConnectError) else ""
            raise CredentialsError(f"{self._name()}: {type(error).__name__}{reason}") from error
        if response.status_code != httpx.codes.OK:
            raise CredentialsError(f"{self._name()}: HTTP status {response.status_code}")
        return response.content

    def _name(self) -> str:
        return f"container credential endpoint on {httpx.URL(self.url).host}"

    async def _authorization(self) -> str | None:
        token = self.token
        if self.token_file:
            try:
                raw = await trio.to_thread.run_sync(Path(self.token_file).read_bytes, limiter=_file_limiter)
            except (OSError, RuntimeError) as error:  # RuntimeError: the system gives no thread now
                reason = getattr(error, "strerror", None) or error
                raise CredentialsError(f"{TOKEN_FILE}={self.token_file}: {reason}") from error
            token = raw.decode("latin-1").strip()
        if token and not (token.isascii() and token.isprintable()):
            raise CredentialsError("the container authorization token is not printable ASCII on one line")
        return token


def parse_answer(body: bytes, now: float) -> Credentials:
    """Read the endpoint's JSON answer.

    Args:
        body: The response body.
        now: The time of day in Unix seconds.

    Raises:
        CredentialsError: The body is not such an answer, or the keys have already expired.
    """
    try:
        answer = orjson.loads(body)
        keys = Credentials(
            access_key=_text(answer["AccessKeyId"]),
            secret_key=_text(answer["SecretAccessKey"]),
            session_token=_text(answer["Token"]) if answer.get("Token") else None,
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        # The answer may hold keys, so neither it nor the parser's message is shown.
        raise CredentialsError("the container endpoint's answer holds no AWS credentials") from None
    try:
        keys = attrs.evolve(keys, expires_at=_unix_seconds(answer.get("Expiration")))
    except (ValueError, TypeError):
        raise CredentialsError(
            "the container endpoint's answer has an Expiration that is not a time"
        ) from None
    if keys.expires_at is not None and keys.expires_at <= now:
        raise CredentialsError(
            f"the container endpoint returned credentials that expired {now - keys.expires_at:.0f} s ago by "
            "this machine's clock: check the clock"
        )
    return keys


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a key that is no text")
    return value


def _unix_seconds(timestamp: str | None) -> float | None:
    if timestamp is None:
        return None
    moment = datetime.fromisoformat(timestamp)
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment.timestamp()


def find_endpoint(
    environ: Mapping[str, str],
    *,
    unix_clock: Callable[[], float],
    transport: Callable[[], httpx.AsyncBaseTransport] = httpx.AsyncHTTPTransport,
) -> ContainerEndpoint | None:
    """Find the endpoint that the container variables name.

    Args:
        environ: The environment variables.
        unix_clock: The time of day in Unix seconds.
        transport: Creates the transport of one fetch.

    Returns:
        The endpoint, or None when no variable names one.

    Raises:
        CredentialsError: The variable names an address that the rules forbid.
    """
    if environ.get(RELATIVE_URI):
        url = ECS_ENDPOINT + "/" + environ[RELATIVE_URI].removeprefix("/")
        _parsed(RELATIVE_URI, url)
    elif environ.get(FULL_URI):
        url = environ[FULL_URI]
        _check_address(_parsed(FULL_URI, url))
    else:
        return None
    return ContainerEndpoint(url, environ.get(TOKEN), environ.get(TOKEN_FILE), unix_clock, transport)


def _parsed(variable: str, url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
        _ = parsed.host  # decodes it
    except (httpx.InvalidURL, UnicodeError):
        raise CredentialsError(f"{variable} is not a URL") from None
    return parsed


def _check_address(parsed: httpx.URL) -> None:
    if parsed.scheme == "https" and parsed.host:
        return
    if parsed.scheme == "http" and (parsed.host in _PLAIN_HTTP_HOSTS or _is_loopback(parsed.host)):
        return
    raise CredentialsError(
        f"{FULL_URI}: must be https, or plain http to a loopback address or one of "
        f"{', '.join(sorted(_PLAIN_HTTP_HOSTS))}"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
