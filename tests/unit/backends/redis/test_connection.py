"""URLs, and how idle connections are kept."""

from typing import Any

import pytest
import redis

from loadtest_trio.backends.redis.connection import BoundedParser, Connections, Endpoint
from loadtest_trio.errors import RedisRejectedError, RedisUnavailableError


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


def test_tls_verifies_certificate() -> None:
    """``rediss://`` makes connections that require a trusted certificate with the right name."""
    connection = Endpoint.parse("rediss://redis.example?ssl_ca_certs=ca.pem").connection(1.0)
    assert isinstance(connection, redis.SSLConnection)
    assert (connection.cert_reqs.name, connection.check_hostname) == ("CERT_REQUIRED", True)
    assert connection.ca_certs == "ca.pem"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "redis.example:6379",
        "http://h",
        "redis://",
        "redis://:secret@h:port",
        "redis://:secret@h/name",
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


def test_broken_connection_is_closed_with_its_idle_sisters(monkeypatch: pytest.MonkeyPatch) -> None:
    """When one connection breaks, the server most likely went away: no stale one is tried afterwards."""
    broken, idle, fresh = (
        StubConnection(redis.ConnectionError("gone")),
        StubConnection(),
        StubConnection(b"new"),
    )
    connections = connections_of(monkeypatch, broken, fresh)
    connections._idle.append(idle)
    connections._idle.append(broken)
    with pytest.raises(RedisUnavailableError, match="h:6379: gone"):
        connections.execute("A")
    assert not broken.open
    assert not idle.open
    monkeypatch.setattr(Endpoint, "connection", lambda self, timeout: fresh)
    assert connections.execute("A") == b"new"


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
