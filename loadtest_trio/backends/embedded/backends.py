"""Local Redis and S3 servers, started and ended together."""

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
    """Both servers in one private folder, under one watchdog that cleans up after this process ends.

    Attributes:
        bucket: The bucket's name; the service creates it (``S3_CREATE_BUCKET``).
        region: The region used to sign requests.
    """

    bucket = "loadtest"
    region = S3Server.region

    def __init__(self, watchdog: Watchdog, redis: RedisServer, s3: S3Server) -> None:
        self._watchdog = watchdog
        self.redis = redis
        self.s3 = s3

    @classmethod
    def start(cls, folder: Path | None = None) -> Self:
        """Start both servers in parallel, return once both answer, and report it on standard error.

        Args:
            folder: Parent of the private folder; None for the system's temporary folder.

        Returns:
            The running backends, to be used as a context manager.

        Raises:
            EmbeddedUnavailableError: This machine lacks a binary; the message names the variable to set.
            BackendUnavailableError: A server did not answer; the message has the last lines of its log.
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
        """Return the environment variables that configure the service for these backends."""
        return {
            "REDIS_ENDPOINT": self.redis_url,
            "S3_BUCKET": self.bucket,
            "S3_CREATE_BUCKET": "true",
            **self.s3.environment(),
        }

    def close(self) -> None:
        """Kill both servers and remove the folder; no clean shutdown is needed, since the data is deleted."""
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
