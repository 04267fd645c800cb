"""Runs the service for one step of `tune`, or for several that differ in what can change while it runs."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from random import Random

import trio

from loadtest_trio.backends.readiness import wait_until_ready
from loadtest_trio.build import Service, open_service
from loadtest_trio.jobs.message import Operation
from loadtest_trio.lifetimes import Load, unsupervised
from loadtest_trio.scheduler import Mix
from loadtest_trio.settings import Settings
from loadtest_trio.surroundings import Surroundings
from loadtest_trio.tune.plan.burner import Burner
from loadtest_trio.tune.plan.core_speed import CoreSpeedMeter
from loadtest_trio.tune.plan.steps import Step

_GRACE_SECONDS = 2.0
_ERASE_SECONDS = 5.0


class Stage:
    """One service and its tasks, started in the daemon's nurseries and stopped in the daemon's order.

    Args:
        settings: The settings of the step.
        surroundings: The environment and backends of the service.
        first: The step that it is started for.

    Attributes:
        core_speed: Measures the speed of the core meanwhile.
        service: The running service, once `run` has started.
    """

    service: Service

    def __init__(self, settings: Settings, surroundings: Surroundings, first: Step) -> None:
        self.core_speed = CoreSpeedMeter()
        self._burner = Burner()
        self._settings = settings
        self._surroundings = surroundings
        self._first = first
        self._mix, self._rng = first.mix, Random(0)
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
            observers.start_soon(self._burner.run, name="burner")
            observers.start_soon(self.core_speed.run, name="core speed")
            async with trio.open_nursery() as load:
                await load.start(self._load.run, unsupervised, name="load")
                self.switch(self._first)
                task_status.started()
            observers.cancel_scope.cancel()

    def fits(self, step: Step) -> bool:
        """Return whether the running service can be changed to the conditions of a step."""
        began, wanted = self._first.switch, step.switch
        same = self._first.handicap.size == step.handicap.size and self._first.rate == step.rate
        known = (self._first.mix is None) == (step.mix is None)
        room = began is not None and wanted is not None and began.most_workers >= wanted.most_workers
        return room and same and known

    def switch(self, step: Step) -> None:
        """Change the running service to the conditions of a step: workers, mix, and what is slowed down."""
        self._burner.set(step.handicap.cpu)
        delays = self._surroundings.delays
        delays.redis, delays.s3 = step.handicap.redis_seconds, step.handicap.s3_seconds
        if step.mix is not None and step.mix != self._mix:
            self._mix = step.mix
            self.service.scheduler.change_mix(Mix(operation_weights(step.mix), self._rng))
        if self.service.worker.concurrency != step.workers:
            self.service.worker.resize(int(step.workers))  # Redis's encoder accepts no subclass of int

    async def end(self) -> None:
        """Stop scheduling, let work in progress finish, and erase the rest of the queue."""
        if self._load:
            self._load.stop(_GRACE_SECONDS)
        await self._ended.wait()


def operation_weights(mix: Mapping[str, float]) -> dict[Operation, float]:
    """Return a mix for the scheduler; operations that it does not name have no weight."""
    return {each: mix.get(each, 0.0) for each in Operation}


async def _erase(service: Service) -> None:
    with trio.CancelScope(shield=True, deadline=trio.current_time() + _ERASE_SECONDS):
        await service.redis.erase()
