"""Services with a known capacity, in virtual time: they answer a plan's steps as the real one would."""

import heapq
from collections.abc import Callable
from random import Random
from typing import Any

import attrs
import pytest

from loadtest_trio.tune.plan.host import Probe
from loadtest_trio.tune.plan.observations import Observation, Slice, Usage
from loadtest_trio.tune.plan.steps import Plan, Step, TuneEvent

WARM_UP = 1.0


@attrs.define
class Simulation:
    """A service of which every slice is known.

    Args:
        serve: From the step, the seconds of a slice, the messages waiting at its beginning and those
            that come during it, to those done in it. Called slice after slice.
        usage: What was busy, from the step and the rate done.
        latency_ms: End-to-end p99 from the backlog and the rate done.
        errors: Failed attempts a second, from the step and the rate offered.
        work: What was done for the CPU, from the step and the messages done.
        speed: The host's speed by the clock; what is served is multiplied by it. Without it nothing probes.
    """

    serve: Callable[[Step, float, int, int], int]
    usage: Callable[[Step, float], Usage] = lambda step, rate: Usage()
    latency_ms: Callable[[int, float], float] = lambda backlog, rate: 1000 * backlog / max(rate, 1)
    errors: Callable[[Step, float], float] = lambda step, offered: 0.0
    work: Callable[[Step, int], Any] = lambda step, done: None
    speed: Callable[[float], float] | None = None
    slice_seconds: float = 1.0
    clock: float = 0.0
    backlog: int = 0
    steps: list[Step] = attrs.field(factory=list)
    events: list[TuneEvent] = attrs.field(factory=list)
    _carried: float = 0.0

    def measure(self, step: Step) -> Observation:
        self.steps.append(step)
        if not step.seconds:
            self.backlog = 0
            self.clock += 1
            return Observation(slices=())
        before = self._probe()
        if not step.continues:
            self.backlog = 0
            self._slice(step, step.switch.guard_seconds if step.switch else WARM_UP)
        count = max(1, round(step.seconds / self.slice_seconds))
        slices = tuple(self._slice(step, step.seconds / count) for _ in range(count))
        done = sum(each.done for each in slices) / step.seconds
        offered = sum(each.created for each in slices) / step.seconds
        latency = max(self.latency_ms(each.backlog, each.rate) for each in slices)
        failed = round(self.errors(step, offered) * step.seconds)
        return Observation(
            slices=slices,
            p99_ms=latency,
            mean_ms=latency / 2,
            errors=failed,
            usage=self.usage(step, done),
            work=self.work(step, sum(each.done for each in slices)),
            probes=(*before, *self._probe()),
        )

    def _probe(self) -> tuple[Probe, ...]:
        return (Probe(self.speed(self.clock), 15.0, 15.0),) if self.speed else ()

    def _served(self, step: Step, seconds: float, waiting: int, created: int) -> int:
        speed = self.speed(self.clock) if self.speed else 1.0
        return round(speed * self.serve(step, seconds, waiting, created))

    def _slice(self, step: Step, seconds: float) -> Slice:
        self.clock += seconds
        waiting = self.backlog
        if step.rate is None:
            done = self._served(step, seconds, 10**9, 0)
            return Slice(seconds, done, done, 1000)
        self._carried += step.rate * seconds
        created = int(self._carried)
        self._carried -= created
        done = min(waiting + created, self._served(step, seconds, waiting, created))
        self.backlog = waiting + created - done
        return Slice(seconds, created, done, self.backlog)

    def run(self, plan: Plan[Any]) -> Any:
        """Answer a plan to its end and return its result."""
        answer: Observation | None = None
        while True:
            try:
                item = plan.send(answer)
            except StopIteration as end:
                return end.value
            if isinstance(item, TuneEvent):
                self.events.append(item)
                answer = None
            else:
                answer = self.measure(item)


def wall(capacity: float, noise: float, rng: Random) -> Simulation:
    """A hard CPU wall: so many messages a second, give or take independent noise every second."""

    def serve(step: Step, seconds: float, waiting: int, created: int) -> int:
        return max(0, round(capacity * seconds * rng.gauss(1, noise / seconds**0.5)))

    return Simulation(serve)


class _Servers:
    """M/M/c: each of c servers takes an exponential time; what is under way goes on into the next slice."""

    def __init__(self, servers: int, service_rate: float, noise: float, rng: Random) -> None:
        self._servers, self._rate, self._noise, self._rng = servers, service_rate, noise, rng
        self._now = 0.0
        self._free_at = [0.0] * servers
        self._arrivals: list[float] = []

    def __call__(self, step: Step, seconds: float, waiting: int, created: int) -> int:
        end = self._now + seconds
        if waiting == 0:
            self._arrivals.clear()
        if created == 0 and waiting >= 10**9:
            self._arrivals = [self._now] * round(3 * self._servers * self._rate * seconds)
        self._arrivals += [self._now + seconds * k / created for k in range(created)]
        pace = self._rate * max(0.1, self._rng.gauss(1, self._noise / seconds**0.5))
        done, heap = 0, [max(at, self._now) for at in self._free_at]
        heapq.heapify(heap)
        taken = 0
        for arrival in self._arrivals:
            begin = max(heap[0], arrival)
            if begin >= end:
                break
            heapq.heapreplace(heap, begin + self._rng.expovariate(pace))
            taken += 1
            done += 1
        del self._arrivals[:taken]
        self._free_at, self._now = heap, end
        return done


def mmc(servers: int, service_rate: float, noise: float, rng: Random) -> Simulation:
    """M/M/c with capacity ``servers * service_rate``, its pace disturbed by noise every second."""
    return Simulation(_Servers(servers, service_rate, noise, rng))


@attrs.define
class Modelled:
    """A service made of resources with known limits; the scarcest one counts.

    Attributes:
        cpu_ms: CPU a message.
        redis_ms: One Redis call; a claim takes up to 32 messages, and not more than there are workers.
        s3_ms: One message's S3 requests without load.
        s3_capacity: Requests a second that S3 can do.
        throttle: Requests a second above which S3 answers 503.
        bandwidth: Bytes a second.
        size: Bytes a message.
        noise: By which each second differs.
    """

    rng: Random
    cpu_ms: float = 0.5
    redis_ms: float = 0.3
    s3_ms: float = 5.0
    s3_capacity: float = 1e6
    throttle: float = 1e6
    bandwidth: float = 1e12
    size: float = 200_000.0
    noise: float = 0.1

    def limits(self, step: Step) -> dict[str, float]:
        change, workers = step.handicap, step.workers
        s3_ms = self.s3_ms + 1000 * change.s3_seconds + 1000 * self.size * change.size / self.bandwidth
        return {
            "cpu": (1 - change.cpu) * 1000 / self.cpu_ms,
            "redis": 1000 * min(32, workers) / (self.redis_ms + 1000 * change.redis_seconds),
            "s3": self.s3_capacity,
            "throttle": self.throttle,
            "bandwidth": self.bandwidth / (self.size * change.size),
            "workers": 1000 * workers / (s3_ms + self.cpu_ms),
        }

    def capacity(self, step: Step) -> float:
        return float(sum(limit**-8.0 for limit in self.limits(step).values()) ** (-1 / 8))

    def serve(self, step: Step, seconds: float, waiting: int, created: int) -> int:
        noise = self.rng.gauss(1, self.noise / seconds**0.5)
        return max(0, round(self.capacity(step) * seconds * noise))

    def usage(self, step: Step, rate: float) -> Usage:
        limits = self.limits(step)
        scarce = min(limits, key=limits.__getitem__)
        slots = 1.0 if scarce != "redis" else rate / limits["workers"]
        inside_ms = 1000 * step.workers * slots / max(rate, 1.0)
        return Usage(
            cpu=min(1.0, rate * self.cpu_ms / 1000 + step.handicap.cpu),
            slots=slots,
            s3_share=0.9,
            s3_ms=0.9 * inside_ms,
            get_ms=0.9 * inside_ms,
            first_byte_ms=min(0.9 * inside_ms, self.s3_ms) if scarce == "bandwidth" else 0.8 * inside_ms,
            throttled=0.3 if scarce == "throttle" else 0.0,
            redis_busy=rate / limits["redis"],
            redis_ms=self.redis_ms + 1000 * step.handicap.redis_seconds,
        )

    def simulation(self) -> Simulation:
        return Simulation(self.serve, self.usage)


@pytest.fixture
def simulated() -> Any:
    """The makers: ``simulated.wall(capacity, noise, rng)``, ``simulated.mmc(…)``, and the classes."""

    class Makers:
        pass

    makers = Makers()
    for each in (wall, mmc, Simulation, Modelled):
        setattr(makers, each.__name__, each)
    return makers
