"""Only public addresses pass, whatever they are wrapped in, unless a rule allows them."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadtest_trio.errors import FetchRefusedError
from loadtest_trio.handlers.http_fetch.addresses import check_address, embedded_ipv4, refused_kind
from loadtest_trio.settings.allow_list import AllowList, parse_allow_list

PUBLIC_IPV4 = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "172.15.255.255",
    "172.32.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "169.253.255.255",
    "192.0.1.0",
    "223.255.255.255",
]
PUBLIC = [*PUBLIC_IPV4, "2606:4700:4700::1111", "2a00:1450:4001::68", "::ffff:8.8.8.8", "64:ff9b::808:808"]
FORBIDDEN = {
    "loopback": ["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1"],
    "private": [
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "fc00::1",
        "fdff::1",
        "::ffff:10.0.0.1",
    ],
    "link-local": ["169.254.0.1", "fe80::1", "fe80::1%eth0", "febf::1", "::ffff:169.254.1.1"],
    "metadata": [
        "169.254.169.254",
        "::ffff:a9fe:a9fe",
        "64:ff9b::a9fe:a9fe",
        "fd00:ec2::254",
        "fd20:ce::254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
    ],
    "carrier-grade NAT": ["100.64.0.1", "100.127.255.255"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1", "::ffff:224.0.0.251"],
    "null": ["0.0.0.0", "0.1.2.3", "::"],
    "broadcast": ["255.255.255.255"],
    "6to4": ["2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:808:808::1"],
    "site-local": ["fec0::1"],
    "benchmarking": ["198.18.0.1", "198.19.255.255"],
    "reserved": [
        "240.0.0.1",
        "192.0.0.1",
        "192.88.99.1",
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "2001::1",
        "2001:db8::1",
        "3fff::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b:1::7f00:1",
        "100::1",
        "5f00::1",
        "1::1",
    ],
}


@pytest.mark.parametrize("address", PUBLIC)
def test_public_address_passes(address: str) -> None:
    check_address("host", 80, address, AllowList())


@pytest.mark.parametrize(
    ("kind", "address"), [(kind, each) for kind in FORBIDDEN for each in FORBIDDEN[kind]]
)
def test_forbidden_address_is_refused_by_its_kind(kind: str, address: str) -> None:
    with pytest.raises(FetchRefusedError, match=f"host has a {kind} address, which HTTP_FETCH_ALLOW"):
        check_address("host", 80, address, AllowList())


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"])
def test_rule_covers_every_wrapping_of_its_address(address: str) -> None:
    check_address("host", 80, address, parse_allow_list("127.0.0.0/8"))


def test_rule_for_one_address_opens_no_other() -> None:
    with pytest.raises(FetchRefusedError):
        check_address("host", 80, "169.254.169.254", parse_allow_list("127.0.0.1,other.example"))


@pytest.mark.parametrize(
    "spelling", ["127.1", "0x7f.1", "2130706433", "0x7f000001", "017700000001", "0177.0.0.01", "0", "127.0.1"]
)
def test_odd_spelling_is_judged_by_what_it_means(spelling: str) -> None:
    """The system reads these as addresses, and it is the system's reading that is checked."""
    found = socket.getaddrinfo(spelling, 80, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    with pytest.raises(FetchRefusedError, match=r"loopback|null"):
        check_address(spelling, 80, str(found[0][4][0]), AllowList())


# Public by the registry, but nobody serves pages there that a stranger may read.
STRICTER = [
    ip_network(each)
    for each in [
        "168.63.129.16/32",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "224.0.0.0/4",
        "2001::/23",
        "2002::/16",
        "3fff::/20",
    ]
]
GLOBAL_UNICAST = ip_network("2000::/3")
IPV6 = st.integers(0, 2**128 - 1) | st.integers(2**125, 2**126 - 1)


@given(st.integers(0, 2**32 - 1).map(IPv4Address) | st.sampled_from(PUBLIC_IPV4).map(IPv4Address))
@example(IPv4Address("192.0.0.9"))
@example(IPv4Address("192.31.196.1"))
def test_ipv4_agrees_with_the_standard_library(address: IPv4Address) -> None:
    """Never laxer than `is_global`, and stricter in the networks above only."""
    stricter = any(address in network for network in STRICTER)
    assert (refused_kind(address) == "") is (address.is_global and not stricter)


@given(
    st.integers(0, 2**128 - 1).map(IPv6Address)
    | st.integers(0, 2**125 - 1).map(lambda n: IPv6Address(n + 2**125))
)
def test_ipv6_is_never_laxer_than_the_standard_library(address: IPv6Address) -> None:
    """What passes is global unicast: in 2000::/3, and neither a tunnel nor reserved."""
    passes = refused_kind(address) == ""
    if passes:
        assert address.is_global
        assert not address.is_multicast
        assert address in GLOBAL_UNICAST
        assert address.sixtofour is None
        assert address.teredo is None
    elif address in GLOBAL_UNICAST:
        assert not address.is_global or any(address in network for network in STRICTER)


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_wrapped_ipv4_is_judged_like_the_bare_one(address: IPv4Address) -> None:
    for prefix in ("::ffff:", "64:ff9b::"):
        wrapped = ip_address(f"{prefix}{address}")
        assert embedded_ipv4(wrapped) == address
        assert refused_kind(embedded_ipv4(wrapped)) == refused_kind(address)


def test_oldest_wrappings_never_pass() -> None:
    """IPv4-compatible (::a.b.c.d), translated (::ffff:0:a.b.c.d) and 6to4 addresses are always refused."""
    for public in ("8.8.8.8", "1.1.1.1"):
        octets = IPv4Address(public).packed.hex()
        for address in (f"::{public}", f"::ffff:0:{public}", f"2002:{octets[:4]}:{octets[4:]}::1"):
            assert refused_kind(embedded_ipv4(ip_address(address)))
