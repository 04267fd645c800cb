"""The rig of `tune`: the service's own pieces, assembled anew for each step with the settings it asks for.

    step ──► evolved settings ──► stage: scheduler, worker, probe, burner ──► a line each interval
                                       │
             the next step ends them, in the daemon's order, and erases the queue

Nothing here does the service's work a second time: a stage runs what `build` makes in the nurseries of the
daemon, and what is measured is what its `MetricsService` would write.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from random import Random
from typing import Any

import attrs
import trio

from loadtest_trio.backends.opening import Delays
from loadtest_trio.build import Surroundings
from loadtest_trio.errors import LoadtestError
from loadtest_trio.jobs.message import Operation
from loadtest_trio.metrics import logs
from loadtest_trio.settings import Distribution, SchedulerMode, Settings, Workers
from loadtest_trio.tune.plan.profiler import Profile, profiling
from loadtest_trio.tune.plan.readings import Line, observe
from loadtest_trio.tune.plan.steps import Kind, Observation, Step
from loadtest_trio.tune.rig.stage import Stage

_TICK_SECONDS = 0.05  # of the scheduler: a batch a second would make every latency a second
_FILL_SECONDS = 60.0
_WARM_UP_SECONDS = 1.0
_REST_SECONDS = 0.5
_CLOSE_SECONDS = 5.0
_SLICE_SECONDS = 0.5  # of one reading


class ServiceRig:
    """Makes steps with the real service.

    Args:
        settings: The user's; each step changes what it has to.
        environ: Where AWS credentials are looked for.
        nursery: Where the pieces run.
        began: When the search began, in Trio's clock: lines count from there.

    Attributes:
        stage: The number of the step under way.
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
        self._last: Line = {}
        self._jitter = Random(0)

    async def measure(self, step: Step) -> Observation:
        """Make one step and return what it showed, the warm-up left out."""
        if not step.continues or self._running is None:
            await self.rest()
            if not step.seconds:
                await trio.sleep(_REST_SECONDS)
                return Observation(slices=())
            self.stage += 1
            await self._begin(step)
        wanted = profiling() if step.kind is Kind.COST else nullcontext()
        with wanted as profile:
            lines = [self._last, *[line async for line in self._read(step)]]
            seconds = profile.seconds() if isinstance(profile, Profile) else None
        observation = observe(lines, step.workers, seconds)
        self._expected_rate = max(self._expected_rate, observation.goodput)
        return observation

    async def rest(self) -> None:
        """End the step under way, if there is one, and erase its queue."""
        if self._running:
            stage, self._running = self._running, None
            await stage.end()

    async def _begin(self, step: Step) -> None:
        settings = evolved(self._settings, step, self._expected_rate)
        delays = Delays(redis=step.handicap.redis_seconds, s3=step.handicap.s3_seconds)
        self._running = Stage(settings, Surroundings(self._environ, delays=delays), step.handicap.cpu)
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
        self._last = await self._line(step)

    async def _read(self, step: Step) -> AsyncIterator[Line]:
        # Readings in step with the scheduler's batches would always find the queue just filled, or empty.
        began = trio.current_time()
        for number in range(1, max(1, round(step.seconds / _SLICE_SECONDS)) + 1):
            late = self._jitter.uniform(0, _TICK_SECONDS)
            await trio.sleep_until(began + number * _SLICE_SECONDS + late)
            self._last = await self._line(step)
            logs.event("metrics", **self._last)
            yield self._last

    async def _line(self, step: Step) -> dict[str, Any]:
        assert self._running is not None
        service = self._running.service
        line = await service.metrics_service.measure()
        return line | {
            "redis_server_seconds": await service.redis.server_seconds(),
            "pace_us": self._running.pace.collect_us(),
            "uptime_seconds": round(trio.current_time() - self._began, 4),
            "stage": self.stage,
            "stage_kind": step.kind,
        }


def evolved(settings: Settings, step: Step, expected_rate: float) -> Settings:
    """Return the settings of one step.

    The queue and the objects are the step's own kind's: no other queue is touched, and files of another
    size lie under another prefix. There are as many objects as messages wait, or the DELETEs on the queue
    would leave nothing to READ.

    Args:
        settings: The user's.
        step: What is asked for.
        expected_rate: The most messages a second seen so far, to keep a closed loop's queue filled.
    """
    queue = min(5000, max(128, round(0.3 * expected_rate) + 2 * step.workers))
    objects = max(settings.precondition_min_objects, queue)
    size = step.handicap.size
    sizes = {
        name: max(37 if name.endswith("bytes") else 1, round(value * size))
        for name in ("min_file_uuids", "max_file_uuids", "min_file_size_bytes", "max_file_size_bytes")
        if (value := getattr(settings, name)) is not None
    }
    mix = Distribution({each: step.mix.get(each, 0.0) for each in Operation}) if step.mix else None
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
        worker_concurrency=Workers(step.workers),
        steady_state_distribution=mix or settings.steady_state_distribution,
        health_port=0,
        dashboard=False,
        **sizes,
    )


@asynccontextmanager
async def open_rig(
    settings: Settings, environ: Mapping[str, str], clock: Callable[[], float]
) -> AsyncIterator[ServiceRig]:
    """Open a rig; the step under way ends with it, however it ends.

    Args:
        settings: The user's.
        environ: Where AWS credentials are looked for.
        clock: When the search began, in Trio's clock; now, if it begins with the rig.
    """
    async with trio.open_nursery() as nursery:
        rig = ServiceRig(settings, environ, nursery, clock())
        try:
            yield rig
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 2 * _CLOSE_SECONDS):
                await rig.rest()
            nursery.cancel_scope.cancel()
