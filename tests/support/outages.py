"""A loaded service between two fault proxies, and what one outage does to it.

    service ──► FaultProxy ──► Redis, with every write on record       SIGSTOP, SIGKILL and restart
           └──► FaultProxy ──► SeaweedFS                               of the real servers as well

All faults hit the same process, so that it also has to survive what the last one left behind.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs

from loadtest_trio.backends.embedded import RedisServer, S3Server
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.health_watch import HealthWatch
from tests.support.rig import Rig, wait_until
from tests.support.service_process import ServiceProcess

RATE = 40
WINDOW_SECONDS = 2.0
RECOVERY_SECONDS = 10.0
CATCH_UP_SECONDS = 120.0
CALM_SECONDS = 600.0
LOAD = {
    "SCHEDULER_MESSAGES_PER_SECOND": str(RATE),
    "SCHEDULER_INTERVAL_SECONDS": "0.1",
    "PRECONDITION_MIN_OBJECTS": "60",
    "PRECONDITION_MAX_OBJECTS": "400",
    "MIN_FILE_UUIDS": "50",
    "MAX_FILE_UUIDS": "500",
    "WORKER_CONCURRENCY": "10",
    "CONSUMER_TTL_SECONDS": "3",
    "INVENTORY_RECONCILE_SECONDS": "10",
}
PAUSE, KILL = "SIGSTOP", "SIGKILL"
FAULTS = (*(fault.value for fault in Fault if fault is not Fault.PASS), PAUSE, KILL)
BACKENDS = ("redis", "s3")


@attrs.frozen
class Trial:
    """One outage.

    Attributes:
        backend: Which one.
        fault: What happened to it.
        seconds: For how long.
        noticed: Seconds until /health named the backend as degraded; None if it never did.
        unhealthy: Answers of /health that were not 200.
        recovered: Seconds after the end until 95 % of the offered rate was done again: over
            `WINDOW_SECONDS` within `RECOVERY_SECONDS`, and from then on as long as was watched. None if
            that did not happen.
        caught_up: Seconds after the end until no more than a second's worth of messages was on the queue
            and in flight.
        retried: Messages put back to wait.
        dead: Messages that went to the dead list.
        lost: Messages that Redis forgot.
    """

    backend: str
    fault: str
    seconds: float
    noticed: float | None
    unhealthy: int
    recovered: float | None
    caught_up: float
    retried: int
    dead: int
    lost: int

    @property
    def survived(self) -> bool:
        """Whether the promise was kept."""
        return self.recovered is not None and not (self.unhealthy or self.dead or self.lost)


class Outages:
    """A loaded service between two proxies.

    Args:
        rig: Its servers; made to lead through the proxies.
        proxies: The proxy of each backend.
        service: The running service.
        health: Its health.
        patience: Seconds of calm before an outage, and at least as long it is watched afterwards.
    """

    def __init__(
        self,
        rig: Rig,
        proxies: dict[str, FaultProxy],
        service: ServiceProcess,
        health: HealthWatch,
        patience: float,
    ) -> None:
        self._rig = rig
        self._proxies = proxies
        self._service = service
        self._health = health
        self._patience = patience

    def suffer(self, backend: str, fault: str, seconds: float) -> Trial:
        """Go through one outage and return how it went."""
        self._wait_for_calm()
        before = self._figures()
        began = time.monotonic()
        with self._fault(backend, fault):
            time.sleep(seconds)
        ended = time.monotonic()
        recovered, caught_up = self._watch_recovery(ended)
        after = self._figures()
        answers = self._health.since(began)
        noticed = [at - began for at, _, degraded in answers if backend in degraded]
        return Trial(
            backend=backend,
            fault=fault,
            seconds=seconds,
            noticed=round(noticed[0], 1) if noticed else None,
            unhealthy=sum(status != 200 for _, status, _ in answers),
            recovered=recovered,
            caught_up=caught_up,
            **{name: after[name] - before[name] for name in ("retried", "dead", "lost")},
        )

    @contextmanager
    def _fault(self, backend: str, fault: str) -> Iterator[None]:
        server: RedisServer | S3Server = getattr(self._rig, f"{backend}_server")
        proxy = self._proxies[backend]
        begin: Callable[[], None]
        end: Callable[[], None]
        match fault:
            case "SIGSTOP":
                begin, end = server.pause, server.resume
            case "SIGKILL":
                begin, end = server.kill, server.restart
            case _:
                begin, end = (lambda: proxy.begin(Fault(fault))), proxy.end
        begin()
        try:
            yield
        finally:
            end()

    def _figures(self) -> dict[str, int]:
        lines = self._service.events("metrics")
        retried = lines[-1]["messages_retried"] if lines else 0
        return {"retried": retried, "dead": self._rig.sizes()["dead"], "lost": self._rig.books()["lost"]}

    def _done(self) -> int:
        books = self._rig.books()
        return books["processed"] + books["missed"]

    def _wait_for_calm(self) -> None:
        wait_until(lambda: self._backlog() <= RATE, CALM_SECONDS, lambda: f"{self._rig.sizes()}")
        time.sleep(self._patience)

    def _backlog(self) -> int:
        found = self._rig.sizes()
        return found["queue"] + found["in_flight"]

    def _watch_recovery(self, ended: float) -> tuple[float | None, float]:
        samples: list[tuple[float, int]] = []
        recovered = caught_up = None
        while recovered is None or caught_up is None or samples[-1][0] < self._patience:
            now = time.monotonic() - ended
            samples.append((now, self._done()))
            recovered = full_rate_since(samples, RATE)
            if caught_up is None and self._backlog() <= RATE:
                caught_up = now
            if now > CATCH_UP_SECONDS:
                break
            time.sleep(0.1)
        if recovered is not None and recovered + WINDOW_SECONDS > RECOVERY_SECONDS:
            recovered = None
        return recovered, round(samples[-1][0] if caught_up is None else caught_up, 1)


def full_rate_since(samples: Sequence[tuple[float, int]], rate: float) -> float | None:
    """Return since when 95 % of a rate is done: over the first window, and over all the time since.

    Args:
        samples: Seconds, and messages done until then, in order of time.
        rate: Messages a second that are offered.

    Returns:
        The beginning of the first such window, in seconds, or None.
    """

    def full(first: tuple[float, int], last: tuple[float, int]) -> bool:
        return last[1] - first[1] >= 0.95 * rate * (last[0] - first[0])

    for sample in samples:
        window = next((each for each in samples if each[0] >= sample[0] + WINDOW_SECONDS), None)
        if window is None:
            return None
        if full(sample, window) and full(sample, samples[-1]):
            return round(sample[0], 1)
    return None


@contextmanager
def outages(
    redis_server: RedisServer, s3_server: S3Server, name: str, folder: Path, patience: float
) -> Iterator[Outages]:
    """Put proxies and a loaded service upon two servers; at the end it has stopped well."""
    with ExitStack() as stack:
        rig = Rig.on(redis_server, s3_server, name, folder)
        proxies = {
            "redis": stack.enter_context(FaultProxy(redis_server.port)),
            "s3": stack.enter_context(FaultProxy(s3_server.port)),
        }
        through = {
            "REDIS_ENDPOINT": redis_server.url.replace(
                f":{redis_server.port}/", f":{proxies['redis'].port}/"
            ),
            "S3_ENDPOINT_URL": f"http://127.0.0.1:{proxies['s3'].port}",
        }
        service = stack.enter_context(rig.service(environ={**LOAD, **through}))
        url = service.wait_for("service_started", seconds=60)["health"]
        service.wait_for("precondition_met", seconds=60)
        health = stack.enter_context(HealthWatch(url))
        yield Outages(rig, proxies, service, health, patience)
        service.process.terminate()
        assert service.wait(60) == 0, service.complaints
        assert all(line["ledger"]["difference"] == 0 for line in service.events("metrics"))
        assert not service.events("task_crashed")
    rig.drain(120)
