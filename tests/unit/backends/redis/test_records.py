"""Settlements on the wire, INFO, and the ledger's arithmetic."""

import pytest

from loadtest_trio.backends.redis import ServerInfo
from loadtest_trio.jobs.delivery import Settlement
from loadtest_trio.jobs.ledger import QueueSnapshot


@pytest.mark.parametrize(
    ("settlement", "action"),
    [
        (Settlement.processed("t"), b"p"),
        (Settlement.missed("t"), b"m"),
        (Settlement.retry("t", b"\xff\n\x00", 1.5), b"r1500\n\xff\n\x00"),
        (Settlement.retry("t", b"x", -3.0), b"r0\nx"),
        (Settlement.dead("t", b'{"id":"1"}'), b'd{"id":"1"}'),
    ],
)
def test_action(settlement: Settlement, action: bytes) -> None:
    """Each outcome has the form that settle.lua reads; delays are whole milliseconds, never negative."""
    assert settlement.action() == action


def test_redis_info() -> None:
    """Redis's INFO becomes facts about version, role, persistence and memory."""
    info = b"# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrole:master\r\naof_enabled:1\r\n"
    info += b"maxmemory:1048576\r\nmaxmemory_policy:noeviction\r\n"
    assert ServerInfo.parse(info) == ServerInfo(
        "redis",
        "7.0.15",
        "standalone",
        "master",
        append_only=True,
        maxmemory=1048576,
        maxmemory_policy="noeviction",
    )


def test_valkey_info() -> None:
    """Valkey is named as such, with its own version rather than the Redis version it pretends to be."""
    info = ServerInfo.parse(b"redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\n")
    assert (info.server, info.version) == ("valkey", "9.1.2")


@pytest.mark.parametrize(
    ("info", "older"),
    [
        ("redis_version:6.3.4", True),
        ("redis_version:7.0.15", False),
        ("redis_version:255.255.255", False),
        ("redis_version:v6.2.1", True),
        ("redis_version:unstable", False),
        ("redis_version:\u00b2.0", False),
        ("redis_version:" + "9" * 5000 + ".0", False),
        ("", False),
        ("redis_version:6.0.0\r\nserver_name:valkey\r\nvalkey_version:8.0.0", False),
    ],
    ids=lambda value: str(value)[:30],
)
def test_only_a_version_that_is_told_can_be_too_old(info: str, older: bool) -> None:
    """Proxies and services leave the version out, or write something else there."""
    assert ServerInfo.parse(info.encode()).is_older_than(7) is older


def test_surplus() -> None:
    """The surplus is what the places hold beyond what was created: 0 when the ledger is closed."""
    places = {"queued": 1, "in_flight": 2, "delayed": 3, "dead": 4, "processed": 5, "missed": 6}
    closed = QueueSnapshot(**places, purged=7, lost=8, created=36, consumers=1, epoch="e")
    foreign = QueueSnapshot(**places, purged=7, lost=8, created=30, consumers=1, epoch="e")
    assert closed.surplus == 0
    assert foreign.surplus == 6


@pytest.mark.parametrize(
    ("maxmemory", "policy", "may"),
    [
        (1, "allkeys-lru", True),
        (1, "volatile-lru", True),
        (1, "noeviction", False),
        (0, "allkeys-lru", False),
        (1, "", False),
    ],
)
def test_limit_at_which_messages_are_deleted(maxmemory: int, policy: str, may: bool) -> None:
    """Only a limit with a policy that deletes something can lose messages."""
    info = ServerInfo.parse(b"maxmemory:%d\r\nmaxmemory_policy:%b\r\n" % (maxmemory, policy.encode()))
    assert info.may_evict is may


def test_limit_that_is_no_number_is_none() -> None:
    assert ServerInfo.parse(b"maxmemory:unlimited\r\n").maxmemory == 0
