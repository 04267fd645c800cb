"""Redis and S3 for a first run: both servers, started together, gone together."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from loadtest_trio.backends.embedded.redis_server import RedisServer
from loadtest_trio.backends.embedded.s3_server import S3Server
from loadtest_trio.backends.embedded.server_process import ServerProcess
from loadtest_trio.backends.embedded.watchdog import Watchdog


class EmbeddedBackends:
    """Both servers in one private folder, under one watchdog that outlives us by just enough to clean up.

    Attributes:
        bucket: The bucket's name; the service creates it (``S3_CREATE_BUCKET``).
        region: The region to sign for.
    """

    bucket = "loadtest"
    region = S3Server.region

    def __init__(self, watchdog: Watchdog, redis: RedisServer, s3: S3Server) -> None:
        self._watchdog = watchdog
        self.redis = redis
        self.s3 = s3

    @classmethod
    def start(cls, folder: Path | None = None) -> Self:
        """Start both servers side by side and return when both answer; says so on standard error.

        Args:
            folder: Where to make the private folder; the system's temporary folder when None.

        Returns:
            The running backends, to be used as a context manager.

        Raises:
            EmbeddedUnavailableError: This machine lacks a binary; names the variable to set instead.
            BackendUnavailableError: A server did not answer; carries the last lines of its log.
        """
        watchdog = Watchdog(folder)
        try:
            redis, s3 = RedisServer(watchdog=watchdog), S3Server(watchdog=watchdog)
            with ThreadPoolExecutor(max_workers=2) as starters:
                for server in starters.map(ServerProcess.begin, (redis, s3)):
                    _announce(server)
        except BaseException:
            watchdog.close()
            raise
        return cls(watchdog, redis, s3)

    @property
    def redis_url(self) -> str:
        """The address for ``REDIS_ENDPOINT``, with the password."""
        return self.redis.url

    @property
    def s3_endpoint_url(self) -> str:
        """The address for ``S3_ENDPOINT_URL``."""
        return self.s3.endpoint_url

    @property
    def access_key(self) -> str:
        """The S3 access key id of this run."""
        return self.s3.access_key

    @property
    def secret_key(self) -> str:
        """The S3 secret of this run."""
        return self.s3.secret_key

    def environment(self) -> dict[str, str]:
        """Return the variables that point the service at these backends."""
        return {
            "REDIS_ENDPOINT": self.redis_url,
            "S3_BUCKET": self.bucket,
            "S3_CREATE_BUCKET": "true",
            **self.s3.environment(),
        }

    def close(self) -> None:
        """Kill both servers (their data goes too, so there is nothing to save) and remove the folder."""
        self.redis.close()
        self.s3.close()
        self._watchdog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _announce(server: ServerProcess) -> None:
    sys.stderr.write(f"embedded {server.name}: {server.binary.name} on 127.0.0.1:{server.port}\n")
