"""Claim (`claimer`), run (`runner`), acknowledge (`acknowledger`, `recorder`); `service` owns them all."""

from loadtest_trio.worker.limiter import ConcurrencyLimiter
from loadtest_trio.worker.runner import Runner
from loadtest_trio.worker.service import Queue, WorkerService

__all__ = ["ConcurrencyLimiter", "Queue", "Runner", "WorkerService"]
