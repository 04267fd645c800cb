"""The job service that users load when no other is named: ``jobs --embedded``, a child of this process."""

import http.client
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import loadtest_trio
from loadtest_trio.backends.embedded.ports import LOOPBACK, free_ports
from loadtest_trio.backends.embedded.server_process import ServerProcess

_NO_LIMITS = {"JOB_RATE_LIMIT_PER_MINUTE": "0", "HTTP_FETCH_ALLOW": LOOPBACK}
_ASK_SECONDS = 2.0


class JobService(ServerProcess):
    """A job service on a private Redis and S3, without a rate limit.

    What the environment says counts: ``WORKER_CONCURRENCY=1`` makes a service with one worker.
    """

    name = "jobs"

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__(Path(sys.executable), None, None, None)
        self._environ = environ

    @classmethod
    def start(cls, environ: Mapping[str, str]) -> Self:
        """Start a service and return when it is ready for requests.

        Args:
            environ: Its settings, and what it needs to run.

        Raises:
            BackendUnavailableError: It did not answer; carries the last lines of its log.
        """
        return cls(environ).begin()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{LOOPBACK}:{self.port}"

    def close(self) -> None:
        """End it in order, so that its own servers end with it."""
        self.stop()
        super().close()

    def _choose_ports(self, port: int | None) -> list[int]:
        return [port, *free_ports(1)] if port else free_ports(2)

    def _configure(self) -> None:
        """Everything is in the environment."""

    def _environment(self) -> dict[str, str]:
        package = str(Path(loadtest_trio.__file__).parents[1])
        path = os.pathsep.join(filter(None, (package, self._environ.get("PYTHONPATH"))))
        own = {"API_HOST": LOOPBACK, "API_PORT": str(self.port), "HEALTH_PORT": str(self.ports[1])}
        return {**_NO_LIMITS, **self._environ, **own, "LOG_FORMAT": "json", "PYTHONPATH": path}

    def _arguments(self) -> list[str]:
        return ["-m", "loadtest_trio", "jobs", "--embedded"]

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=_ASK_SECONDS)
        try:
            connection.request("GET", "/api/jobs/health")
            return connection.getresponse().status == http.client.OK
        finally:
            connection.close()

    def _secrets(self) -> list[str]:
        return []
