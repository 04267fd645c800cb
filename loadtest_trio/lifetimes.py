"""The load: worker and scheduler, whose lifetimes end in order; the daemon and `tune` both run it.

worker ───── claims until `stop`, then finishes the work in hand within the grace period
scheduler ── enqueues until `stop`
"""

from typing import Protocol

import trio

from loadtest_trio.build import Service
from loadtest_trio.settings import Role


class Task(Protocol):
    """A long-lived task."""

    async def __call__(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Run until cancelled or told to end; started when it serves."""


class Supervise(Protocol):
    """Runs a long-lived task, and decides what follows when it crashes."""

    async def __call__(self, name: str, run: Task, *, task_status: trio.TaskStatus[None]) -> None:
        """Run the task under its name; started when the task is, or has ended before."""


class Load:
    """The tasks of one service that make and do work, by its roles.

    Args:
        service: What to run.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._scheduling = trio.CancelScope()

    def stop(self, grace: float) -> None:
        """Begin to end `run`: schedule and claim no more, and give the work in hand `grace` seconds."""
        self._scheduling.cancel()
        self._service.health_state.ended("scheduler")
        self._service.worker.stop(grace)

    async def run(self, supervise: Supervise, *, task_status: trio.TaskStatus[None]) -> None:
        """Run until `stop` was called and the work in hand has ended; started when all of it serves."""
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
    """Run a task whose crash ends everything around it."""
    del name
    await run_until_ended(run, task_status=task_status)


async def run_until_ended(run: Task, *, task_status: trio.TaskStatus[None]) -> None:
    """Run a task; one that ends before it served, since it was stopped or crashed, counts as started."""
    once = _Once(task_status)
    try:
        await run(task_status=once)
    finally:
        once.started()


class _Once(trio.TaskStatus[None]):
    """Passes on the first `started` only."""

    def __init__(self, status: trio.TaskStatus[None]) -> None:
        self._status: trio.TaskStatus[None] | None = status

    def started(self, value: None = None) -> None:
        """Report that the task serves, or has ended."""
        if self._status is not None:
            self._status.started(value)
            self._status = None
