"""The rig of `tune`: builds and runs the service for each step, with the settings of that step.

    step ──► its settings ──► stage: scheduler, worker, burner ──► a metrics line per interval, host's speed
                                   │
             the next step stops it, in the daemon's order, and erases the queue; windows of experiments
             change it while it runs (`switchback`)

The rig duplicates nothing of the service: a stage runs the service made by `build` in the daemon's nurseries,
and the measurements are the lines of its `MetricsService`.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from random import Random
from typing import Any

import attrs
import trio

from loadtest_trio.backends.opening import Delays
from loadtest_trio.errors import LoadtestError
from loadtest_trio.metrics import logs
from loadtest_trio.settings import Distribution, SchedulerMode, Settings, Workers
from loadtest_trio.surroundings import Surroundings
from loadtest_trio.tune.plan.host import Probe
from loadtest_trio.tune.plan.observations import Observation
from loadtest_trio.tune.plan.profiler import CpuProfile, profiling
from loadtest_trio.tune.plan.readings import MetricsLine, observe
from loadtest_trio.tune.plan.steps import Kind, Step
from loadtest_trio.tune.rig.host_probe import HostProbe
from loadtest_trio.tune.rig.stage import Stage, operation_weights

_TICK_SECONDS = 0.05  # of the scheduler; with one batch per second, latencies would be up to a second
_FILL_SECONDS = 60.0
_WARM_UP_SECONDS = 1.0
_REST_SECONDS = 0.5
_CLOSE_SECONDS = 5.0
_SLICE_SECONDS = 0.5


class ServiceRig:
    """Makes steps with the real service.

    Args:
        settings: The user's settings, adapted for each step.
        environ: The environment that AWS credentials come from.
        nursery: Runs the stages.
        began: Start of the search in Trio's clock; the uptime of lines counts from it.

    Attributes:
        stage: Number of the current step.
    """

    def __init__(
        self, settings: Settings, environ: Mapping[str, str], nursery: trio.Nursery, began: float
    ) -> None:
        self.stage = 0
        self._settings = settings
        self._environ = environ
        self._nursery = nursery
        self._began = began
        self._expected_rate = 150.0
        self._running: Stage | None = None
        self._last: MetricsLine = {}
        self._host = HostProbe()
        self._probe: Probe | None = None
        self._jitter = Random(0)

    async def measure(self, step: Step) -> Observation:
        """Make one step and return its observation without the warm-up."""
        if not step.seconds:
            await self.rest()
            await trio.sleep(_REST_SECONDS)
            return Observation(slices=())
        if step.switch and self._running and self._running.fits(step):
            await self._switch(step, step.switch.guard_seconds)
        elif not step.continues or self._running is None:
            await self.rest()
            self.stage += 1
            await self._begin(step)
        before = self._probe or self._host.read()
        wanted = profiling() if step.kind is Kind.COST else nullcontext()
        with wanted as profile:
            lines = [self._last, *[line async for line in self._read(step)]]
            seconds = profile.seconds() if isinstance(profile, CpuProfile) else None
        self._probe = self._host.read()
        observation = attrs.evolve(observe(lines, step.workers, seconds), probes=(before, self._probe))
        self._expected_rate = max(self._expected_rate, observation.goodput)
        return observation

    async def rest(self) -> None:
        """Stop the current stage, if there is one, and erase its queue."""
        if self._running:
            stage, self._running = self._running, None
            await stage.end()

    async def _begin(self, step: Step) -> None:
        settings = step_settings(self._settings, step, self._expected_rate)
        self._running = Stage(settings, Surroundings(self._environ, delays=Delays()), step)
        await self._nursery.start(self._running.run, name="stage")
        scheduler = self._running.service.scheduler
        with trio.move_on_after(_FILL_SECONDS):
            while scheduler.phase != "steady":  # noqa: ASYNC110 - it has no event, and this is rare
                await trio.sleep(0.02)
        if scheduler.phase != "steady":
            raise LoadtestError(
                f"the bucket did not fill with {settings.precondition_min_objects} objects within "
                f"{_FILL_SECONDS:.0f} s: set a lower PRECONDITION_MIN_OBJECTS"
            )
        await trio.sleep(_WARM_UP_SECONDS)
        self._probe = self._host.read()
        self._last = await self._line(step)

    async def _switch(self, step: Step, guard_seconds: float) -> None:
        assert self._running is not None
        self._running.switch(step)
        await trio.sleep(guard_seconds)
        self._last = await self._line(step)

    async def _read(self, step: Step) -> AsyncIterator[MetricsLine]:
        # The jitter keeps readings from synchronising with the scheduler's batches: they would always find
        # the queue just filled, or empty.
        began, slices = trio.current_time(), max(1, round(step.seconds / _SLICE_SECONDS))
        for number in range(1, slices + 1):
            late = self._jitter.uniform(0, _TICK_SECONDS)
            await trio.sleep_until(began + number * step.seconds / slices + late)
            self._last = await self._line(step)
            logs.event("metrics", **self._last)
            yield self._last

    async def _line(self, step: Step) -> dict[str, Any]:
        assert self._running is not None
        service = self._running.service
        line = await service.metrics_service.measure()
        return line | {
            "redis_server_seconds": await service.redis.server_seconds(),
            "pace_us": self._running.core_speed.collect_us(),
            "host_speed": self._probe.speed if self._probe else None,
            "uptime_seconds": round(trio.current_time() - self._began, 4),
            "stage": self.stage,
            "stage_kind": step.kind,
        }


def step_settings(settings: Settings, step: Step, expected_rate: float) -> Settings:
    """Return the settings of one step.

    A search uses a queue and a prefix of its own, and a separate prefix for each file size. It keeps at least
    as many objects as queued messages; otherwise the queued DELETEs would leave nothing to READ.

    Args:
        settings: The user's settings.
        step: The step.
        expected_rate: Highest messages per second so far, to keep a closed loop's queue filled.
    """
    workers = max(step.workers, step.switch.most_workers if step.switch else 0)
    queue = min(5000, max(128, round(0.3 * expected_rate) + 2 * workers))
    objects = max(settings.precondition_min_objects, queue)
    size = step.handicap.size
    sizes = {
        name: max(37 if name.endswith("bytes") else 1, round(value * size))
        for name in ("min_file_uuids", "max_file_uuids", "min_file_size_bytes", "max_file_size_bytes")
        if (value := getattr(settings, name)) is not None
    }
    mix = Distribution(operation_weights(step.mix)) if step.mix else None
    return attrs.evolve(
        settings,
        queue_name=f"{settings.queue_name[:90]}-tune",
        s3_prefix=f"{settings.s3_prefix[:180]}tune/{size:g}/",
        scheduler_mode=SchedulerMode.RATE if step.rate else SchedulerMode.SATURATE,
        scheduler_messages_per_second=step.rate or settings.scheduler_messages_per_second,
        scheduler_interval_seconds=_TICK_SECONDS,
        scheduler_target_queue_length=queue,
        precondition_min_objects=objects,
        precondition_max_objects=max(settings.precondition_max_objects, 10 * objects),
        worker_concurrency=Workers(workers),
        steady_state_distribution=mix or settings.steady_state_distribution,
        health_port=0,
        dashboard=False,
        **sizes,
    )


@asynccontextmanager
async def open_rig(
    settings: Settings, environ: Mapping[str, str], clock: Callable[[], float]
) -> AsyncIterator[ServiceRig]:
    """Open a rig; on leaving the block, for any reason, the current stage is stopped.

    Args:
        settings: The user's settings.
        environ: The environment that AWS credentials come from.
        clock: Returns the start of the search in Trio's clock; `trio.current_time` if it starts now.
    """
    async with trio.open_nursery() as nursery:
        rig = ServiceRig(settings, environ, nursery, clock())
        try:
            yield rig
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 2 * _CLOSE_SECONDS):
                await rig.rest()
            nursery.cancel_scope.cancel()
