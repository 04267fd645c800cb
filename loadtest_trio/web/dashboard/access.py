"""Who may look at the dashboard, and who may use its controls.

| | no token is set | a token is set |
| --- | --- | --- |
| look | everybody who reaches the address | who brings the token |
| control | who sits at this machine | who brings the token |

"At this machine" is the peer's address and the name in ``Host``: a page of another site that the same browser
shows may send requests to loopback, also under a name of its own that resolves there (DNS rebinding). So the
names must be loopback's, a request that changes something must come from our own page (``Origin``) and carry
JSON, which no plain form of another site can.
"""

import hmac
import ipaddress
import secrets
from hashlib import sha256
from urllib.parse import SplitResult, urlsplit

import attrs
from quart import Request

COOKIE = "loadtest_trio"


@attrs.frozen
class Access:
    """The rule for one server.

    Attributes:
        token: What a visitor must bring; empty when there is none.
        local: Whether the server listens on loopback only.
        salt: Of this process: a cookie ends with it, and does not hold the token.
    """

    token: str = ""
    local: bool = True
    salt: bytes = attrs.field(factory=lambda: secrets.token_bytes(16), repr=False)

    def may_look(self, request: Request) -> bool:
        """Whether a request may read."""
        if self.token:
            return self._brings_token(request)
        return not self.local or _is_loopback(_host(request))

    def may_control(self, request: Request) -> bool:
        """Whether a request may change something."""
        return request.is_json and _same_origin(request) and self.may_ask_for_controls(request)

    def may_ask_for_controls(self, request: Request) -> bool:
        """Whether a visitor who only reads would be let to change something."""
        if self.token:
            return self._brings_token(request)
        # A proxy at this machine brings visitors from anywhere under its own address.
        forwarded = "X-Forwarded-For" in request.headers or "Forwarded" in request.headers
        return not forwarded and _is_loopback(request.remote_addr or "") and _is_loopback(_host(request))

    def admits(self, token: str) -> bool:
        """Whether this is the token."""
        return bool(self.token) and hmac.compare_digest(token.encode(), self.token.encode())

    def cookie(self) -> str:
        """Return what a browser brings from now on in the token's place."""
        return sha256(self.salt + self.token.encode()).hexdigest()

    def _brings_token(self, request: Request) -> bool:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.admits(token.strip()):
            return True
        return hmac.compare_digest(request.cookies.get(COOKIE, "").encode(), self.cookie().encode())


def is_loopback_host(host: str) -> bool:
    """Whether a server that listens on `host` is reached from this machine only."""
    return _is_loopback(host)


def _host(request: Request) -> str:
    return _split(f"//{request.host}").hostname or ""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _same_origin(request: Request) -> bool:
    origin = request.headers.get("Origin")
    return origin is None or _split(origin).netloc == request.host


def _split(url: str) -> SplitResult:
    """Split a URL that a client has sent; one that cannot be read has no host."""
    try:
        return urlsplit(url)
    except ValueError:  # such as an unbalanced bracket
        return urlsplit("")
