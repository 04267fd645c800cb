"""Makes each part of the service from the settings and the parts that it uses."""

import os
import secrets
from collections.abc import Callable
from random import Random

from loadtest_trio.backends.archive import S3Archive
from loadtest_trio.backends.archiver import Archiver
from loadtest_trio.backends.opening import Opener, server_addresses
from loadtest_trio.backends.redis import RedisService
from loadtest_trio.backends.s3 import S3Service
from loadtest_trio.controls import service_controls, steered
from loadtest_trio.errors import LoadtestError
from loadtest_trio.handlers.registry import Registry
from loadtest_trio.http.server import HypercornServer, LeanServer, ServerLimits
from loadtest_trio.jobs.delivery import Outcome
from loadtest_trio.jobs.message import Message
from loadtest_trio.kinds_of_work import file_sizes
from loadtest_trio.metrics import logs
from loadtest_trio.metrics.counters import Metrics
from loadtest_trio.metrics.ecs import read_task_limits
from loadtest_trio.metrics.health_state import HealthState
from loadtest_trio.metrics.service import MetricsService, Sources
from loadtest_trio.scheduler import Inventory, Mix, Planner, SchedulerService
from loadtest_trio.settings import ApiServer, ArchiveMode, Role, Settings
from loadtest_trio.surroundings import Surroundings
from loadtest_trio.web import HealthService, create_app
from loadtest_trio.web.api import ApiOptions, ApiService, JobApi
from loadtest_trio.web.dashboard import Access, FoundJobs, Hub, add_dashboard, is_loopback_host
from loadtest_trio.web.listening import listening
from loadtest_trio.web.server import log_crash
from loadtest_trio.worker import (
    ConcurrencyLimiter,
    Listeners,
    Runner,
    WorkerOptions,
    WorkerService,
    log_failure,
)


class Parts:
    """Makes the parts of a service, and holds the objects that they share.

    Args:
        settings: The configuration.
        surroundings: The environment and backends of the service.
    """

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
        """Return the health endpoint, bound to its address."""
        settings = self.settings
        return self.surroundings.health(self.app, settings.health_host, settings.health_port, self.hub)

    def add_dashboard(
        self, redis: RedisService, scheduler: SchedulerService, worker: WorkerService, api: ApiService | None
    ) -> None:
        """Serve the dashboard beside the health endpoint, if the settings ask for it."""
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
        """Return the queue; lost data cancels the plans that the inventory holds."""

        def lost(messages: int) -> None:
            self.inventory.cancel_plans()
            if messages:  # 0: another process has counted and logged it
                logs.event("redis_data_lost", "ERROR", messages=messages)

        return self.opener.redis(self.consumer, self.rng, lost)

    def scheduler(self, redis: RedisService, s3: S3Service) -> SchedulerService:
        """Return the scheduler of the S3 load."""
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

    def archiver(self, redis: RedisService, s3: S3Service) -> Archiver:
        """Return what stores large results and finished jobs."""
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
        """Return the job API, bound to its address."""
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

    def worker(
        self, redis: RedisService, s3: S3Service, registry: Registry, archiver: Archiver
    ) -> WorkerService:
        """Return the worker."""
        settings, surroundings = self.settings, self.surroundings
        workers = settings.worker_concurrency

        async def probe(backend: str) -> None:
            if backend == "s3":
                await s3.probe()

        return WorkerService(
            queue=redis,
            registry=registry,
            runner=Runner(
                self.rng,
                self.health_state.outage_since,
                log_failure(self.metrics),
                surroundings.unix_clock,
                archiver.archive.finish,
                probe,
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
        """Return what writes the metrics lines from all parts."""
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
