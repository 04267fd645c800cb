"""ECS: keeps as many tasks of a service as are wanted, replaces those that end, rolls out new definitions.

One loop looks at the tasks a few times a second and decides; stopping a task takes long, and is a task of the
nursery. As in ECS, a task that is stopped on purpose is deregistered first and gets SIGTERM after the
deregistration delay. What ECS needs to notice that a task has ended is `NOTICE_SECONDS` here, a guess.
"""

import math
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import attrs
import trio

from tests.rehearsal.applied import ScalingPolicy, ServiceDefinition, TaskDefinition
from tests.rehearsal.autoscaling import MINUTE, TargetTracking
from tests.rehearsal.balancer import Balancer, Health
from tests.rehearsal.clock import AwsClock
from tests.rehearsal.tasks import Given, RunningTask

NOTICE_SECONDS = 1.0
_LOOK_SECONDS = 0.1
_FEWEST_FAILURES = 3


@attrs.frozen
class Event:
    """Something that the service did.

    Attributes:
        at: Trio's clock.
        what: Such as ``started``.
        task: Which task, or what else.
    """

    at: float
    what: str
    task: str


@attrs.frozen
class Surroundings:
    """What the services of a cluster share.

    Attributes:
        clock: The time of AWS.
        folder: For logs.
        process_group: Of all processes.
        balancer: Where services with a target group are registered.
    """

    clock: AwsClock
    folder: Path
    process_group: int
    balancer: Balancer


class Service:
    """One ECS service.

    Args:
        definition: What was applied.
        around: What it shares with others.
        given: Variables of its tasks beside those of the task definition.
        group: The number of its target group.

    Attributes:
        desired: Tasks that are wanted.
        events: What happened, the oldest first.
        stop_seconds: How long tasks took to end after SIGTERM.
        codes: Exit codes of tasks that were stopped on purpose.
    """

    def __init__(
        self, definition: ServiceDefinition, around: Surroundings, given: Given, group: int = 0
    ) -> None:
        self.definition = definition
        self.desired = definition.desired
        self.events: list[Event] = []
        self.stop_seconds: list[float] = []
        self.codes: list[int | None] = []
        self._around = around
        self._given = given
        self._group = group
        self._task = self._stable = definition.task
        self._failures = 0
        self.tasks: list[RunningTask] = []
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the service until cancelled; then its tasks are killed."""
        try:
            async with trio.open_nursery() as self._nursery:
                task_status.started()
                while True:
                    self._reconcile()
                    await trio.sleep(_LOOK_SECONDS)
        finally:
            for task in self.tasks:
                task.kill()

    @property
    def active(self) -> list[RunningTask]:
        """Tasks that run, as far as has been noticed, and are not being stopped."""
        return [task for task in self.tasks if not task.stopping]

    @property
    def ready(self) -> list[RunningTask]:
        """Active tasks that may have requests; without a target group, all that are active."""
        return [task for task in self.active if self._is_ready(task)]

    @property
    def steady(self) -> bool:
        """Whether the service is as wanted and nothing is under way."""
        current = [task for task in self.ready if task.definition is self._task]
        return len(current) == self.desired == len(self.tasks)

    async def settled(self, seconds: float = 60.0) -> float:
        """Wait until the service is steady; return the seconds that it took.

        Raises:
            AssertionError: It did not get there in time.
        """
        began = trio.current_time()
        while not self.steady:
            if trio.current_time() - began > seconds:
                tails = "\n".join(task.tail() for task in self.tasks if not self._is_ready(task))
                raise AssertionError(f"{self.definition.name} is not steady after {seconds:g} s: {tails}")
            await trio.sleep(_LOOK_SECONDS)
        return trio.current_time() - began

    def scale(self, desired: int) -> None:
        """Want another number of tasks."""
        if desired != self.desired:
            self._note("scaled", f"{self.desired} -> {desired}")
        self.desired = desired

    def roll_out(self, task: TaskDefinition) -> None:
        """Begin a deployment."""
        self._stable, self._task, self._failures = self._task, task, 0
        self._note("deployment", f"{task.family}:{task.revision}")

    async def interrupt(self, task: RunningTask) -> None:
        """Stop a task without warning: SIGTERM while the balancer still sends it requests.

        This is how Fargate ends a task for maintenance or Spot; the deregistration begins at the same moment.
        """
        task.stopping = True
        self._note("interrupted", task.name)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._around.balancer.deregister, task.port, 0)
            self.stop_seconds.append(await task.stop())
        self.codes.append(task.code)
        self.tasks.remove(task)

    async def autoscale(self, clock: AwsClock, measure: Callable[[ScalingPolicy], float]) -> None:
        """Follow the scaling policies until cancelled.

        Args:
            clock: The time of CloudWatch, which may run faster than that of the load balancer.
            measure: Returns the metric of a policy since its last call, or at the moment.
        """
        definition = self.definition
        rules = [TargetTracking(each, definition.least, definition.most) for each in definition.policies]
        while True:
            await clock.sleep(MINUTE)
            now = clock.now()
            wanted = [rule.observe(now, measure(rule.policy), self.desired) for rule in rules]
            # Of several policies the one that wants most tasks wins.
            self.scale(max(wanted, default=self.desired))

    def _reconcile(self) -> None:
        for task in list(self.tasks):
            if task.stopping:
                continue
            if not task.running:
                task.ended_at = task.ended_at or time.monotonic()
                if time.monotonic() - task.ended_at >= NOTICE_SECONDS:
                    task.stopping = True
                    self._start(self._lost, task)
            elif self._failed_checks(task):
                self._replace(task, "unhealthy")
        self._break_circuit()
        self._deploy()

    def _deploy(self) -> None:
        definition, active = self.definition, self.active
        current = [task for task in active if task.definition is self._task]
        old = deque(task for task in active if task.definition is not self._task)
        ceiling = math.floor(self.desired * definition.maximum_percent / 100)
        for _ in range(min(self.desired - len(current), ceiling - len(active))):
            self._launch()
        floor = math.ceil(self.desired * definition.minimum_healthy_percent / 100)
        spare = len(self.ready) - floor
        while old and (spare > 0 or not self._is_ready(old[0])):
            spare -= self._is_ready(old[0])
            self._stop(old.popleft(), "old deployment")
        for task in current[self.desired :]:
            self._stop(task, "scale-in")

    def _launch(self) -> None:
        around = self._around
        task = RunningTask(self._task, self._given, around.folder, around.process_group)
        self.tasks.append(task)
        self._note("started", task.name)
        self._start(self._check, task)
        if self.definition.target_group:
            around.balancer.register(task.port, self.definition.target_group, self._group)

    async def _check(self, task: RunningTask) -> None:
        """Replace a task when the check of its container has failed too often; in real time, as it runs."""
        check, failures = task.definition.check, 0
        while check and task.running and not task.stopping:
            await trio.sleep(check.interval)
            good = task.stopping or await task.passes(check)
            young = time.monotonic() - task.began < check.start_seconds
            failures = 0 if good or young else failures + 1
            if failures >= check.retries and task.running and not task.stopping:
                self._replace(task, "container unhealthy")

    def _break_circuit(self) -> None:
        limit = max(_FEWEST_FAILURES, math.ceil(self.desired / 2))
        if self.definition.rolls_back and self._task is not self._stable and self._failures >= limit:
            self._task, self._failures = self._stable, 0
            self._note("rolled back", f"{self._task.family}:{self._task.revision}")

    def _is_ready(self, task: RunningTask) -> bool:
        if self.definition.target_group is None:
            return True
        return self._around.balancer.serving(task.port)

    def _failed_checks(self, task: RunningTask) -> bool:
        if self.definition.target_group is None:
            return False
        old_enough = time.monotonic() - task.began > self.definition.health_grace
        return old_enough and self._around.balancer.health(task.port) is Health.UNHEALTHY

    async def _lost(self, task: RunningTask) -> None:
        """Take out a task that has ended by itself."""
        self._note("ended", f"{task.name}, exit code {task.code}")
        self._failures += task.definition is self._task
        self.tasks.remove(task)
        if self.definition.target_group:
            await self._around.balancer.deregister(task.port, 0)

    def _replace(self, task: RunningTask, why: str) -> None:
        """Stop a task whose checks have failed; it counts against a deployment."""
        self._failures += task.definition is self._task
        self._stop(task, why)

    def _stop(self, task: RunningTask, why: str) -> None:
        task.stopping = True
        self._note("stopping", f"{task.name}, {why}")
        self._start(self._stopped, task)

    async def _stopped(self, task: RunningTask) -> None:
        group = self.definition.target_group
        if group:
            await self._around.balancer.deregister(task.port, group.deregistration_delay)
        self.stop_seconds.append(await task.stop())
        self.codes.append(task.code)
        self._note("stopped", f"{task.name}, exit code {task.code}")
        self.tasks.remove(task)

    def _start(self, job: Callable[[RunningTask], object], task: RunningTask) -> None:
        assert self._nursery is not None
        self._nursery.start_soon(job, task)  # type: ignore[arg-type]  # both are async functions

    def _note(self, what: str, task: str) -> None:
        self.events.append(Event(trio.current_time(), what, task))
