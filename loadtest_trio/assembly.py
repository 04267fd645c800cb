"""Builds the objects and introduces them to one another. No task is started here."""

import os
import secrets
import time
from collections.abc import Callable, Mapping
from random import Random

import attrs

from loadtest_trio.backends.redis import RedisService
from loadtest_trio.backends.s3 import S3Service
from loadtest_trio.doors import Delays, open_redis, open_s3
from loadtest_trio.errors import LoadtestError
from loadtest_trio.handlers import Registry
from loadtest_trio.handlers.objects import object_handlers
from loadtest_trio.jobs.message import Message
from loadtest_trio.jobs.retry import RetryPolicy
from loadtest_trio.metrics import logs
from loadtest_trio.metrics.counters import Metrics
from loadtest_trio.metrics.ecs import read_task_limits
from loadtest_trio.metrics.health_state import HealthState
from loadtest_trio.metrics.service import MetricsService
from loadtest_trio.scheduler import FileSizes, Planner, SchedulerService
from loadtest_trio.scheduler.inventory import Inventory
from loadtest_trio.scheduler.mix import Mix
from loadtest_trio.settings import Role, Settings
from loadtest_trio.web import HealthService, create_app
from loadtest_trio.worker import Runner, WorkerService

_NO_DELAYS = Delays()


@attrs.frozen
class Assembly:
    """Everything that the daemon runs, built and not started."""

    settings: Settings
    metrics: Metrics
    health_state: HealthState
    inventory: Inventory
    redis: RedisService
    s3: S3Service
    scheduler: SchedulerService
    worker: WorkerService
    metrics_service: MetricsService
    health: HealthService


async def assemble(
    settings: Settings,
    environ: Mapping[str, str],
    clock: Callable[[], float],
    unix_clock: Callable[[], float] = time.time,
    delays: Delays = _NO_DELAYS,
) -> Assembly:
    """Build the service.

    Args:
        settings: The configuration.
        environ: Where AWS credentials are looked for.
        clock: Monotonic seconds.
        unix_clock: Unix seconds.
        delays: What makes the backends slower than they are.

    Returns:
        The parts, connected to each other but not to any backend.

    Raises:
        ConfigurationError: The health endpoint's address cannot be listened on.
        CredentialsError: There are no AWS credentials.
    """
    rng, order, sizing = (_seeded(settings, purpose) for purpose in ("work", "order", "sizes"))
    schedules = Role.SCHEDULER in settings.roles
    consumer = f"{os.uname().nodename}-{os.getpid()}-{secrets.token_hex(4)}"
    metrics, health_state = Metrics(), HealthState(clock, settings.health_stall_seconds)
    health = HealthService(
        create_app(settings.health_endpoint_path, health_state), settings.health_host, settings.health_port
    )
    inventory = Inventory(rng, clock)
    redis = open_redis(settings, consumer, rng, metrics, health_state, inventory, delays.redis)
    s3 = await open_s3(settings, environ, metrics, health_state, delays.s3)
    sizes = file_sizes(settings, sizing)
    planner = Planner(
        inventory=inventory,
        mix=Mix(settings.steady_state_distribution.weights, order),
        draw_uuids=sizes.draw,
        prefix=settings.s3_prefix,
        sender=consumer,
        min_objects=settings.precondition_min_objects,
        max_objects=settings.precondition_max_objects,
    )
    scheduler = SchedulerService(
        settings=settings,
        queue=redis,
        bucket=s3,
        inventory=inventory,
        planner=planner,
        metrics=metrics,
        health_state=health_state,
        unix_clock=unix_clock,
    )
    worker = WorkerService(
        queue=redis,
        registry=Registry(object_handlers(s3, rng, sizes.draw, RetryPolicy(settings.max_retries))),
        runner=Runner(rng, health_state.outage_since, report_failure(metrics), unix_clock, clock=clock),
        # Where nobody schedules, an inventory would only grow.
        on_completed=inventory.completed if schedules else lambda *_: None,
        metrics=metrics,
        health_state=health_state,
        concurrency=settings.worker_concurrency,
        ttl=settings.consumer_ttl_seconds,
        unix_clock=unix_clock,
    )
    metrics_service = MetricsService(
        settings=settings,
        queue=redis,
        objects=(lambda: inventory.objects) if schedules else None,
        metrics=metrics,
        health_state=health_state,
        limits=await read_task_limits(environ),
        phase=lambda: scheduler.phase if schedules else "steady",
        schedule_lag=scheduler.lag,
        unix_clock=unix_clock,
    )
    return Assembly(
        settings, metrics, health_state, inventory, redis, s3, scheduler, worker, metrics_service, health
    )


def _seeded(settings: Settings, purpose: str) -> Random:
    """Return a source of randomness of its own for each purpose: what one draws must not shift another."""
    return Random(None if settings.random_seed is None else f"{settings.random_seed} {purpose}")


def file_sizes(settings: Settings, rng: Random) -> FileSizes:
    """Return the sizes of new files, by bytes where those are set and by UUIDs otherwise."""
    least, most = settings.min_file_size_bytes, settings.max_file_size_bytes
    if least is not None and most is not None:
        return FileSizes.in_bytes(least, most, rng)
    return FileSizes(settings.min_file_uuids, settings.max_file_uuids, rng)


def report_failure(metrics: Metrics) -> Callable[[Message, int, LoadtestError], None]:
    """Return what counts and logs each failed attempt."""

    def failed(message: Message, attempt: int, error: LoadtestError) -> None:
        metrics.totals["errors"] += 1
        logs.failure(
            "operation_failed",
            f"{message.operation} {type(error).__name__} {getattr(error, 'code', '')}",
            operation=message.operation,
            key=message.key,
            id=message.id,
            attempt=attempt,
            retries=message.retries,
            error=str(error),
            error_type=type(error).__name__,
            retryable=error.retryable,
        )

    return failed
