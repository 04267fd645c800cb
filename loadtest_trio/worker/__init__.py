"""Claims (`claimer`), runs (`runner`) and acknowledges (`acknowledger`, `recorder`) messages.

`service` owns all of these tasks.
"""

from loadtest_trio.worker.limiter import ConcurrencyLimiter
from loadtest_trio.worker.queue import Queue
from loadtest_trio.worker.recorder import log_failure
from loadtest_trio.worker.runner import Runner
from loadtest_trio.worker.service import Listeners, WorkerOptions, WorkerService

__all__ = [
    "ConcurrencyLimiter",
    "Listeners",
    "Queue",
    "Runner",
    "WorkerOptions",
    "WorkerService",
    "log_failure",
]
