"""Claim (`intake`), try (`attempt`), acknowledge (`settler`, `bookkeeper`); `service` owns them all."""

from loadtest_trio.worker.attempt import Attempts
from loadtest_trio.worker.service import Queue, WorkerService

__all__ = ["Attempts", "Queue", "WorkerService"]
