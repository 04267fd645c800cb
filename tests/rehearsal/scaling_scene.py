"""Scaling: from two tasks to four and back under the load steps of brief 004, by the applied policies.

Brief 004's 200 users drive two tasks to 86 % of their CPU, and its 500 users three to 99 %. This service
needs a fraction of that CPU, and one machine has no four free cores; so the vCPU of a task is played by the
share of a core that makes the first step come out as in the brief, and the second follows from it.
For the same reason fewer users stand for the brief's. CloudWatch's minutes, the cooldowns and the target
group's times run faster than real time; processes start in real time.
"""

from contextlib import ExitStack

import trio

from tests.rehearsal.applied import ScalingPolicy
from tests.rehearsal.clock import AwsClock
from tests.rehearsal.cluster import Service
from tests.rehearsal.job_queue import Queue
from tests.rehearsal.load import Users, loaded
from tests.rehearsal.outcome import Outcome
from tests.rehearsal.stage import Stage

FIRST_STEP, SECOND_STEP = 200, 500
"""Users of brief 004."""
_FIRST_PERCENT = 86.0
_FULL = 100.0
_STEP_SECONDS = 60.0
_STEP_MINUTES = 40.0


class CpuMeter:
    """Average CPU of a service's tasks that serve, as ECS reports it.

    Args:
        service: The service.
        share: CPU seconds a second that one vCPU is worth here.
    """

    def __init__(self, service: Service, share: float = 1.0) -> None:
        self.share = share
        self._service = service
        self._last: dict[int, tuple[float, float]] = {}

    def read(self) -> float:
        """Return percent of a task's vCPU since the last reading; a task counts from its second one on."""
        now, each = trio.current_time(), []
        seen = {task.port: task.cpu_seconds() for task in self._service.ready}
        for port, used in seen.items():
            if port in self._last and now > self._last[port][0]:
                at, before = self._last[port]
                each.append(100.0 * (used - before) / (now - at) / self.share)
        self._last = {port: (now, used) for port, used in seen.items()}
        # A container cannot use more than its vCPU.
        return min(_FULL, sum(each) / len(each)) if each else 0.0


class _Metrics:
    def __init__(self, queue: Queue, cpu: CpuMeter) -> None:
        self._queue, self._cpu = queue, cpu
        self.cpu: list[float] = []

    def __call__(self, policy: ScalingPolicy) -> float:
        if policy.metric == "cpu":
            self.cpu.append(self._cpu.read())
            return self.cpu[-1]
        workers = self._queue.workers
        return self._queue.backlog() / max(1, len(workers.active) if workers else 1)


async def scaled(stage: Stage, users: int, calm: float, speed: float) -> Outcome:
    """Play the load steps.

    Args:
        stage: With the services.
        users: That stand for the brief's 200.
        calm: Seconds before the CPU of the first step is measured, and half of those that it is measured for.
        speed: Of CloudWatch's time.
    """
    outcome = Outcome("scaled", "Scaling from 2 to 4 tasks and back (brief 004's load steps)")
    queue, api = stage.queue, stage.queue.api
    api.scale(api.definition.least)
    await api.settled(120)
    clock, meter = AwsClock(speed), CpuMeter(api)
    metrics = _Metrics(queue, meter)
    more = users * (SECOND_STEP - FIRST_STEP) // FIRST_STEP
    async with loaded(stage, 2, 0) as load:
        with ExitStack() as crowds:
            first = Users(stage, users)
            crowds.callback(first.kill)
            await first.started()
            await trio.sleep(calm)
            meter.read()
            await trio.sleep(2 * calm)
            meter.share = meter.read() / _FIRST_PERCENT
            async with trio.open_nursery() as nursery:
                for service in queue.services:
                    nursery.start_soon(service.autoscale, clock, metrics)
                limit = _STEP_SECONDS + _STEP_MINUTES * clock.real(60.0)
                steps = [await _reaches(api, 3, metrics, limit)]
                second = Users(stage, more)
                crowds.callback(second.kill)
                await second.started()
                steps.append(await _reaches(api, 4, metrics, limit))
                failed = [await crowd.stop() for crowd in (first, second)]
                steps.append(await _reaches(api, 2, metrics, limit))
                nursery.cancel_scope.cancel()
    await api.settled(120)
    counts = [event.task for event in api.events if event.what == "scaled"]
    names = ("first step, 2 -> 3", "second step, 3 -> 4", "after the load, 4 -> 2")
    for name, (tasks, seconds, percent) in zip(names, steps, strict=True):
        outcome.figures[name] = (
            f"{tasks} tasks after {seconds:.0f} s ({seconds * speed / 60:.0f} minutes of CloudWatch), "
            f"CPU before it {percent:.0f} %"
        )
    outcome.figures["a task's vCPU is played by"] = f"{meter.share:.1%} of a core"
    outcome.figures["scaling activities"] = ", ".join(counts)
    outcome.figures["CPU by CloudWatch's minutes"] = " ".join(f"{each:.0f}" for each in metrics.cpu)
    found = [tasks for tasks, _, _ in steps]
    outcome.claim("out to 4 tasks under load, and back to 2 after it", found[1:] == [4, 2], found)
    load.summary = {"http_reqs": {"failures": sum(each["http_reqs"]["failures"] for each in failed)}}
    load.no_failure(outcome)
    load.tell(outcome)
    return outcome


async def _reaches(api: Service, tasks: int, metrics: _Metrics, limit: float) -> tuple[int, float, float]:
    """Wait until so many tasks serve; return how many do in the end, the seconds, and the CPU before."""
    began, out = trio.current_time(), tasks > api.definition.least
    percent = metrics.cpu[-1] if metrics.cpu else _FIRST_PERCENT
    while trio.current_time() - began < limit:
        reached = len(api.ready) >= tasks if out else len(api.active) <= tasks
        if reached:
            break
        if metrics.cpu and api.desired != tasks:
            percent = metrics.cpu[-1]
        await trio.sleep(0.1)
    return len(api.ready), trio.current_time() - began, percent
