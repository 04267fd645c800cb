"""A job service at work: its processes on one core, its Redis on the other."""

import contextlib
import http.client
import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.contenders import ROOT
from benchmarks.jobs.services import JobService
from benchmarks.process import CLIENT_CORE, Child, free_ports, wait_for_port
from benchmarks.redis_server import RedisServer
from benchmarks.stub_s3 import StubS3

UNFINISHED = {"queued", "pending", "running", "retrying"}
_START_SECONDS, _LOOK_SECONDS = 30.0, 0.02
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR")


class ServiceError(Exception):
    """A service crashed or left jobs undone; the text says what it printed."""


class Deployment:
    """A context manager that starts Redis and one job service, and stops both.

    Args:
        service: Which one.
        settings: Further variables of its environment.
        core: Where its processes run; Redis runs on the servers' core.

    Attributes:
        url: Where it serves.
        redis: Its Redis server, which nobody else uses.

    Raises:
        Unavailable: The service, or Redis, is not installed.
        ServiceError: The service does not start.
    """

    def __init__(
        self, service: JobService, settings: Mapping[str, str] | None = None, core: int = CLIENT_CORE
    ) -> None:
        self.service = service
        self._core = core
        self._settings = dict(settings or {})
        self._stack = contextlib.ExitStack()
        self._children: list[Child] = []

    def __enter__(self) -> Self:
        """Start the servers and wait until the service listens."""
        commands = self.service.commands()
        with contextlib.ExitStack() as stack:
            self.redis = stack.enter_context(RedisServer())
            self._s3 = stack.enter_context(StubS3())
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-jobs-")))
            stack.callback(self.stop_service)
            self.start_service(commands)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the service, then Redis."""
        self._stack.close()

    def start_service(
        self, commands: Sequence[Sequence[str]] | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        """Start the service's processes on a port of its own; Redis keeps what it holds.

        Args:
            commands: Of the processes; None for the service's own.
            settings: Variables that replace those of the deployment.
        """
        (port,) = free_ports(1)
        self.url, self._port = f"http://127.0.0.1:{port}", port
        environment = self._environment() | dict(settings or {})
        for number, command in enumerate(commands or self.service.commands()):
            log = self._folder / f"stderr-{number}"
            self._children.append(Child(command, core=self._core, env=environment, log=log, cwd=ROOT))
        if "api" in environment.get("ROLES", "api"):
            try:
                wait_for_port(port, self._children[0], seconds=_START_SECONDS)
            except RuntimeError as error:
                raise ServiceError(str(error)) from error

    def restart_service(self, settings: Mapping[str, str] | None = None, *, empty: bool = False) -> None:
        """Stop the service and start it again.

        Args:
            settings: Variables that replace those of the deployment.
            empty: Whether to delete in between everything that Redis holds.
        """
        self.stop_service()
        if empty:
            self.redis.client.flushall()
        self.start_service(settings=settings)

    def unfinished(self) -> int:
        """Return how many accepted jobs have not ended."""
        return self.service.unfinished(self.redis.client)

    def stop_service(self) -> None:
        """Stop the service's processes; Redis keeps what it holds."""
        for child in self._children:
            child.stop()
        self._children.clear()

    def cpu_seconds(self) -> float:
        """Return the CPU seconds of all the service's processes so far.

        Raises:
            ServiceError: One of them has ended.
        """
        for child in self._children:
            if not child.running:
                raise ServiceError(f"{self.service.name} has ended: {child.stderr_tail()}")
        return sum(child.tree_cpu_seconds() for child in self._children)

    def rss_mb(self) -> float:
        """Return the resident memory of all the service's processes now."""
        return sum(child.tree_rss_mb() for child in self._children)

    def status(self, job_id: str) -> str:
        """Return the status of a job, in lower case.

        Raises:
            ServiceError: The answer is not a job.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10.0)
        with contextlib.closing(connection):
            connection.request("GET", f"/api/jobs/{job_id}")
            answer = connection.getresponse()
            body = answer.read()
        if answer.status != 200:
            raise ServiceError(f"GET of job {job_id}: {answer.status} {body[:300]!r}")
        return str(json.loads(body)["status"]).lower()

    def wait_for_jobs(self, ids: Sequence[str], seconds: float) -> float:
        """Wait until these jobs have ended.

        Returns:
            The seconds that it took.

        Raises:
            ServiceError: They did not end in `seconds`, or one of them did not succeed.
        """
        started = time.monotonic()
        for job_id in ids:
            while (status := self.status(job_id)) in UNFINISHED:
                if time.monotonic() - started > seconds:
                    raise ServiceError(f"job {job_id} is still {status} after {seconds:g} s")
                time.sleep(_LOOK_SECONDS)
            if status not in ("succeeded", "completed"):
                raise ServiceError(f"job {job_id} ended as {status}")
        return time.monotonic() - started

    def _environment(self) -> dict[str, str]:
        return {
            **{name: os.environ[name] for name in _KEPT if name in os.environ},
            "PYTHONPATH": str(ROOT),
            "API_HOST": "127.0.0.1",
            "API_PORT": str(self._port),
            "REDIS_ENDPOINT": self.redis.endpoint,
            "S3_ENDPOINT_URL": self._s3.url,
            "S3_BUCKET": "bench",
            "AWS_ACCESS_KEY_ID": self._s3.credentials[0],
            "AWS_SECRET_ACCESS_KEY": self._s3.credentials[1],
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "LOG_FORMAT": "json",
            "WORKER_CONCURRENCY": "64",
            **self.service.env,
            **self._settings,
        }
