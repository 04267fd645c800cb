"""The whole service on the backends in memory: built as always, with stand-ins for what is outside."""

from contextlib import AsyncExitStack
from typing import Any, cast

import attrs
import httpx
import trio
from quart_trio import QuartTrio

from loadtest_trio.backends.opening import Clients
from loadtest_trio.backends.redis import RedisObservers, RedisOptions
from loadtest_trio.backends.s3 import BucketLocation
from loadtest_trio.build import Service, build_service
from loadtest_trio.metrics.backend_cpu import BackendCpuMeter
from loadtest_trio.metrics.counters import Observer
from loadtest_trio.settings import Loaded, Settings, load
from loadtest_trio.surroundings import Surroundings
from loadtest_trio.web import HealthService
from loadtest_trio.web.dashboard import Hub
from tests.support.memory_bucket import MemoryBucket
from tests.support.memory_redis import MemoryQueue, MemoryRedis

NEEDED = {"REDIS_ENDPOINT": "redis://localhost", "S3_BUCKET": "bucket", "HEALTH_PORT": "0"}
_KEYS = {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "unused"}
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
    service: Service

    def under_way(self) -> int:
        """How many calls to a backend have begun and not ended."""
        return self.queue.under_way + self.bucket.under_way

    def balance(self) -> int:
        """Return created minus all places: 0 when nothing was lost and nothing was doubled."""
        return -self.redis.snapshot().surplus


class DeafHealth:
    """A `HealthService` without a socket: ask its application by a test client."""

    def __init__(self, app: QuartTrio, host: str, port: int, hub: Hub | None = None) -> None:
        self.app = app
        self.port = 0
        self.url = f"http://{host}:0"
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


def in_memory(
    redis: MemoryRedis,
    bucket: MemoryBucket,
    *,
    consumer: str = "a",
    redis_latency: float = 0.0,
    listens: bool = False,
) -> Surroundings:
    """Return surroundings whose backends live in memory.

    Args:
        redis: The server.
        bucket: The bucket; its prefix and its observer are set when the service is built.
        consumer: The instance's name.
        redis_latency: Seconds that a call to Redis takes.
        listens: Whether the health endpoint opens a real port; its application is real in any case.
    """

    def open_queue(options: RedisOptions, observers: RedisObservers, **rest: Any) -> Any:
        wired = {name: getattr(options, name) for name in ("heartbeat_ttl", "max_deliveries", "job_limits")}
        heard: dict[str, Any] = {"observe": observers.observe, "on_outage": observers.on_outage}
        return MemoryQueue(redis, consumer, latency=redis_latency, **wired, **heard, **rest)

    def open_bucket(*, location: BucketLocation, observe: Observer, on_outage: Any, **_: object) -> Any:
        bucket.watch(location.prefix, observe, on_outage)
        return bucket

    return Surroundings(
        _KEYS,
        clients=Clients(open_queue, open_bucket, transport=lambda *_, **__: httpx.MockTransport(_unused)),
        backend_cpu=lambda _: BackendCpuMeter({}),  # there are no servers
        health=HealthService if listens else cast(Any, DeafHealth),
        unix_clock=unix_clock,
        consumer=consumer,
    )


async def build_in_memory(
    settings: Settings,
    *,
    redis: MemoryRedis | None = None,
    bucket: MemoryBucket | None = None,
    **options: Any,
) -> InMemory:
    """Build the service on the given backends in memory or on empty ones; nothing of it needs closing.

    Args:
        settings: The configuration.
        redis: The server.
        bucket: The bucket.
        **options: As for `in_memory`.
    """
    redis, bucket = redis or MemoryRedis(), bucket or MemoryBucket()
    service = await build_service(settings, in_memory(redis, bucket, **options), AsyncExitStack())
    return InMemory(redis, cast(Any, service.redis), bucket, service)


def _unused(request: httpx.Request) -> httpx.Response:
    raise AssertionError("the bucket in memory sends no requests")
