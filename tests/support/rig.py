"""What fault trials share: servers whose every change is on record, the service upon them, and the audit."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import botocore.config
import botocore.session
import redis

from loadtest_trio.backends.embedded import RedisServer, S3Server
from tests.support.aof_history import DIRECTIVES, History
from tests.support.audit import Audit, WorkDone, examine
from tests.support.killed_at import NEVER
from tests.support.service_process import ServiceProcess

BUCKET = "trials"
_BOOKS = ("created", "processed", "missed", "purged", "lost")

SMALL_LOAD = {
    "PRECONDITION_MIN_OBJECTS": "5",
    "PRECONDITION_MAX_OBJECTS": "50",
    "MIN_FILE_UUIDS": "5",
    "MAX_FILE_UUIDS": "20",
    "WORKER_CONCURRENCY": "8",
    "CONSUMER_TTL_SECONDS": "1",
    "LOG_INTERVAL_SECONDS": "0.5",
    "INVENTORY_RECONCILE_SECONDS": "1",
    "SHUTDOWN_GRACE_SECONDS": "5",
    "RUN_DURATION_SECONDS": "0",
}
"""Few and small objects: many messages a second, many of them for the same key."""


class Rig:
    """One queue and one prefix on a Redis that keeps its history and an S3 that checks signatures.

    Args:
        redis_server: Started with the directives of `aof_history`.
        s3_server: SeaweedFS with the bucket.
        name: Of the queue, and of the prefix in the bucket.
        folder: For the journal.
    """

    def __init__(self, redis_server: RedisServer, s3_server: S3Server, name: str, folder: Path) -> None:
        self.redis_server = redis_server
        self.s3_server = s3_server
        self.name = name
        self.journal = folder / f"{name}.journal"
        self.journal.touch()
        self.environ = {
            **SMALL_LOAD,
            "REDIS_ENDPOINT": redis_server.url,
            "QUEUE_NAME": name,
            "S3_BUCKET": BUCKET,
            "S3_PREFIX": f"{name}/",
            **s3_server.environment(),
        }

    @classmethod
    def on(cls, redis_server: RedisServer, s3_server: S3Server, name: str, folder: Path) -> Self:
        """Make one, and the bucket if it is missing."""
        client = _client(s3_server)
        if BUCKET not in [each["Name"] for each in client.list_buckets()["Buckets"]]:
            client.create_bucket(Bucket=BUCKET)
        return cls(redis_server, s3_server, name, folder)

    def service(
        self, point: str = NEVER, messages: int = 0, environ: Mapping[str, str] | None = None
    ) -> ServiceProcess:
        """Start the service; it kills itself at a point, if one is given, after so many messages."""
        return ServiceProcess(
            point,
            str(messages),
            str(self.journal),
            "run",
            environ={**self.environ, **(environ or {})},
            module="tests.support.killed_at",
        )

    def sizes(self) -> dict[str, int]:
        """Return how many messages each place holds, as Redis says, not by way of the service."""
        with redis.Redis.from_url(self.redis_server.url) as client:
            return sizes(client, self.name)

    def in_flight(self, pid: int) -> int:
        """Return how many messages a process has claimed and not settled."""
        with redis.Redis.from_url(self.redis_server.url) as client:
            records: Any = client.keys(f"{{{self.name}}}:inflight:*-{pid}-*")
            lengths: list[Any] = [client.hlen(record) for record in records]
            return sum(map(int, lengths))

    def books(self) -> dict[str, int]:
        """Return the counters of the ledger."""
        with redis.Redis.from_url(self.redis_server.url) as client:
            found: Any = client.hgetall(f"{{{self.name}}}:ledger")
        return {name: int(found.get(name.encode(), 0)) for name in _BOOKS}

    def drain(self, seconds: float = 60.0) -> None:
        """Run a worker and no scheduler until nothing waits, is in flight or is delayed.

        Raises:
            AssertionError: That took too long, or the service did not end well.
        """
        with self.service(environ={"ROLES": "worker"}) as service:
            service.wait_for("service_started")
            wait_until(lambda: not self.waiting(), seconds, lambda: f"left: {self.sizes()}")
            service.process.terminate()
            assert service.wait() == 0, service.complaints

    def waiting(self) -> int:
        """Return how many messages are not at their end."""
        found = self.sizes()
        return found["queue"] + found["in_flight"] + found["retry"]

    def audit(self) -> Audit:
        """Compare what Redis did, the books, the journal and the bucket. Nothing may be running."""
        history = History.read(self.redis_server.folder, self.name)
        work = WorkDone.read(self.journal)
        return examine(history, self.books(), self.sizes(), work, self.keys())

    def keys(self) -> set[str]:
        """Return the keys in the bucket, as botocore lists them."""
        pages = _client(self.s3_server).get_paginator("list_objects_v2")
        listed = pages.paginate(Bucket=BUCKET, Prefix=f"{self.name}/")
        return {each["Key"] for page in listed for each in page.get("Contents", ())}


def wait_until(condition: Callable[[], bool], seconds: float, otherwise: Callable[[], str]) -> None:
    """Wait for a condition.

    Raises:
        AssertionError: It did not hold in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.05)


def sizes(client: "redis.Redis", name: str) -> dict[str, int]:
    """Return how many messages each place of a queue holds at one instant."""
    count = """
        local tag, sum = KEYS[1], 0
        for _, consumer in ipairs(redis.call('ZRANGE', tag .. 'consumers', 0, -1)) do
            sum = sum + redis.call('HLEN', tag .. 'inflight:' .. consumer)
        end
        return {redis.call('LLEN', tag .. 'queue'), sum, redis.call('ZCARD', tag .. 'retry'),
                redis.call('LLEN', tag .. 'dead')}
    """
    found: Any = client.eval(count, 1, f"{{{name}}}:")
    return dict(zip(("queue", "in_flight", "retry", "dead"), found, strict=True))


def start_redis(folder: Path | None = None, **directives: str) -> RedisServer:
    """Start a Redis whose append-only file is a whole history."""
    return RedisServer.start(folder, directives={**DIRECTIVES, **directives})


def _client(server: S3Server) -> Any:  # botocore makes its clients' classes at run time
    config = botocore.config.Config(s3={"addressing_style": "path"})
    return botocore.session.Session().create_client(
        "s3",
        endpoint_url=server.endpoint_url,
        region_name=server.region,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        config=config,
    )
