"""The scheduler: pure decisions (`inventory`, `mix`, `pacer`, `planner`) and a thin loop (`service`)."""

from loadtest_trio.scheduler.inventory import Inventory
from loadtest_trio.scheduler.mix import Mix
from loadtest_trio.scheduler.pacer import Pacer
from loadtest_trio.scheduler.planner import FileSizes, Planner
from loadtest_trio.scheduler.service import SchedulerService

__all__ = ["FileSizes", "Inventory", "Mix", "Pacer", "Planner", "SchedulerService"]
