"""Builds the service: the only place where its parts are created, connected and closed."""

import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random

import attrs
import trio
from quart_trio import QuartTrio

from loadtest_trio.backends.archive import S3Archive
from loadtest_trio.backends.archiver import Archiver
from loadtest_trio.backends.opening import Clients, Delays, Opener, server_addresses
from loadtest_trio.backends.redis import RedisService
from loadtest_trio.backends.s3 import S3Service
from loadtest_trio.controls import service_controls, steered
from loadtest_trio.errors import LoadtestError
from loadtest_trio.handlers.compute.factorial import factorial_handler
from loadtest_trio.handlers.compute.pool import ComputeLimits, ComputePool, open_compute_pool, usable_cpus
from loadtest_trio.handlers.compute.sha512 import sha512_handler
from loadtest_trio.handlers.http_fetch.connect import SystemResolver
from loadtest_trio.handlers.http_fetch.fetch import Fetcher, FetchLimits, fetch_handler
from loadtest_trio.handlers.objects import object_handlers
from loadtest_trio.handlers.registry import Registry
from loadtest_trio.handlers.sleep import sleep_handler
from loadtest_trio.http.server import HypercornServer, LeanServer, ServerLimits
from loadtest_trio.jobs.delivery import Outcome
from loadtest_trio.jobs.message import Message
from loadtest_trio.jobs.retry import RetryPolicy, job_put_back
from loadtest_trio.metrics import logs
from loadtest_trio.metrics.backend_cpu import BackendCpuMeter, ServerAddress
from loadtest_trio.metrics.counters import Metrics
from loadtest_trio.metrics.ecs import read_task_limits
from loadtest_trio.metrics.health_state import HealthState
from loadtest_trio.metrics.service import MetricsService, Sources
from loadtest_trio.scheduler import FileSizes, Inventory, Mix, Planner, SchedulerService
from loadtest_trio.settings import ApiServer, ArchiveMode, Role, Settings
from loadtest_trio.web import HealthService, create_app
from loadtest_trio.web.api import ApiOptions, ApiService, JobApi
from loadtest_trio.web.dashboard import Access, FoundJobs, Hub, add_dashboard, is_loopback_host
from loadtest_trio.web.listening import listening
from loadtest_trio.web.prometheus import add_metrics
from loadtest_trio.web.server import log_crash
from loadtest_trio.worker import ConcurrencyLimiter, Listeners, Runner, WorkerOptions, WorkerService

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


@attrs.frozen
class Surroundings:
    """The outside world of the service; tests pass in-memory backends and their own clocks.

    Attributes:
        environ: The environment that AWS credentials come from.
        clients: Makes the clients of Redis and S3.
        delays: Latency added to the backends on purpose.
        backend_cpu: Makes the meter of the backends' CPU from their addresses.
        health: Makes the health endpoint from application, host, port and the dashboard's hub.
        clock: Monotonic seconds.
        unix_clock: Unix seconds.
        consumer: This process's name on the queue; "" for a generated one.
    """

    environ: Mapping[str, str]
    clients: Clients = attrs.field(factory=Clients)
    delays: Delays = attrs.field(factory=Delays)
    backend_cpu: Callable[[Mapping[str, ServerAddress]], BackendCpuMeter] = BackendCpuMeter
    health: Callable[[QuartTrio, str, int, Hub | None], HealthService] = HealthService
    clock: Callable[[], float] = trio.current_time
    unix_clock: Callable[[], float] = time.time
    consumer: str = ""


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
    parts = _Parts(settings, surroundings)
    health = parts.health()
    closing.callback(health.close)
    redis = parts.redis()
    closing.callback(redis.close)
    s3 = await parts.opener.s3()
    closing.push_async_callback(_close, s3)
    pool = await closing.enter_async_context(open_compute_pool(compute_limits(settings)))
    registry = parts.registry(s3, pool)
    archiver = parts.archiver(redis, s3)
    api = parts.api(redis, registry, archiver) if Role.API in settings.roles else None
    if api:
        closing.callback(api.close)
    scheduler, worker = parts.scheduler(redis, s3), parts.worker(redis, registry, archiver)
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


class _Parts:
    """Makes the parts of a service, and holds the objects that they share."""

    def __init__(self, settings: Settings, surroundings: Surroundings) -> None:
        self.settings = settings
        self.surroundings = surroundings
        self.schedules = Role.SCHEDULER in settings.roles
        self.rng = _seeded(settings, "work")
        self.sizes = file_sizes(settings, _seeded(settings, "sizes"))
        self.metrics = Metrics()
        self.health_state = HealthState(surroundings.clock, settings.health_stall_seconds)
        self.app = create_app(settings.health_endpoint_path, self.health_state)
        self.access = Access(settings.dashboard_token, is_loopback_host(settings.health_host))
        self.hub = Hub() if settings.dashboard else None
        self.inventory = Inventory(self.rng, surroundings.clock)
        self.opener = Opener(
            settings,
            surroundings.environ,
            self.metrics,
            self.health_state,
            surroundings.clients,
            surroundings.delays,
        )
        self.consumer = surroundings.consumer or (
            f"{os.uname().nodename}-{os.getpid()}-{secrets.token_hex(4)}"
        )

    def health(self) -> HealthService:
        settings = self.settings
        return self.surroundings.health(self.app, settings.health_host, settings.health_port, self.hub)

    def add_dashboard(
        self, redis: RedisService, scheduler: SchedulerService, worker: WorkerService, api: ApiService | None
    ) -> None:
        if self.hub:
            controls = service_controls(*self.active(scheduler, worker))
            jobs = FoundJobs(redis.jobs, api.app.latest) if api else None
            add_dashboard(
                self.app, self.hub, self.access, dead=redis.dead_letters, jobs=jobs, controls=controls
            )

    def active(
        self, scheduler: SchedulerService, worker: WorkerService
    ) -> tuple[SchedulerService | None, WorkerService | None]:
        """Return the parts that run in this process's roles."""
        return (scheduler if self.schedules else None, worker if Role.WORKER in self.settings.roles else None)

    def redis(self) -> RedisService:
        def lost(messages: int) -> None:
            self.inventory.cancel_plans()
            if messages:  # 0: another process has counted and logged it
                logs.event("redis_data_lost", "ERROR", messages=messages)

        return self.opener.redis(self.consumer, self.rng, lost)

    def scheduler(self, redis: RedisService, s3: S3Service) -> SchedulerService:
        settings = self.settings
        planner = Planner(
            inventory=self.inventory,
            mix=Mix(settings.steady_state_distribution.weights, _seeded(settings, "order")),
            draw_uuids=self.sizes.draw,
            prefix=settings.s3_prefix,
            sender=self.consumer,
            min_objects=settings.precondition_min_objects,
            max_objects=settings.precondition_max_objects,
        )
        return SchedulerService(
            settings=settings,
            queue=redis,
            bucket=s3,
            planner=planner,
            metrics=self.metrics,
            health_state=self.health_state,
            unix_clock=self.surroundings.unix_clock,
        )

    def registry(self, s3: S3Service, pool: ComputePool) -> Registry:
        """Return all kinds of work."""
        settings = self.settings
        objects = RetryPolicy(settings.max_retries)
        put_back = job_put_back(settings.job_retry_base_seconds)
        jobs = RetryPolicy(settings.max_retries, attempts_in_place=1, put_back=put_back)
        return Registry(
            [
                *object_handlers(s3, self.rng, self.sizes.draw, objects),
                factorial_handler(pool, jobs),
                sha512_handler(pool, jobs),
                fetch_handler(Fetcher(fetch_limits(settings), SystemResolver()), jobs),
                sleep_handler(settings.job_max_seconds, jobs),
            ]
        )

    def archiver(self, redis: RedisService, s3: S3Service) -> Archiver:
        settings = self.settings
        archive = S3Archive(
            s3,
            settings.s3_prefix,
            keeps_jobs=settings.job_archive is ArchiveMode.S3,
            inline_bytes=settings.job_inline_result_bytes,
            unix_clock=self.surroundings.unix_clock,
        )
        return Archiver(redis.jobs, archive)

    def api(self, redis: RedisService, registry: Registry, archiver: Archiver) -> ApiService:
        settings = self.settings
        app = JobApi(
            redis.jobs,
            registry,
            archiver.archive,
            ApiOptions(settings.api_token, settings.api_max_body_bytes),
            self.metrics.observe_request,
            self.surroundings.clock,
            archiver.note,
        )
        limits = ServerLimits(
            body_bytes=settings.api_max_body_bytes, connections=settings.api_max_connections
        )
        server = LeanServer if settings.api_server is ApiServer.LEAN else HypercornServer
        with listening("API_HOST and API_PORT", settings.api_host, settings.api_port):
            serving = server(app, settings.api_host, settings.api_port, limits=limits, on_error=log_crash)
        return ApiService(app, serving, redis.jobs)

    def worker(self, redis: RedisService, registry: Registry, archiver: Archiver) -> WorkerService:
        settings, surroundings = self.settings, self.surroundings
        workers = settings.worker_concurrency
        return WorkerService(
            queue=redis,
            registry=registry,
            runner=Runner(
                self.rng,
                self.health_state.outage_since,
                log_failure(self.metrics),
                surroundings.unix_clock,
                archiver.archive.finish,
                clock=surroundings.clock,
            ),
            listeners=Listeners(self.subscribers(archiver), archiver.note),
            metrics=self.metrics,
            health_state=self.health_state,
            options=WorkerOptions(
                concurrency=int(workers),  # Redis's encoder accepts no subclass of int
                limiter=ConcurrencyLimiter(workers) if workers.adapts else None,
                ttl=settings.consumer_ttl_seconds,
            ),
        )

    def subscribers(self, archiver: Archiver) -> Callable[[Message, Outcome, LoadtestError | None], None]:
        """Return what hears of every message whose delivery is settled."""

        def completed(message: Message, outcome: Outcome, error: LoadtestError | None) -> None:
            if message.job:
                if outcome is Outcome.DEAD:
                    archiver.note(message.id)
            elif self.schedules:  # elsewhere an inventory would only grow
                self.inventory.completed(message, outcome, error)

        return completed

    async def metrics_service(
        self, redis: RedisService, scheduler: SchedulerService, worker: WorkerService, api: ApiService | None
    ) -> MetricsService:
        sources = Sources(
            queue=redis,
            objects=(lambda: self.inventory.objects) if self.schedules else None,
            phase=lambda: scheduler.phase if self.schedules else "steady",
            schedule_lag=scheduler.lag,
            steered=lambda: steered(*self.active(scheduler, worker)),
            measure_backends=self.surroundings.backend_cpu(server_addresses(self.settings)).read,
            measure_jobs=api.measure if api else None,
        )
        return MetricsService(
            self.settings,
            sources,
            self.metrics,
            self.health_state,
            limits=await read_task_limits(self.surroundings.environ),
            unix_clock=self.surroundings.unix_clock,
        )


def _seeded(settings: Settings, purpose: str) -> Random:
    """Return a random generator for one purpose, so that draws for one do not affect another."""
    return Random(None if settings.random_seed is None else f"{settings.random_seed} {purpose}")


def file_sizes(settings: Settings, rng: Random) -> FileSizes:
    """Return the sizes of new files: in bytes if those are set, else in UUIDs."""
    least, most = settings.min_file_size_bytes, settings.max_file_size_bytes
    if least is not None and most is not None:
        return FileSizes.in_bytes(least, most, rng)
    return FileSizes(settings.min_file_uuids, settings.max_file_uuids, rng)


def compute_limits(settings: Settings) -> ComputeLimits:
    """Return the limits of computations."""
    return ComputeLimits(
        max_seconds=settings.job_max_seconds,
        processes=settings.compute_processes or usable_cpus(),
        factorial_max_n=settings.factorial_max_n,
        sha512_max_iterations=settings.sha512_max_iterations,
    )


def fetch_limits(settings: Settings) -> FetchLimits:
    """Return the limits of http-fetch."""
    return FetchLimits(
        allow=settings.http_fetch_allow,
        max_bytes=settings.http_fetch_max_bytes,
        timeout_seconds=settings.http_fetch_timeout_seconds,
        max_redirects=settings.http_fetch_max_redirects,
    )


def log_failure(metrics: Metrics) -> Callable[[Message, int, LoadtestError], None]:
    """Return a function that counts and logs each failed attempt."""

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
