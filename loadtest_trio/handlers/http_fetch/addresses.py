"""Which addresses http-fetch may connect to: public unicast ones, and what `HTTP_FETCH_ALLOW` adds. Pure.

The decision is made about addresses, never about their spelling: ``127.1``, ``0x7f.1`` and ``2130706433`` are
all resolved to 127.0.0.1 first, by the same function whose answer is then connected to.

Source: IANA's IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890), and the metadata services of cloud
providers. `ipaddress.is_global` is not used: what it says differs between patch releases of Python 3.11.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from loadtest_trio.errors import FetchRefusedError
from loadtest_trio.settings.allow_list import Address, AllowList, Network

_PUBLIC_IPV6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")

_REFUSED: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(network), kind)
    for network, kind in (
        ("127.0.0.0/8", "loopback"),
        ("10.0.0.0/8", "private"),
        ("172.16.0.0/12", "private"),
        ("192.168.0.0/16", "private"),
        ("169.254.169.254/32", "metadata"),
        ("169.254.0.0/16", "link-local"),
        ("100.100.100.200/32", "metadata"),  # Alibaba Cloud
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("168.63.129.16/32", "metadata"),  # Azure, on a public address
        ("192.0.0.192/32", "metadata"),  # Oracle Cloud
        ("0.0.0.0/8", "null"),
        ("192.0.0.0/24", "reserved"),
        ("192.88.99.0/24", "reserved"),
        ("198.18.0.0/15", "benchmarking"),
        ("192.0.2.0/24", "reserved"),
        ("198.51.100.0/24", "reserved"),
        ("203.0.113.0/24", "reserved"),
        ("224.0.0.0/4", "multicast"),
        ("255.255.255.255/32", "broadcast"),
        ("240.0.0.0/4", "reserved"),
        ("::1/128", "loopback"),
        ("::/128", "null"),
        ("fd00:ec2::254/128", "metadata"),  # AWS
        ("fd20:ce::254/128", "metadata"),  # Google Cloud
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
        ("2001:db8::/32", "reserved"),
        ("3fff::/20", "reserved"),
        ("2001::/23", "reserved"),  # with Teredo, which carries an IPv4 address
        ("2002::/16", "6to4"),  # carries an IPv4 address
    )
)
"""The first match names the kind. Of IPv6, all that is outside 2000::/3 is refused besides."""


def check_address(host: str, port: int, address: str, allow: AllowList) -> None:
    """Check one of a host's addresses before anything connects to it.

    Args:
        host: The name in the URL.
        port: Where to connect.
        address: What the name was resolved to; IPv6 possibly with a zone.
        allow: The exceptions.

    Raises:
        FetchRefusedError: The address is not public, and no exception covers it.
    """
    parsed = ip_address(address.partition("%")[0])
    bare = embedded_ipv4(parsed)
    kind = refused_kind(bare)
    if kind and not any(allow.admits(host, port, each) for each in {parsed, bare}):
        # Without the address: who chose the URL may not know it.
        raise FetchRefusedError(f"{host} has a {kind} address, which HTTP_FETCH_ALLOW does not allow")


def embedded_ipv4(address: Address) -> Address:
    """Return the IPv4 host that an IPv6 address leads to (IPv4-mapped, NAT64), or the address itself."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def refused_kind(address: Address) -> str:
    """Return what makes an address one that strangers must not reach, or "" for a public one."""
    for network, kind in _REFUSED:
        if address in network:
            return kind
    return "" if isinstance(address, IPv4Address) or address in _PUBLIC_IPV6 else "reserved"
