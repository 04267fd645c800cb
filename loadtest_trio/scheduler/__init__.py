"""The scheduler: a pure plan (`pacer`, `planner`) under a thin loop (`service`)."""

from loadtest_trio.scheduler.pacer import Pacer
from loadtest_trio.scheduler.planner import FileSizes, Planner
from loadtest_trio.scheduler.service import SchedulerService

__all__ = ["FileSizes", "Pacer", "Planner", "SchedulerService"]
