"""Runs the job service under simulated users and records its size, and that of its Redis, every ten seconds.

    users ──► job service (the first core) ──► Redis, S3 stub and this process (the second core)

Records expire after `TTL_SECONDS`, well within the warm-up, so that Redis holds as many records as the users
make in that time, and no more. When the users have gone, the service ends its jobs and is stopped. Three
counts of the jobs must then agree: those that the users saw accepted and followed to their end, those that
the ledger in Redis says ended, and those that it says were created.
"""

import contextlib
import functools
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import attrs
import psutil
import redis

from benchmarks.contenders import ROOT
from benchmarks.jobs.services import OURS, find_services, ledger_difference
from benchmarks.process import CLIENT_CORE, SERVER_CORE, Child, free_ports, pin
from benchmarks.redis_server import RedisServer
from benchmarks.soak.record import INTERVAL_SECONDS, LOG, Line, Watch, conclude, kill, size, watch
from benchmarks.stub_s3 import StubS3

BACKENDS = "Redis, a stub of S3 and the users on the other core"
TTL_SECONDS = 120
_SETTLE_SECONDS = 60.0  # that the last jobs may take when no more are submitted
_GRACEFUL_STOP_SECONDS = 60
_START_SECONDS = 30.0
_JOB = '{"n": 20}'  # computed at once, so that requests and Redis are the load
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR")

SAID = (
    "timestamp",
    "uptime_seconds",
    "rate_per_second",
    "end_to_end_p99_ms",
    "loop_lag_ms",
    "queue_length",
    "in_flight",
    "delayed",
    "dead",
    "messages_created",
    "messages_processed",
    "settlements_stale",
    "errors",
    "cpu_percent",
)
"""What is taken over from a metrics line."""

COLUMNS = (*SAID, "lost", "ledger_difference", "rss_mb", "fds", "threads", "redis_keys", "redis_mb")


@attrs.frozen
class Load:
    """The users of a soak test.

    Attributes:
        users: How many; each creates three jobs and polls them once a second.
        minutes: For how long.
    """

    users: int
    minutes: float

    def command(self, url: str, output: Path) -> list[str]:
        """Return the command line of the generator.

        Args:
            url: The service.
            output: Receives its report.
        """
        flags = {
            "-H": url,
            "-u": f"{self.users}",
            "-r": f"{max(1.0, self.users / 30):g}",
            "-t": f"{self.minutes * 60:g}s",
            "--graceful-stop": f"{_GRACEFUL_STOP_SECONDS}s",
            "--dashboard-port": "-1",
            "--output": str(output),
        }
        options = ["-P", "type=factorial", "-P", f"payload={_JOB}"]
        words = [word for flag in flags.items() for word in flag]
        return [sys.executable, "-m", "loadtest_trio", "users", *words, "--headless", *options]


def record_jobs(folder: Path, load: Load) -> None:
    """Run one soak test of the job service.

    Args:
        folder: Receives `samples.csv` and `run.json`, and the service's log while it runs.
        load: The users.

    Raises:
        RuntimeError: The service or the generator ended early, or with an exit code other than 0.
        Unavailable: A server is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pin(SERVER_CORE)
    with contextlib.ExitStack() as stack:
        server, s3 = stack.enter_context(RedisServer()), stack.enter_context(StubS3())
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-jobs-")))
        (port,) = free_ports(1)
        service = stack.enter_context(_service(folder / LOG, _environment(server, s3, port)))
        users = stack.enter_context(_generator(load, port, scratch))
        course = Course(users, lambda: ledger_difference(server.client))
        take = functools.partial(sample, client=server.client)
        how = Watch(columns=COLUMNS, take=take, minutes=load.minutes, over=course.over)
        run = watch(service, folder, how)
        if users.running:
            raise RuntimeError(f"the service ended before its users: see {folder}")
        lines = _outcome(scratch, users)
    setup = {"service": "jobs", "backends": BACKENDS, "users": load.users, "ttl_seconds": TTL_SECONDS}
    conclude(folder, {**setup, **lines, **run})


@attrs.define
class Course:
    """Decides when the service is stopped: the users have gone, and no accepted job is unfinished.

    Attributes:
        users: The load generator.
        unfinished: Returns the number of accepted jobs that have not ended.
        clock: Returns seconds.
    """

    users: Child
    unfinished: Callable[[], int]
    clock: Callable[[], float] = time.monotonic
    _gone_at: float | None = attrs.field(default=None, init=False)

    def over(self) -> bool:
        """Return whether to stop the service; jobs that do not end are waited for a minute at most."""
        if self.users.running:
            return False
        if self._gone_at is None:
            self._gone_at = self.clock()
        return self.unfinished() == 0 or self.clock() - self._gone_at > _SETTLE_SECONDS


def sample(line: Line, process: psutil.Process, client: "redis.Redis") -> Line:
    """Return one sample of the service and its Redis.

    Args:
        line: The service's metrics line.
        process: The service.
        client: Its Redis.
    """
    ledger = {"lost": line["ledger"]["lost"], "ledger_difference": line["ledger"]["difference"]}
    memory = cast(dict[str, int], client.info("memory"))  # the asynchronous client's types are in the union
    store = {"redis_keys": client.dbsize(), "redis_mb": round(memory["used_memory"] / 2**20, 3)}
    return {**{name: line[name] for name in SAID}, **ledger, **size(process), **store}


@contextmanager
def _service(log: Path, environ: dict[str, str]) -> "Iterator[subprocess.Popen[bytes]]":
    command = [sys.executable, "-m", "loadtest_trio", "jobs"]
    with log.open("wb") as output:
        service = subprocess.Popen(command, env=environ, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output)
    try:
        os.sched_setaffinity(service.pid, {CLIENT_CORE})
        yield service
    finally:
        kill(service)


@contextmanager
def _generator(load: Load, port: int, scratch: Path) -> Iterator[Child]:
    """Start the users once the service listens; stop them at the end."""
    _wait_for_port(port)
    command = load.command(f"http://127.0.0.1:{port}", scratch)
    users = Child(command, core=SERVER_CORE, log=scratch / "stderr", cwd=ROOT)
    try:
        yield users
    finally:
        users.stop()


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise RuntimeError("the service does not listen")


def _outcome(scratch: Path, users: Child) -> Line:
    """Return the generator's last lines."""
    found: Line = {}
    for text in (scratch / "users.jsonl").read_text().splitlines():
        line = json.loads(text)
        if line["event"] in ("users_verdict", "users_stopped"):
            found[line["event"]] = line
    if "users_stopped" not in found:
        raise RuntimeError(f"the users ended early: {users.stderr_tail()}")
    return found


def _environment(server: RedisServer, s3: StubS3, port: int) -> dict[str, str]:
    (service,) = find_services([OURS])
    return {
        **{name: os.environ[name] for name in _KEPT if name in os.environ},
        **service.env,
        "PYTHONPATH": str(ROOT),
        "API_PORT": str(port),
        "REDIS_ENDPOINT": server.endpoint,
        "S3_ENDPOINT_URL": s3.url,
        "S3_BUCKET": "soak",
        "AWS_ACCESS_KEY_ID": s3.credentials[0],
        "AWS_SECRET_ACCESS_KEY": s3.credentials[1],
        "AWS_EC2_METADATA_DISABLED": "true",
        "JOB_TTL_SECONDS": str(TTL_SECONDS),
        "LOG_FORMAT": "json",
        "LOG_INTERVAL_SECONDS": str(INTERVAL_SECONDS),
        "RUN_DURATION_SECONDS": "0",
        "WORKER_CONCURRENCY": "64",
    }
