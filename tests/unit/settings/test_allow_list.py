"""`HTTP_FETCH_ALLOW`: valid entries and what they allow."""

from ipaddress import ip_address

import pytest

from loadtest_trio.settings.allow_list import AllowList, parse_allow_list


@pytest.mark.parametrize(
    ("entry", "host", "port", "address", "admitted"),
    [
        ("127.0.0.1", "h", 80, "127.0.0.1", True),
        ("127.0.0.1", "h", 80, "127.0.0.2", False),
        ("127.0.0.1:8000", "h", 8000, "127.0.0.1", True),
        ("127.0.0.1:8000", "h", 8001, "127.0.0.1", False),
        ("10.0.0.0/8", "h", 1, "10.255.0.1", True),
        ("10.0.0.0/8", "h", 1, "11.0.0.1", False),
        ("10.0.0.0/8:443", "h", 443, "10.1.1.1", True),
        ("10.0.0.0/8:443", "h", 80, "10.1.1.1", False),
        ("::1", "h", 80, "::1", True),
        ("[::1]:8000", "h", 8000, "::1", True),
        ("[::1]:8000", "h", 80, "::1", False),
        ("[fd00::/8]:80", "h", 80, "fd12::1", True),
        ("fd00::/8", "h", 80, "fe80::1", False),
        ("intranet.example", "intranet.example", 80, "10.0.0.1", True),
        ("Intranet.Example", "intranet.example.", 80, "10.0.0.1", True),
        ("intranet.example", "www.intranet.example", 80, "10.0.0.1", False),
        ("intranet.example:8080", "intranet.example", 80, "10.0.0.1", False),
        ("localhost:8080", "localhost", 8080, "127.0.0.1", True),
    ],
)
def test_entry_allows_exactly_its_addresses(
    entry: str, host: str, port: int, address: str, admitted: bool
) -> None:
    assert parse_allow_list(entry).admits(host, port, ip_address(address)) is admitted


@pytest.mark.parametrize(
    "entry",
    [
        "10.0.0.1/8",
        "10.0.0.0/33",
        "1.2.3",
        "999.1.1.1",
        "host:",
        ":80",
        "host:x",
        "host:0",
        "host:65536",
        "host:٣",
        "[::1",
        "[::1]:",
        "[::1]8000",
        "::1:g",
        "http://host",
        "host/path",
        "*.example",
        "-x",
        "a b",
    ],
)
def test_mistyped_entry_is_refused_and_named(entry: str) -> None:
    with pytest.raises(ValueError, match=r"address|port"):
        parse_allow_list(f"127.0.0.1,{entry}")


def test_list_round_trip() -> None:
    written = "127.0.0.1:8000,10.0.0.0/8,[::1]:80,intranet.example"
    assert str(parse_allow_list(written)) == written
    assert parse_allow_list(written.split(",")) == parse_allow_list(f" {written.replace(',', ' , ')} ,")


def test_empty_list_allows_nothing() -> None:
    assert parse_allow_list("") == AllowList()
    assert not AllowList().admits("localhost", 80, ip_address("127.0.0.1"))
