"""Builds the service: the only place where its parts are created, connected and closed."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import attrs
import trio

from loadtest_trio.backends.archiver import Archiver
from loadtest_trio.backends.redis import RedisService
from loadtest_trio.backends.s3 import S3Service
from loadtest_trio.handlers.compute.pool import open_compute_pool
from loadtest_trio.handlers.registry import Registry
from loadtest_trio.kinds_of_work import all_kinds, compute_limits
from loadtest_trio.metrics.counters import Metrics
from loadtest_trio.metrics.health_state import HealthState
from loadtest_trio.metrics.service import MetricsService
from loadtest_trio.parts import Parts
from loadtest_trio.scheduler import Inventory, SchedulerService
from loadtest_trio.settings import Role, Settings
from loadtest_trio.surroundings import Surroundings
from loadtest_trio.web import HealthService
from loadtest_trio.web.api import ApiService
from loadtest_trio.web.prometheus import add_metrics
from loadtest_trio.worker import WorkerService

_CLOSE_SECONDS = 5.0


@attrs.frozen
class Service:
    """All parts that the daemon runs, built but not started."""

    settings: Settings
    metrics: Metrics
    health_state: HealthState
    inventory: Inventory
    redis: RedisService
    s3: S3Service
    scheduler: SchedulerService
    registry: Registry
    worker: WorkerService
    metrics_service: MetricsService
    health: HealthService
    api: ApiService | None
    archiver: Archiver


@asynccontextmanager
async def open_service(settings: Settings, surroundings: Surroundings) -> AsyncIterator[Service]:
    """Build the service; at the end of the block, close everything that was opened for it.

    Args:
        settings: The configuration.
        surroundings: The environment and backends of the service.

    Yields:
        The parts, connected to each other but not to any backend.

    Raises:
        ConfigurationError: The health endpoint's address cannot be listened on.
        CredentialsError: There are no AWS credentials.
    """
    async with AsyncExitStack() as closing:
        yield await build_service(settings, surroundings, closing)


async def build_service(settings: Settings, surroundings: Surroundings, closing: AsyncExitStack) -> Service:
    """Build the service like `open_service`, but register everything to close with `closing`."""
    parts = Parts(settings, surroundings)
    health = parts.health()
    closing.callback(health.close)
    redis = parts.redis()
    closing.callback(redis.close)
    s3 = await parts.opener.s3()
    closing.push_async_callback(_close, s3)
    pool = await closing.enter_async_context(open_compute_pool(compute_limits(settings)))
    registry = all_kinds(settings, s3, pool, parts.rng, parts.sizes.draw)
    archiver = parts.archiver(redis, s3)
    api = parts.api(redis, registry, archiver) if Role.API in settings.roles else None
    if api:
        closing.callback(api.close)
    scheduler, worker = parts.scheduler(redis, s3), parts.worker(redis, s3, registry, archiver)
    parts.add_dashboard(redis, scheduler, worker, api)
    metrics_service = await parts.metrics_service(redis, scheduler, worker, api)
    if settings.metrics_endpoint:
        add_metrics(parts.app, parts.access, parts.metrics, lambda: metrics_service.latest)
    return Service(
        settings=settings,
        metrics=parts.metrics,
        health_state=parts.health_state,
        inventory=parts.inventory,
        redis=redis,
        s3=s3,
        scheduler=scheduler,
        registry=registry,
        worker=worker,
        metrics_service=metrics_service,
        health=health,
        api=api,
        archiver=archiver,
    )


async def _close(s3: S3Service) -> None:
    with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_SECONDS):
        await s3.aclose()
