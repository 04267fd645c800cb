"""The whole service on the backends in memory: the real assembly, its two doors to the outside replaced."""

from typing import Any, cast
from unittest.mock import patch

import attrs
import trio
from quart_trio import QuartTrio

from loadtest_trio import assembly
from loadtest_trio import doors as backends
from loadtest_trio.assembly import Assembly
from loadtest_trio.backends.s3 import BucketLocation
from loadtest_trio.metrics.counters import Observer
from loadtest_trio.settings import Loaded, Settings, load
from loadtest_trio.web import HealthService
from tests.support.memory_bucket import MemoryBucket
from tests.support.memory_redis import MemoryQueue, MemoryRedis

NEEDED = {"REDIS_ENDPOINT": "redis://localhost", "S3_BUCKET": "bucket", "HEALTH_PORT": "0"}
_KEYS = {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "unused"}
_WIRED = ("backoff", "observe", "heartbeat_ttl", "max_deliveries", "on_outage")
UNIX_EPOCH = 1_790_000_000.0
"""What the Unix clock says when Trio's clock is at 0."""


def loaded(**variables: object) -> Loaded:
    """Return settings with their history: ``loaded(WORKER_CONCURRENCY=3)``."""
    return load({**NEEDED, **{name: str(value) for name, value in variables.items()}})


def settings(**variables: object) -> Settings:
    """Return settings that are good enough to build with."""
    return loaded(**variables).settings


def unix_clock() -> float:
    """Return Unix seconds that pass with Trio's clock."""
    return UNIX_EPOCH + trio.current_time()


@attrs.define
class InMemory:
    """A service and the two worlds it lives in."""

    redis: MemoryRedis
    queue: MemoryQueue
    bucket: MemoryBucket
    parts: Assembly

    def under_way(self) -> int:
        """How many calls to a backend have begun and not ended."""
        return self.queue.under_way + self.bucket.under_way

    def balance(self) -> int:
        """Return created minus all places: 0 when nothing was lost and nothing was doubled."""
        return -self.redis.snapshot().surplus


class DeafHealth:
    """A `HealthService` without a socket: ask its application by a test client."""

    def __init__(self, app: QuartTrio, host: str, port: int) -> None:
        self.app = app
        self.port = 0
        self._stop = trio.Event()

    def stop(self) -> None:
        """End `run`."""
        self._stop.set()

    def close(self) -> None:
        """Nothing to let go of."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve nobody until `stop`."""
        task_status.started()
        await self._stop.wait()


async def assemble_in_memory(
    settings: Settings,
    *,
    redis: MemoryRedis | None = None,
    bucket: MemoryBucket | None = None,
    consumer: str = "a",
    redis_latency: float = 0.0,
    listens: bool = False,
) -> InMemory:
    """Build the service as `assemble` does, on the given backends or on empty ones.

    Only the two classes that talk to the outside are replaced; what is wired to them is as always.

    Args:
        settings: The configuration.
        redis: The server.
        bucket: The bucket; its prefix and its observer are set here.
        consumer: This instance's name.
        redis_latency: Seconds that a call to Redis takes.
        listens: Whether the health endpoint opens a real port; its application is real in any case.
    """
    redis, bucket = redis or MemoryRedis(), bucket or MemoryBucket()

    def open_queue(**options: Any) -> MemoryQueue:
        wired = {name: options[name] for name in _WIRED}
        return MemoryQueue(redis, consumer, latency=redis_latency, **wired)

    def open_bucket(*, location: BucketLocation, observe: Observer, **_: object) -> MemoryBucket:
        bucket.watch(location.prefix, observe)
        return bucket

    outside: dict[str, Any] = {
        "RedisService": open_queue,
        "S3Service": open_bucket,
        "open_transport": lambda *_, **__: None,
    }
    health = HealthService if listens else DeafHealth
    with patch.multiple(backends, **outside), patch.object(assembly, "HealthService", health):
        parts = await assembly.assemble(settings, _KEYS, trio.current_time, unix_clock)
    return InMemory(redis, cast(Any, parts.redis), bucket, parts)
