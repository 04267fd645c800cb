"""URLs, and how idle connections are kept."""

import time
from pathlib import Path
from typing import Any

import pytest
import redis
import trustme
from redis.connection import DefaultParser

from loadtest_trio.backends.redis.connection import BoundedParser, Connections, Endpoint
from loadtest_trio.errors import ConfigurationError, RedisRejectedError, RedisUnavailableError


def test_whole_url() -> None:
    """User, password (percent-encoded), host, port and database are read."""
    endpoint = Endpoint.parse("redis://ann:p%40ss@redis.example:7000/3")
    assert endpoint.where == "redis.example:7000"
    assert endpoint.options == {
        "host": "redis.example",
        "port": 7000,
        "db": 3,
        "username": "ann",
        "password": "p@ss",
    }
    assert not endpoint.tls


def test_default_port_and_database() -> None:
    """Host alone means port 6379 and database 0."""
    endpoint = Endpoint.parse("rediss://redis.example")
    assert endpoint.tls
    assert (endpoint.options["port"], endpoint.options["db"]) == (6379, 0)


@pytest.mark.parametrize(
    ("written", "read"), [("sJ3+O+XQ=", "sJ3+O+XQ="), ("p%40ss+w=rd%253D", "p@ss+w=rd%3D")]
)
def test_plus_and_equals_of_a_password_are_kept(written: str, read: str) -> None:
    """Generated passwords hold them."""
    assert Endpoint.parse(f"redis://:{written}@redis.example").options["password"] == read


def test_ipv6_address_needs_no_port() -> None:
    """The brackets belong to the URL, and not to the address."""
    endpoint = Endpoint.parse("redis://:secret@[::1]")
    assert (endpoint.options["host"], endpoint.options["port"]) == ("::1", 6379)
    assert endpoint.where == "[::1]:6379"


def test_tls_verifies_certificate(tmp_path: Path) -> None:
    """``rediss://`` makes connections that require a trusted certificate with the right name."""
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(file)
    connection = Endpoint.parse(f"rediss://redis.example?ssl_ca_certs={file}").connection(1.0)
    assert isinstance(connection, redis.SSLConnection)
    assert (connection.cert_reqs.name, connection.check_hostname) == ("CERT_REQUIRED", True)
    assert connection.ca_certs == str(file)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file"), (b"no certificate", "PEM"), (b"", "NO_CERTIFICATE|no cert")],
)
def test_an_unusable_authority_file_is_bad_configuration(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    """It is named at once, with the reason, instead of at every attempt to connect without its name."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"REDIS_ENDPOINT.*{file}.*({reason})") as caught:
        Endpoint.parse(f"rediss://:secret@redis.example?ssl_ca_certs={file}")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "redis.example:6379",
        "http://h",
        "redis://",
        "redis://:secret@h:port",
        "redis://:secret@h/name",
        "redis://:secret@h#1",
        "redis://:secret@h?ssl_cert_reqs=none",
        "rediss://:secret@h?ssl_cert_reqs=none",
        "redis://:secret@h?x",
    ],
)
def test_unusable_url(url: str) -> None:
    """An unusable URL is named by its setting and not repeated: it may hold a password."""
    with pytest.raises(RedisRejectedError, match="REDIS_ENDPOINT must be") as caught:
        Endpoint.parse(url)
    assert "secret" not in str(caught.value)


def test_password_is_not_in_the_repr() -> None:
    """An endpoint that ends in a log line shows no secret."""
    assert "secret" not in repr(Endpoint.parse("redis://u:secret@h"))


class StubConnection:
    """Answers with the given replies; exceptions are raised."""

    def __init__(self, *replies: object) -> None:
        self.replies = list(replies)
        self.open = True

    def send_command(self, *command: object) -> None:
        self.sent = command

    def read_response(self) -> object:
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def disconnect(self) -> None:
        self.open = False


def connections_of(monkeypatch: pytest.MonkeyPatch, *stubs: StubConnection) -> Connections:
    supply = iter(stubs)
    monkeypatch.setattr(Endpoint, "connection", lambda self, timeout: next(supply))
    return Connections(Endpoint.parse("redis://:secret@h"))


def test_connection_is_reused(monkeypatch: pytest.MonkeyPatch) -> None:
    """One caller at a time needs one connection, also after an error reply."""
    only = StubConnection(b"1", redis.ResponseError("ERR nope"), b"2")
    connections = connections_of(monkeypatch, only)
    assert connections.execute("A") == b"1"
    with pytest.raises(RedisRejectedError, match="nope"):
        connections.execute("B")
    assert connections.execute("C") == b"2"
    assert only.open


def test_a_broken_connection_ends_the_idle_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """When one connection breaks, the server most likely went away: no stale one is tried afterwards."""
    broken, idle, fresh = (
        StubConnection(redis.ConnectionError("gone")),
        StubConnection(),
        StubConnection(b"new"),
    )
    connections = connections_of(monkeypatch, broken, fresh)
    connections._idle += [(0, idle, time.monotonic()), (0, broken, time.monotonic())]
    with pytest.raises(RedisUnavailableError, match="h:6379: gone"):
        connections.execute("A")
    assert not broken.open
    assert not idle.open
    monkeypatch.setattr(Endpoint, "connection", lambda self, timeout: fresh)
    assert connections.execute("A") == b"new"


ELSEWHERE = [
    "READONLY You can't write against a read only replica.",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "CLUSTERDOWN The cluster is down",
    "LOADING Redis is loading the dataset in memory",
    "MOVED 3999 10.0.0.2:6379",
    "ASK 3999 10.0.0.2:6379",
    "NOAUTH Authentication required.",
    "WRONGPASS invalid username-password pair or user is disabled.",
]


@pytest.mark.parametrize("text", ELSEWHERE)
def test_a_server_that_is_the_wrong_one_ends_every_connection(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """The one that got the reply, the idle ones, and the ones in use as soon as they are given back."""
    parser: Any = DefaultParser
    wrong, idle, fresh = (
        StubConnection(b"1", parser.parse_error(text)),
        StubConnection(),
        StubConnection(b"2"),
    )
    busy = StubConnection(b"read")
    connections = connections_of(monkeypatch, wrong, fresh)
    assert connections.execute(b"EVALSHA", b"a") == b"1"
    connections._idle.insert(0, (0, idle, time.monotonic()))
    with pytest.raises(RedisUnavailableError, match=text.split()[0]):
        connections.execute(b"EVALSHA", b"b")
    assert not wrong.open
    assert not idle.open
    connections._give_back(0, busy)  # it was on its way when the others ended
    assert not busy.open
    assert connections.execute("C") == b"2"
    assert fresh.open


def test_a_login_that_never_worked_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first answer it is the user's mistake, not a password that is being changed."""
    parser: Any = DefaultParser
    connections = connections_of(monkeypatch, StubConnection(parser.parse_error("WRONGPASS invalid")))
    with pytest.raises(RedisRejectedError, match="user and password"):
        connections.execute("A")


NO_PERMISSION = [
    "NOPERM User u has no permissions to run the 'evalsha' command",
    "ERR ACL failure in script: User u has no permissions to run the 'lpush' command script: on @user_s:1.",
]


@pytest.mark.parametrize("text", NO_PERMISSION)
def test_withdrawn_permission_is_an_outage(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """What this script was allowed before, a person has withdrawn and can grant again."""
    parser: Any = DefaultParser
    connection = StubConnection(b"1", parser.parse_error(text), b"2")
    connections = connections_of(monkeypatch, connection)
    assert connections.execute(b"EVALSHA", b"a") == b"1"
    with pytest.raises(RedisUnavailableError, match="needs more permissions"):
        connections.execute(b"EVALSHA", b"a")
    assert connections.execute(b"EVALSHA", b"a") == b"2"


@pytest.mark.parametrize("text", NO_PERMISSION)
def test_permission_that_was_never_given_is_rejected(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """That other commands work does not make it an outage."""
    parser: Any = DefaultParser
    connections = connections_of(monkeypatch, StubConnection(b"1", parser.parse_error(text)))
    assert connections.execute(b"INFO") == b"1"
    with pytest.raises(RedisRejectedError, match="needs more permissions"):
        connections.execute(b"EVALSHA", b"a")


@pytest.mark.parametrize("text", ["MOVED 3999 10.0.0.2:6379", "ASK 3999 10.0.0.2:6379"])
def test_node_of_a_cluster_is_rejected_at_start(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """INFO works on every node; the first script that is sent elsewhere ends the start with what to set."""
    parser: Any = DefaultParser
    connections = connections_of(monkeypatch, StubConnection(b"1", parser.parse_error(text)))
    assert connections.execute(b"INFO") == b"1"
    with pytest.raises(RedisRejectedError, match="cluster mode is not supported: set REDIS_ENDPOINT"):
        connections.execute(b"EVALSHA", b"a")


def test_trickling_reply_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply that keeps arriving byte by byte is given up after the limit for the whole."""
    now = 0.0
    monkeypatch.setattr("loadtest_trio.backends.redis.connection.time.monotonic", lambda: now)

    def one_more_byte(self: Any, *args: Any, **kwargs: Any) -> bool:
        nonlocal now
        now += 1.0
        return True

    def read(self: Any, *args: Any, **kwargs: Any) -> None:
        while True:
            self.read_from_socket()

    monkeypatch.setattr(BoundedParser.__bases__[0], "read_from_socket", one_more_byte)
    monkeypatch.setattr(BoundedParser.__bases__[0], "read_response", read)
    with pytest.raises(redis.TimeoutError, match="no whole reply within"):
        BoundedParser(socket_read_size=1).read_response()
    assert now == 11.0


def test_plain_command_that_was_never_permitted_waits_once_scripts_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first job asks a command that the ACL lacks: that does not end a running service."""
    parser: Any = DefaultParser
    denied = parser.parse_error("NOPERM User u has no permissions to run the 'hkeys' command")
    connections = connections_of(monkeypatch, StubConnection(b"1", denied))
    assert connections.execute(b"EVALSHA", b"a") == b"1"
    with pytest.raises(RedisUnavailableError, match="needs more permissions"):
        connections.execute(b"HKEYS", b"k")


def test_connection_that_cannot_be_made_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """redis-py reads its own version from a file for each new one: without a descriptor that fails, too."""

    def exhausted(*_: object) -> None:
        raise OSError(24, "Too many open files", "METADATA")

    connections = connections_of(monkeypatch, StubConnection())
    monkeypatch.setattr(Endpoint, "connection", exhausted)
    with pytest.raises(RedisUnavailableError, match="Too many open files"):
        connections.execute("A")
