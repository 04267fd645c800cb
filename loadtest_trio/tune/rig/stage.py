"""Runs the service for one step of `tune`."""

from contextlib import AsyncExitStack

import trio

from loadtest_trio.backends.readiness import wait_until_ready
from loadtest_trio.build import Service, Surroundings, open_service
from loadtest_trio.lifetimes import Load, unsupervised
from loadtest_trio.settings import Settings
from loadtest_trio.tune.plan.burner import burn
from loadtest_trio.tune.plan.core_speed import CoreSpeedMeter

_GRACE_SECONDS = 2.0
_ERASE_SECONDS = 5.0


class Stage:
    """One service and its tasks, started in the daemon's nurseries and stopped in the daemon's order.

    Args:
        settings: The settings of the step.
        surroundings: The environment and backends of the service.
        burnt: Share of a core to burn meanwhile.

    Attributes:
        core_speed: Measures the speed of the core meanwhile.
        service: The running service, once `run` has started.
    """

    service: Service

    def __init__(self, settings: Settings, surroundings: Surroundings, burnt: float) -> None:
        self.core_speed = CoreSpeedMeter()
        self._settings = settings
        self._surroundings = surroundings
        self._burnt = burnt
        self._load: Load | None = None
        self._ended = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Run until `end` is called; reports started when worker and scheduler are ready."""
        try:
            async with AsyncExitStack() as closing:
                self.service = service = await closing.enter_async_context(
                    open_service(self._settings, self._surroundings)
                )
                await service.redis.erase()
                await wait_until_ready(service.redis, service.s3, self._settings)
                closing.push_async_callback(_erase, service)
                await self._run(service, task_status)
        finally:
            self._ended.set()

    async def _run(self, service: Service, task_status: trio.TaskStatus[None]) -> None:
        self._load = Load(service)
        async with trio.open_nursery() as observers:
            observers.start_soon(service.metrics_service.probe, name="probe")
            observers.start_soon(service.s3.run, name="deadline watch")
            observers.start_soon(burn, self._burnt, name="burner")
            observers.start_soon(self.core_speed.run, name="core speed")
            async with trio.open_nursery() as load:
                await load.start(self._load.run, unsupervised, name="load")
                task_status.started()
            observers.cancel_scope.cancel()

    async def end(self) -> None:
        """Stop scheduling, let work in progress finish, and erase the rest of the queue."""
        if self._load:
            self._load.stop(_GRACE_SECONDS)
        await self._ended.wait()


async def _erase(service: Service) -> None:
    with trio.CancelScope(shield=True, deadline=trio.current_time() + _ERASE_SECONDS):
        await service.redis.erase()
