"""The fault proxy does what the fault's name says; otherwise the outage tests would prove nothing."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.fault_proxy import LOOPBACK, Fault, FaultProxy

WORD = b"a word that comes back"
PATIENCE = 5.0
BRIEFLY = 0.15


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that sends back what it gets, in threads."""
    listener = socket.create_server((LOOPBACK, 0))

    def serve(connection: socket.socket) -> None:
        with connection:
            while data := _received(connection):
                connection.sendall(data)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture
def proxy(echo: int) -> Iterator[FaultProxy]:
    """A proxy before it."""
    with FaultProxy(echo) as made:
        yield made


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[socket.socket]:
    """A connection through the proxy that has worked once."""
    with socket.create_connection((LOOPBACK, proxy.port), timeout=PATIENCE) as connection:
        assert asked(connection) == WORD
        yield connection


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(4096)
    except OSError:
        return b""


def asked(connection: socket.socket, seconds: float = PATIENCE) -> bytes:
    """Send the word and return what comes back until it is whole, the connection ends or time is over."""
    connection.settimeout(seconds)
    connection.sendall(WORD)
    answer = b""
    while len(answer) < len(WORD):
        part = connection.recv(4096)
        if not part:
            break
        answer += part
    return answer


def test_delay_delivers_late(proxy: FaultProxy, client: socket.socket) -> None:
    """A reply arrives complete, but late."""
    proxy.begin(Fault.DELAY)
    began = time.monotonic()
    assert asked(client) == WORD
    assert time.monotonic() - began >= 0.19


def test_reset_closes_with_rst(proxy: FaultProxy, client: socket.socket) -> None:
    """Open and new connections get RST until the fault ends."""
    proxy.begin(Fault.RESET)
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    with (
        pytest.raises(ConnectionResetError),
        socket.create_connection((LOOPBACK, proxy.port), timeout=PATIENCE) as another,
    ):
        another.recv(1)
    proxy.end()
    with socket.create_connection((LOOPBACK, proxy.port), timeout=PATIENCE) as another:
        assert asked(another) == WORD


def test_blackhole_holds_data(proxy: FaultProxy, client: socket.socket) -> None:
    """Nothing arrives during the fault; data sent then arrives when it ends."""
    proxy.begin(Fault.BLACKHOLE)
    with pytest.raises(TimeoutError):
        asked(client, BRIEFLY)
    proxy.end()
    client.settimeout(PATIENCE)
    assert client.recv(4096) == WORD


def test_half_closed_ends_replies_only(proxy: FaultProxy, client: socket.socket) -> None:
    """The replies end, but sending still works."""
    proxy.begin(Fault.HALF_CLOSED)
    assert client.recv(1) == b""
    client.sendall(WORD)


def test_truncated_cuts_reply(proxy: FaultProxy, client: socket.socket) -> None:
    """Half of the reply arrives, then the end."""
    proxy.begin(Fault.TRUNCATED)
    assert asked(client) == WORD[: len(WORD) // 2]


def test_trickle_delivers_single_bytes(proxy: FaultProxy, client: socket.socket) -> None:
    """Single bytes arrive during the fault, and the rest when it ends."""
    proxy.begin(Fault.TRICKLE)
    client.sendall(WORD)
    time.sleep(BRIEFLY)
    some = client.recv(4096)
    assert 0 < len(some) < len(WORD)
    proxy.end()
    rest = b""
    while len(some + rest) < len(WORD):
        rest += client.recv(4096)
    assert some + rest == WORD
