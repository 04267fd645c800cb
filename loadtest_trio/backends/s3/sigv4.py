"""AWS Signature Version 4 for S3, in the Authorization header; pure: the clock is an argument.

Protocol: "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)" and
"Signature Calculations for the Authorization Header: Transferring Payload in a Single Chunk" in the
Amazon S3 API Reference. S3 differs from other services in two points: the path is encoded once and never
normalised, and the hash of the payload is sent in `x-amz-content-sha256`.

    canonical request ──sha256──► string to sign ──hmac(signing key)──► signature
    (method, path, query,         (date, scope,                        signing key: four hmacs over
     headers, payload hash)        hash)                               (secret, day, region, service)

`Signer` caches what all requests of one second share: date, scope, signing key and the canonical form of
recurring headers. A signature then costs one sha256 and one hmac.
"""

import hashlib
import hmac
from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import quote

import attrs

from loadtest_trio.backends.s3.credentials import Credentials

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
"""The payload hash of a request whose body is not signed."""

_ALGORITHM = "AWS4-HMAC-SHA256"


def encode_path(path: str) -> str:
    """Percent-encode an object path the way S3 canonicalises it (`UriEncode` without the slash).

    Args:
        path: The decoded path, such as ``/bucket/a key``.

    Returns:
        The path with everything but unreserved characters and ``/`` as UTF-8 ``%XX``; dots and ``//`` stay.

    Raises:
        ValueError: The path holds a lone surrogate, which UTF-8 cannot encode.
    """
    return quote(path, safe="/")


def encode_query(parameters: Iterable[tuple[str, str]]) -> str:
    """Return the canonical query string: names and values encoded, sorted by name, then by value.

    Args:
        parameters: Decoded names and values.
    """
    pairs = sorted((quote(name, safe=""), quote(value, safe="")) for name, value in parameters)
    return "&".join(f"{name}={value}" for name, value in pairs)


def payload_hash(body: bytes | bytearray | memoryview) -> str:
    """Return the hex SHA-256 of a body: the payload hash of a signed payload."""
    return hashlib.sha256(body).hexdigest()


def canonical_headers(headers: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """Canonicalise headers: lower-case names in order, white space collapsed, repeats joined by commas.

    Args:
        headers: Names and values, in any order and case.

    Returns:
        The lines of the canonical request, each ending in a newline, and the signed names joined by ``;``.
    """
    values: dict[str, str] = {}
    for name, value in headers:
        lower, trimmed = name.lower(), " ".join(value.split())
        values[lower] = f"{values[lower]},{trimmed}" if lower in values else trimmed
    names = sorted(values)
    return "".join([f"{name}:{values[name]}\n" for name in names]), ";".join(names)


def canonical_request(method: str, path: str, query: str, headers: tuple[str, str], payload: str) -> str:
    """Build the canonical request.

    Args:
        method: ``GET``, ``PUT`` and so on.
        path: The encoded path (`encode_path`).
        query: The canonical query string (`encode_query`).
        headers: Every header to sign, as `canonical_headers` returned them.
        payload: The payload hash, or `UNSIGNED_PAYLOAD`.
    """
    lines, names = headers
    return f"{method}\n{path}\n{query}\n{lines}\n{names}\n{payload}"


def signing_key(secret_key: str, day: str, region: str, service: str = "s3") -> bytes:
    """Derive the signing key of one day, region and service.

    Args:
        secret_key: The secret access key.
        day: ``YYYYMMDD`` in UTC.
        region: Such as ``eu-west-1``.
        service: The service's signing name.
    """
    key = f"AWS4{secret_key}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


@attrs.frozen
class _Moment:
    """The state shared by all requests that are signed in one second with one set of keys.

    Attributes:
        second: The time of signing, in whole Unix seconds.
        credentials: The keys.
        date: The time of signing in the format of ``x-amz-date``.
        scope: The credential scope.
        mac: HMAC-SHA256 keyed with the signing key; copied for each signature.
        canonical: Headers of requests with unsigned payload -> their canonical form; a handful.
    """

    second: int
    credentials: Credentials
    date: str
    scope: str
    mac: hmac.HMAC
    canonical: dict[tuple[tuple[str, str], ...], tuple[str, str]] = attrs.field(factory=dict)


class Signer:
    """Signs requests for one region, deriving the signing key once a day.

    Args:
        region: The region named in the credential scope.
        service: The service's signing name.
    """

    def __init__(self, region: str, service: str = "s3") -> None:
        self._region = region
        self._service = service
        self._moment: _Moment | None = None

    def sign(
        self,
        method: str,
        path: str,
        query: str,
        headers: list[tuple[str, str]],
        payload: str,
        credentials: Credentials,
        now: float,
    ) -> list[tuple[str, str]]:
        """Sign one request.

        Args:
            method: ``GET``, ``PUT`` and so on.
            path: The encoded path (`encode_path`), exactly as it will be sent.
            query: The canonical query string (`encode_query`), exactly as it will be sent.
            headers: The headers to sign; ``host`` must be among them, ``x-amz-date``,
                ``x-amz-content-sha256`` and ``x-amz-security-token`` are added here.
            payload: The payload hash, or `UNSIGNED_PAYLOAD`.
            credentials: The keys to sign with.
            now: The time of signing, in Unix seconds; S3 allows it to be 15 minutes off.

        Returns:
            The headers to send: the given ones, the added ones and ``authorization``.
        """
        moment = self._at(now, credentials)
        signed = [*headers, ("x-amz-content-sha256", payload), ("x-amz-date", moment.date)]
        if credentials.session_token is not None:
            signed.append(("x-amz-security-token", credentials.session_token))
        canonical = _canonical(signed, payload, moment)
        request = canonical_request(method, path, query, canonical, payload)
        digest = hashlib.sha256(request.encode()).hexdigest()
        mac = moment.mac.copy()
        mac.update(f"{_ALGORITHM}\n{moment.date}\n{moment.scope}\n{digest}".encode())
        signed.append(
            (
                "authorization",
                f"{_ALGORITHM} Credential={credentials.access_key}/{moment.scope}, "
                f"SignedHeaders={canonical[1]}, Signature={mac.hexdigest()}",
            )
        )
        return signed

    def _at(self, now: float, credentials: Credentials) -> _Moment:
        second, last = int(now), self._moment
        if last is not None and last.second == second and last.credentials is credentials:
            return last
        date = datetime.fromtimestamp(second, UTC).strftime("%Y%m%dT%H%M%SZ")
        day = date[:8]
        if last is not None and last.date[:8] == day and last.credentials is credentials:
            mac = last.mac
        else:
            key = signing_key(credentials.secret_key, day, self._region, self._service)
            mac = hmac.new(key, digestmod="sha256")
        scope = f"{day}/{self._region}/{self._service}/aws4_request"
        self._moment = _Moment(second, credentials, date, scope, mac)
        return self._moment


def _canonical(headers: list[tuple[str, str]], payload: str, moment: _Moment) -> tuple[str, str]:
    if payload != UNSIGNED_PAYLOAD:  # with a payload hash among them, headers do not recur
        return canonical_headers(headers)
    key = tuple(headers)
    known = moment.canonical.get(key)
    if known is None:
        known = moment.canonical[key] = canonical_headers(headers)
    return known
