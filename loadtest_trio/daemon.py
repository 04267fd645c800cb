"""The daemon: nurseries nested by lifetime, one way in, one way out.

    signals, health ─────────────────────────────────────────────── until everything else has ended
      └─ metrics ────────────────────────────────────────────────── until the last line is written
           └─ scheduler, worker ─────────────────────────────────── until the reason to stop

A signal, the end of the duration and a crash of any task all do the same: they set the reason to stop.
Then, in this order: the scheduler ends; the worker claims no more, pushes back what nobody started and
gets the grace period; what is left returns to the queue; the last line is written; the health endpoint
lets go; the clients are closed. A second signal skips the waiting.
"""

import math
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping

import trio

from loadtest_trio import __version__
from loadtest_trio.assembly import Assembly, assemble
from loadtest_trio.metrics import calibration, logs, machine
from loadtest_trio.settings import SETTINGS, Loaded, LogFormat, Role, Settings
from loadtest_trio.startup import check_backends

_CLOSE_SECONDS = 5.0


async def serve(loaded: Loaded, environ: Mapping[str, str]) -> int:
    """Run the service until there is a reason to stop.

    Args:
        loaded: The configuration with its history.
        environ: Where AWS credentials are looked for.

    Returns:
        The exit code: 0 after a signal or the end of the duration, 1 after a crash.

    Raises:
        LoadtestError: It could not start: bad address, no credentials, a backend that cannot be used.
    """
    settings = loaded.settings
    as_json = settings.log_format is LogFormat.JSON or (
        settings.log_format is LogFormat.AUTO and not sys.stdout.isatty()
    )
    # Nobody reads any more (`run | head`): the end like any other, through the signal.
    logs.configure(
        json=as_json, level=settings.log_level, on_broken=lambda: signal.raise_signal(signal.SIGTERM)
    )
    parts = await assemble(settings, environ, trio.current_time)
    try:
        return await Daemon(parts, loaded).run()
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_SECONDS):
            await parts.s3.aclose()
        parts.redis.close()


class Daemon:
    """The lifetime of one service.

    Args:
        parts: What to run.
        loaded: The configuration, to say how it was started.
    """

    def __init__(self, parts: Assembly, loaded: Loaded) -> None:
        self._parts = parts
        self._loaded = loaded
        self._stopping = trio.Event()
        self._reason = ""
        self._crashed = False
        self._startup_error: Exception | None = None
        self._starting = trio.CancelScope()
        self._watching = trio.CancelScope()

    async def run(self) -> int:
        """Start everything, wait for a reason to stop, and stop in order; returns the exit code."""
        parts = self._parts
        async with trio.open_nursery() as outer:
            await outer.start(self._watch_signals)
            logs.event("service_starting", version=__version__)
            for warning in self._loaded.warnings:
                logs.event("setting_unknown", "WARNING", message=warning)
            outer.start_soon(self._supervise, "health", parts.health.run)
            if await self._ready():
                await self._run_load()
            parts.health.stop()
            outer.cancel_scope.deadline = trio.current_time() + _CLOSE_SECONDS
            self._watching.cancel()
        if self._startup_error:
            raise self._startup_error
        return 1 if self._crashed else 0

    def stop(self, reason: str) -> None:
        """Begin the shutdown; asked again, do not wait for the work in hand any longer."""
        if self._stopping.is_set():
            self._parts.worker.stop(0)
            return
        self._reason = reason
        self._stopping.set()
        self._starting.cancel()
        logs.event("service_stopping", reason=reason)

    async def _ready(self) -> bool:
        with self._starting:
            try:
                await check_backends(self._parts)
            except Exception as error:
                self._startup_error = error
                return False
        return not self._stopping.is_set()

    async def _run_load(self) -> None:
        parts, settings = self._parts, self._parts.settings
        self._say_started(settings)
        async with trio.open_nursery() as observers:
            observers.start_soon(self._supervise, "metrics", parts.metrics_service.run)
            observers.start_soon(self._supervise, "deadline watch", parts.s3.run)
            async with trio.open_nursery() as load:
                scheduling = trio.CancelScope()
                if Role.SCHEDULER in settings.roles:
                    load.start_soon(self._supervise, "scheduler", parts.scheduler.run, scheduling)
                if Role.WORKER in settings.roles:
                    load.start_soon(self._supervise, "worker", parts.worker.run)
                with trio.move_on_after(settings.run_duration_seconds or math.inf):
                    await self._stopping.wait()
                if not self._stopping.is_set():
                    self.stop("the run's duration is over")
                scheduling.cancel()
                parts.health_state.ended("scheduler")
                parts.worker.stop(settings.shutdown_grace_seconds)
            observers.cancel_scope.cancel()
        await self._supervise("metrics", parts.metrics_service.write)
        logs.event("service_stopped", reason=self._reason, **parts.metrics_service.totals())

    async def _supervise(
        self, task: str, run: Callable[[], Awaitable[None]], scope: trio.CancelScope | None = None
    ) -> None:
        try:
            with scope or trio.CancelScope():
                await run()
        except Exception as error:
            self._crashed = True
            logs.event(
                "task_crashed",
                "ERROR",
                task=task,
                error=f"{type(error).__name__}: {error}",
                traceback="".join(traceback.format_exception(error)),
            )
            self.stop(f"the {task} crashed")

    async def _watch_signals(self, *, task_status: trio.TaskStatus[None]) -> None:
        with self._watching, trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            async for number in signals:
                self.stop(f"received {signal.Signals(number).name}")

    def _say_started(self, settings: Settings) -> None:
        logs.event(
            "service_started",
            health=f"http://{settings.health_host}:{self._parts.health.port}{settings.health_endpoint_path}",
            versions=machine.versions(),
            machine=machine.describe(),
            settings={info.name: info.shown(getattr(settings, info.name.lower())) for info in SETTINGS},
            **calibration.score(calibration.QUICK_SECONDS),
        )
