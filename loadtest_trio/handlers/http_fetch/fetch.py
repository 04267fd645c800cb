"""The fetch: check, connect, get, and again for each redirect, all within one deadline.

What becomes of a job: any complete answer is its result, whatever the status. What may be better later is
retried: name servers and hosts that do not answer, broken connections, bad HTTP, too little time. The rest is
refused for good: bad URLs, unknown names, forbidden addresses, bad certificates, too many redirects.
"""

import re
import ssl
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import attrs
import httpx
import trio

from loadtest_trio.errors import FetchRefusedError, FetchUnreachableError, MalformedMessageError
from loadtest_trio.handlers.http_fetch.connect import Resolve, connect, secure
from loadtest_trio.handlers.http_fetch.exchange import get, redirect_target
from loadtest_trio.handlers.http_fetch.page import Page
from loadtest_trio.handlers.registry import Handler
from loadtest_trio.jobs.message import Message
from loadtest_trio.jobs.retry import RetryPolicy
from loadtest_trio.settings.allow_list import AllowList

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LONGEST_URL = 4096
_LARGEST_PORT = 65_535
_SHOWN = 200
_USERINFO = re.compile(r"^((?:[A-Za-z][A-Za-z0-9+.-]*:)?[/\\]*)[^?#]*@")  # a secret, in an error of a job


@attrs.frozen
class FetchLimits:
    """What a fetch may take and reach.

    Attributes:
        allow: `HTTP_FETCH_ALLOW`: addresses that are not public, and yet allowed.
        max_bytes: `HTTP_FETCH_MAX_BYTES`: a longer body is cut off there.
        timeout_seconds: `HTTP_FETCH_TIMEOUT_SECONDS`: for all of it, redirects included.
        max_redirects: `HTTP_FETCH_MAX_REDIRECTS`.
    """

    allow: AllowList = attrs.field(factory=AllowList)
    max_bytes: int = 5 * 1024 * 1024
    timeout_seconds: float = 10.0
    max_redirects: int = 5


def fetch_handler(fetcher: "Fetcher", retry: RetryPolicy) -> Handler:
    """Return the handler of ``http-fetch``."""
    return Handler(
        "http-fetch",
        fetcher.fetch,
        retry,
        check=check_params,
        max_seconds=fetcher.max_seconds,
        public=True,
        content_type="application/json",
    )


class _UnfitError(ValueError):
    """A URL that may not be fetched; the text quotes nothing of it."""


def parse_url(text: str) -> httpx.URL:
    """Read a URL that may be fetched, as far as its text can tell.

    Raises:
        ValueError: It is not http:// or https:// with a host, or carries a user name or a password (then the
            text does not quote it).
    """
    if len(text) > _LONGEST_URL:
        raise _UnfitError(f"longer than {_LONGEST_URL} characters")
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ValueError(str(error)) from error
    if url.scheme not in _DEFAULT_PORTS or not url.host:
        raise _UnfitError("it must begin with http:// or https:// and a host")
    if url.userinfo:
        raise _UnfitError("it must not carry a user name or a password")
    if url.port is not None and not 1 <= url.port <= _LARGEST_PORT:
        raise _UnfitError(f"port {url.port} is no port")
    return url


def check_params(params: Mapping[str, Any]) -> None:
    """Check what a message asks for.

    Raises:
        MalformedMessageError: ``url`` is not one that may be fetched.
    """
    url = params.get("url")
    if not isinstance(url, str):
        raise MalformedMessageError("url must be a string")
    try:
        parse_url(url)
    except ValueError as error:
        raise MalformedMessageError(f"url cannot be fetched: {error}") from error


class Fetcher:
    """Fetches URLs.

    Args:
        limits: What a fetch may take and reach.
        resolve: Looks host names up.
        tls: For https; None: certificates are checked against httpx's authorities.
    """

    def __init__(self, limits: FetchLimits, resolve: Resolve, tls: ssl.SSLContext | None = None) -> None:
        self._limits = limits
        self._resolve = resolve
        self._given_tls = tls

    @property
    def max_seconds(self) -> float:
        """How long a fetch may take, in seconds."""
        return self._limits.timeout_seconds

    async def fetch(self, message: Message) -> bytes:
        """Return the page at ``params["url"]``, encoded.

        Raises:
            FetchRefusedError: It will not be fetched, now or later.
            FetchUnreachableError: There was no complete answer this time.
        """
        url, seconds = parse_url(message.params["url"]), self._limits.timeout_seconds
        with trio.move_on_after(seconds):
            page = await self._follow(url)
            return page.encode()
        raise FetchUnreachableError(
            f"{url}: no complete answer within HTTP_FETCH_TIMEOUT_SECONDS={seconds:g}"
        )

    async def _follow(self, url: httpx.URL) -> Page:
        for _ in range(self._limits.max_redirects + 1):
            page = await self._get(url)
            target = redirect_target(page)
            if not target:
                return page
            url = _join(url, target)
        raise FetchRefusedError(f"more than HTTP_FETCH_MAX_REDIRECTS={self._limits.max_redirects} redirects")

    async def _get(self, url: httpx.URL) -> Page:
        host, port = url.raw_host.decode("ascii"), url.port or _DEFAULT_PORTS[url.scheme]
        async with await connect(host, port, self._limits.allow, self._resolve) as stream:
            if url.scheme == "http":
                return await get(stream, url, self._limits.max_bytes)
            async with await secure(stream, host, self._tls) as secured:
                return await get(secured, url, self._limits.max_bytes)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """The context, made on first use: reading the authorities' certificates takes 20 ms."""
        context = self._given_tls or httpx.create_ssl_context()
        context.set_alpn_protocols(["http/1.1"])
        return context


def _join(url: httpx.URL, location: str) -> httpx.URL:
    try:
        return parse_url(str(url.join(location)))
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        shown, secrets = _USERINFO.subn(r"\1…@", location)
        # What httpx says of a URL may quote it.
        why = "it is no URL" if secrets and not isinstance(error, _UnfitError) else str(error)
        raise FetchRefusedError(f"{url} redirects to {shown[:_SHOWN]!r}: {why}") from None
