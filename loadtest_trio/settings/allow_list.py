"""`HTTP_FETCH_ALLOW`: exceptions to the rule that http-fetch connects to public addresses only. Pure."""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

import attrs

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_LARGEST_PORT = 65_535


@attrs.frozen
class AllowRule:
    """One exception.

    Attributes:
        text: The entry as the user wrote it.
        allowed: A network, or a host name in lower case, which allows all addresses of that host.
        port: The only allowed port; None for all ports.
    """

    text: str
    allowed: str | Network
    port: int | None

    def admits(self, host: str, port: int, address: Address) -> bool:
        """Return whether the rule allows this port of an address that the host name resolved to."""
        if self.port not in (None, port):
            return False
        return address in self.allowed if not isinstance(self.allowed, str) else host == self.allowed


@attrs.frozen
class AllowList:
    """All exceptions.

    Attributes:
        rules: An address is allowed if any rule admits it.
    """

    rules: tuple[AllowRule, ...] = ()

    def admits(self, host: str, port: int, address: Address) -> bool:
        """Return whether any rule allows this port of an address that the host name resolved to."""
        return any(rule.admits(host.lower().rstrip("."), port, address) for rule in self.rules)

    def __str__(self) -> str:
        return ",".join(rule.text for rule in self.rules)


def parse_allow_list(raw: object, _: object = None) -> AllowList:
    """Read ``127.0.0.1:8000,10.0.0.0/8,[::1]:80,intranet.example`` or the same as a TOML array.

    Returns:
        The exceptions.

    Raises:
        ValueError: An entry is not an address, network or host name with an optional port.
    """
    entries = raw if isinstance(raw, list) else str(raw).split(",")
    return AllowList(tuple(_rule(str(entry).strip()) for entry in entries if str(entry).strip()))


def _rule(entry: str) -> AllowRule:
    host, port = _split(entry)
    return AllowRule(entry, _host_or_network(host, entry), None if port is None else _port(port, entry))


def _split(entry: str) -> tuple[str, str | None]:
    """Return host and port; an IPv6 address with a port is in brackets, as in a URL."""
    if entry.startswith("["):
        host, bracket, rest = entry[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"{entry}: not [address] or [address]:port")
        return host, rest[1:] if rest else None
    if entry.count(":") == 1:
        host, _, port = entry.partition(":")
        return host, port
    return entry, None


def _port(port: str, entry: str) -> int:
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= _LARGEST_PORT:
        raise ValueError(f"{entry}: {port!r} is no port")
    return int(port)


def _host_or_network(host: str, entry: str) -> str | Network:
    try:
        return ip_network(host)
    except ValueError:
        name = host.lower().rstrip(".")
        # A name of digits and dots is a mistyped address; a slash, a mistyped network.
        if _NAME.fullmatch(name) and not re.fullmatch(r"[0-9.]+", name):
            return name
        raise ValueError(f"{entry}: no address, network or host name") from None
