"""A Redis with a replica, and a name that can lead to either: what a managed Redis fails over with."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import redis

from loadtest_trio.backends.embedded import RedisServer
from tests.support.fault_proxy import FaultProxy

PASSWORD = "fail0ver-p4ssword-that-is-long-enough"


@attrs.define
class Pair:
    """A primary and its replica, and a forwarder in the place of a DNS name that leads to the primary."""

    a: RedisServer
    b: RedisServer
    name: FaultProxy

    @property
    def url(self) -> str:
        """The name's address, for ``REDIS_ENDPOINT``."""
        return f"redis://:{PASSWORD}@127.0.0.1:{self.name.port}/0"

    def wait_for_replication(self) -> None:
        """Wait until B has all that A has."""
        with redis.Redis.from_url(self.a.url) as client:
            client.set("latest", 1)  # WAIT waits for the writes of its own connection
            assert client.wait(1, 10_000) == 1

    def fail_over(self) -> None:
        """Promote B, make A its replica, and let the name lead to B. Nobody closes A's connections."""
        self.promote()
        self.follow()

    def promote(self) -> None:
        """Make B a primary and let the name lead to it."""
        with redis.Redis.from_url(self.b.url) as client:
            client.replicaof("NO", "ONE")
        self.name.upstream = self.b.port

    def follow(self) -> None:
        """Make A a replica of B."""
        with redis.Redis.from_url(self.a.url) as client:
            client.replicaof("127.0.0.1", str(self.b.port))


@contextmanager
def open_pair(folder: Path, binary: Path | None = None) -> Iterator[Pair]:
    """Start both servers, B as a replica of A, for the length of a block.

    Args:
        folder: For their files.
        binary: Of the server; None: the embedded Valkey.
    """
    directives = {"masterauth": PASSWORD, "repl-diskless-sync-delay": "0"}
    with (
        RedisServer.start(folder, binary=binary, password=PASSWORD, directives=directives) as a,
        RedisServer.start(
            folder,
            binary=binary,
            password=PASSWORD,
            directives={**directives, "replicaof": f"127.0.0.1 {a.port}"},
        ) as b,
        FaultProxy(a.port) as name,
    ):
        yield Pair(a, b, name)
