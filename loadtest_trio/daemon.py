"""The daemon: nurseries nested by lifetime, with one start and one shutdown sequence.

    signals, health ─────────────────────────────────────────────── until everything else has ended
      └─ observers: metrics, deadline watch ─────────────────────── until the last line is written
           └─ job API ───────────────────────────────────────────── until work in progress has ended
                └─ load: worker, scheduler ──────────────────────── until there is a reason to stop

A signal, the end of the duration and a crash of any task all set the reason to stop. The shutdown then runs
in this order: the job API reports not ready and, after API_DRAIN_SECONDS, refuses new work, but still
answers other requests; the scheduler ends; the worker stops claiming, releases unstarted messages and
finishes work in progress within the grace period; unfinished work returns to the queue; the job API ends;
the last line is written; the health endpoint closes; the clients are closed. A second signal skips both
waits.
"""

import math
import signal
import traceback

import trio

from loadtest_trio import __version__
from loadtest_trio.backends.readiness import wait_until_ready
from loadtest_trio.build import Service, open_service
from loadtest_trio.errors import describe
from loadtest_trio.lifetimes import Load, Task, run_until_ended
from loadtest_trio.metrics import calibration, logs, machine, signals
from loadtest_trio.settings import SETTINGS, Loaded, Settings
from loadtest_trio.surroundings import Surroundings
from loadtest_trio.web.dashboard import is_loopback_host

_CLOSE_SECONDS = 5.0


async def serve(loaded: Loaded, surroundings: Surroundings) -> int:
    """Run the service until there is a reason to stop.

    Args:
        loaded: The configuration and where each value came from.
        surroundings: The environment and backends of the service.

    Returns:
        The exit code: 0 after a signal or the end of the duration, 1 after a crash.

    Raises:
        LoadtestError: The service could not start: bad address, no credentials or an unusable backend.
    """
    async with open_service(loaded.settings, surroundings) as service:
        return await Daemon(service, loaded).run()


class Daemon:
    """The lifetime of one service.

    Args:
        service: The service to run; its opener closes it.
        loaded: The configuration, logged at start.
    """

    def __init__(self, service: Service, loaded: Loaded) -> None:
        self._service = service
        self._loaded = loaded
        self._stopping = trio.Event()
        self._reason = ""
        self._crashed = False
        self._startup_error: Exception | None = None
        self._starting = trio.CancelScope()
        self._watching = trio.CancelScope()
        self._load = Load(service)

    async def run(self) -> int:
        """Start everything, wait for a reason to stop, stop in order, and return the exit code."""
        service = self._service
        async with trio.open_nursery() as outer:
            await outer.start(self._watch_signals)
            logs.event("service_starting", version=__version__)
            for warning in self._loaded.warnings:
                logs.event("setting_unknown", "WARNING", message=warning)
            await outer.start(self._supervise, "health", service.health.run, name="health")
            if await self._ready():
                await self._run_observed()
            service.health.stop()
            outer.cancel_scope.deadline = trio.current_time() + _CLOSE_SECONDS
            self._watching.cancel()
        if self._startup_error:
            raise self._startup_error
        return 1 if self._crashed else 0

    def stop(self, reason: str) -> None:
        """Begin the shutdown; a second call stops waiting for work in progress."""
        if self._stopping.is_set():
            self._service.worker.stop(0)
            if self._service.api:
                self._service.api.drain(0)
            return
        self._reason = reason
        self._stopping.set()
        self._starting.cancel()
        logs.event("service_stopping", reason=reason)
        if self._service.api:
            self._service.api.drain(self._service.settings.api_drain_seconds)
        self._load.stop(self._service.settings.shutdown_grace_seconds)

    async def _ready(self) -> bool:
        service = self._service
        with self._starting:
            try:
                await wait_until_ready(service.redis, service.s3, service.settings)
            except Exception as error:
                self._startup_error = error
                return False
        return not self._stopping.is_set()

    async def _run_observed(self) -> None:
        service = self._service
        self._log_started(service.settings)
        async with trio.open_nursery() as observers:
            await observers.start(self._supervise, "metrics", service.metrics_service.run, name="metrics")
            await observers.start(self._supervise, "deadline watch", service.s3.run, name="deadline watch")
            await observers.start(self._supervise, "archiver", service.archiver.run, name="archiver")
            async with trio.open_nursery() as serving:
                if service.api:
                    await serving.start(self._supervise, "api", service.api.run, name="api")
                await self._run_load()
                if service.api:
                    await service.api.drained()
                    service.api.stop(_CLOSE_SECONDS)
            observers.cancel_scope.cancel()
        await self._supervise("metrics", self._write_last_line)
        logs.event("service_stopped", reason=self._reason, **service.metrics_service.totals())

    async def _run_load(self) -> None:
        async with trio.open_nursery() as load:
            with trio.move_on_after(self._service.settings.run_duration_seconds or math.inf):
                await load.start(self._load.run, self._supervise, name="load")
                await self._stopping.wait()
            if not self._stopping.is_set():
                self.stop("the run's duration is over")

    async def _write_last_line(self, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await self._service.metrics_service.write()

    async def _supervise(
        self, name: str, run: Task, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        try:
            await run_until_ended(run, task_status=task_status)
        except Exception as error:
            self._crashed = True
            logs.event(
                "task_crashed",
                "ERROR",
                task=name,
                error=describe(error),
                traceback="".join(traceback.format_exception(error)),
            )
            self.stop(f"the {name} crashed")

    async def _watch_signals(self, *, task_status: trio.TaskStatus[None]) -> None:
        with self._watching, trio.open_signal_receiver(*signals.that_ask_to_end()) as received:
            task_status.started()
            async for number in received:
                if number == signal.SIGHUP and self._stopping.is_set():
                    continue  # the system and the shell both send it when a terminal is closed
                self.stop(f"received {signal.Signals(number).name}")

    def _log_started(self, settings: Settings) -> None:
        url = self._service.health.url
        logs.event(
            "service_started",
            health=f"{url}{settings.health_endpoint_path}",
            **({"dashboard": f"{url}/"} if settings.dashboard else {}),
            **({"api": self._service.api.url} if self._service.api else {}),
            versions=machine.versions(),
            machine=machine.describe(),
            settings={info.name: info.shown(getattr(settings, info.name.lower())) for info in SETTINGS},
            **calibration.score(calibration.QUICK_SECONDS),
        )
        if settings.dashboard and not settings.dashboard_token and not is_loopback_host(settings.health_host):
            logs.event(
                "dashboard_open",
                "WARNING",
                url=f"{url}/",
                message="anybody who reaches this address can look; set DASHBOARD_TOKEN or DASHBOARD=false",
            )
        if self._service.api and not settings.api_token and not is_loopback_host(settings.api_host):
            logs.event(
                "api_open",
                "WARNING",
                url=self._service.api.url,
                message="anybody who reaches this address can submit jobs; set API_TOKEN",
            )
