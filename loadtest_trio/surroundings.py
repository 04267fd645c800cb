"""The outside world that the service is built into."""

import time
from collections.abc import Callable, Mapping

import attrs
import trio
from quart_trio import QuartTrio

from loadtest_trio.backends.opening import Clients, Delays
from loadtest_trio.metrics.backend_cpu import BackendCpuMeter, ServerAddress
from loadtest_trio.web import HealthService
from loadtest_trio.web.dashboard import Hub


@attrs.frozen
class Surroundings:
    """The outside world of the service; tests pass in-memory backends and their own clocks.

    Attributes:
        environ: The environment that AWS credentials come from.
        clients: Makes the clients of Redis and S3.
        delays: Latency added to the backends on purpose.
        backend_cpu: Makes the meter of the backends' CPU from their addresses.
        health: Makes the health endpoint from application, host, port and the dashboard's hub.
        clock: Monotonic seconds.
        unix_clock: Unix seconds.
        consumer: This process's name on the queue; "" for a generated one.
    """

    environ: Mapping[str, str]
    clients: Clients = attrs.field(factory=Clients)
    delays: Delays = attrs.field(factory=Delays)
    backend_cpu: Callable[[Mapping[str, ServerAddress]], BackendCpuMeter] = BackendCpuMeter
    health: Callable[[QuartTrio, str, int, Hub | None], HealthService] = HealthService
    clock: Callable[[], float] = trio.current_time
    unix_clock: Callable[[], float] = time.time
    consumer: str = ""
