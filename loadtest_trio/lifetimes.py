"""The load: worker and scheduler, which end in order; used by the daemon and by `tune`.

worker ───── claims until `stop`, then finishes work in progress within the grace period
scheduler ── enqueues until `stop`
"""

from typing import Protocol

import trio

from loadtest_trio.build import Service
from loadtest_trio.settings import Role


class Task(Protocol):
    """A long-lived task."""

    async def __call__(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Run until cancelled or stopped; reports started when it is ready."""


class Supervise(Protocol):
    """Runs a long-lived task, and decides what happens if it crashes."""

    async def __call__(self, name: str, run: Task, *, task_status: trio.TaskStatus[None]) -> None:
        """Run the task under its name; reports started when the task is ready or has ended."""


class Load:
    """The scheduler and worker of one service, as far as its roles include them.

    Args:
        service: The service to run.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._scheduling = trio.CancelScope()

    def stop(self, grace: float) -> None:
        """Stop scheduling and claiming, and give work in progress `grace` seconds; `run` then returns."""
        self._scheduling.cancel()
        self._service.health_state.ended("scheduler")
        self._service.worker.stop(grace)

    async def run(self, supervise: Supervise, *, task_status: trio.TaskStatus[None]) -> None:
        """Run until `stop` is called and work in progress has ended; reports started when all is ready."""
        roles = self._service.settings.roles
        async with trio.open_nursery() as nursery:
            if Role.WORKER in roles:
                await nursery.start(supervise, "worker", self._service.worker.run, name="worker")
            if Role.SCHEDULER in roles:
                await nursery.start(supervise, "scheduler", self._schedule, name="scheduler")
            task_status.started()

    async def _schedule(self, *, task_status: trio.TaskStatus[None]) -> None:
        with self._scheduling:
            await self._service.scheduler.run(task_status=task_status)


async def unsupervised(name: str, run: Task, *, task_status: trio.TaskStatus[None]) -> None:
    """Run a task without handling crashes: they propagate and end the surrounding nursery."""
    del name
    await run_until_ended(run, task_status=task_status)


async def run_until_ended(run: Task, *, task_status: trio.TaskStatus[None]) -> None:
    """Run a task; one that is stopped or crashes before it is ready counts as started."""
    once = _Once(task_status)
    try:
        await run(task_status=once)
    finally:
        once.started()


class _Once(trio.TaskStatus[None]):
    """Passes on only the first call of `started`."""

    def __init__(self, status: trio.TaskStatus[None]) -> None:
        self._status: trio.TaskStatus[None] | None = status

    def started(self, value: None = None) -> None:
        """Report that the task is ready or has ended."""
        if self._status is not None:
            self._status.started(value)
            self._status = None
