"""What the planner asks for, and what it gets back. Pure data.

A plan is a generator: it yields steps and findings, is sent an observation for each step, and returns
its result. So it reads like the search it makes, is composed with ``yield from``, needs no clock but the
one it is given, and runs in virtual time against simulated services.
"""

from collections.abc import Generator, Mapping
from enum import StrEnum
from typing import Any, TypeVar

import attrs

T = TypeVar("T")


class Kind(StrEnum):
    """Why a step is made."""

    CALIBRATE = "calibrate"
    CLIMB = "climb"
    DRAIN = "drain"
    PROBE_AGAIN = "probe again"
    BISECT = "bisect"
    CONFIRM = "confirm"
    SWEEP = "sweep"
    EXPERIMENT = "experiment"
    COST = "cost"


@attrs.frozen
class Handicap:
    """What is made worse on purpose, to see whether it counts.

    Attributes:
        cpu: Share of a core that is burnt on the service's thread.
        redis_seconds: Added to every Redis call, in its thread.
        s3_seconds: Added to every S3 request.
        size: Factor on the size of files.
    """

    cpu: float = 0.0
    redis_seconds: float = 0.0
    s3_seconds: float = 0.0
    size: float = 1.0


@attrs.frozen
class Step:
    """One stretch of load.

    Attributes:
        kind: Why.
        seconds: How long to measure, after the warm-up; 0: only let the system come to rest.
        workers: Concurrency.
        rate: Offered messages a second; None: a closed loop (the queue is kept filled).
        handicap: What is made worse.
        mix: Operation -> weight, where it is not the configured one.
        continues: Go on with the step before as it runs, without a warm-up.
        change: What differs from the baseline, in words.
    """

    kind: Kind
    seconds: float
    workers: int
    rate: float | None = None
    handicap: Handicap = Handicap()
    mix: Mapping[str, float] | None = None
    continues: bool = False
    change: str = ""


@attrs.frozen
class Slice:
    """One interval between two readings of the books.

    Attributes:
        seconds: Its length.
        created: Messages enqueued in it.
        done: Messages processed or missed in it.
        backlog: Messages in the system at its end: waiting, delayed or in flight.
    """

    seconds: float
    created: int
    done: int
    backlog: int

    @property
    def rate(self) -> float:
        """Messages done a second."""
        return self.done / self.seconds


@attrs.frozen(kw_only=True)
class Usage:
    """What the service and its backends were busy with; shares are of 1.

    Attributes:
        cpu: CPU seconds of the process over seconds.
        cpu_wait: Share of time the main thread was ready to run and did not get a core.
        slots: Mean share of workers at work.
        s3_share: S3 requests' share of the workers' time.
        s3_ms: Mean S3 request, in milliseconds.
        first_byte_ms: Mean time to the first byte of a GET; None when not known.
        get_ms: Mean GET.
        throttled: Share of S3 requests answered with SlowDown.
        redis_busy: Share of time the busiest kind of Redis call was under way.
        redis_ms: Mean call of that kind.
        redis_server: Share of time the Redis server worked on commands; None when not known.
        loop_lag_ms: Largest lag of the event loop.
        bytes_per_second: S3 bodies moved, both ways.
        memory_mb: Resident memory.
    """

    cpu: float = 0.0
    cpu_wait: float = 0.0
    slots: float = 0.0
    s3_share: float = 0.0
    s3_ms: float = 0.0
    first_byte_ms: float | None = None
    get_ms: float = 0.0
    throttled: float = 0.0
    redis_busy: float = 0.0
    redis_ms: float = 0.0
    redis_server: float | None = None
    loop_lag_ms: float = 0.0
    bytes_per_second: float = 0.0
    memory_mb: float = 0.0


@attrs.frozen(kw_only=True)
class Observation:
    """What one step showed.

    Attributes:
        slices: The intervals measured, warm-up left out.
        p99_ms: End-to-end p99 of the whole step; None when nothing was done.
        mean_ms: Mean end-to-end time, from due to done.
        enqueue_ms: Mean time of it before the message was on the queue, and in nobody's books.
        settle_ms: Mean time after it until Redis knew, for which a message still counts as in flight.
        end_to_end: Encoded histograms of the end-to-end times, so that parts of a step can be merged.
        errors: Failed attempts.
        schedule_lag_ms: How far the scheduler fell behind in an interval; the median of the intervals,
            so that one hiccup, which it catches up with, does not count.
        usage: What was busy.
        work: What was done for the CPU spent; see `cost_model.Work`.
        faults: Why the step failed, as far as whoever measured it already knows.
        cause: What gave in, by name, where that was seen; "".
    """

    slices: tuple[Slice, ...]
    p99_ms: float | None = None
    mean_ms: float = 0.0
    enqueue_ms: float = 0.0
    settle_ms: float = 0.0
    end_to_end: tuple[str, ...] = ()
    errors: int = 0
    schedule_lag_ms: float = 0.0
    usage: Usage = Usage()
    work: Any = None
    faults: tuple[str, ...] = ()
    cause: str = ""

    @property
    def booked_ms(self) -> float:
        """Mean time for which Redis counts a message."""
        return self.mean_ms - self.enqueue_ms + self.settle_ms

    @property
    def seconds(self) -> float:
        """How long was measured."""
        return sum(each.seconds for each in self.slices)

    @property
    def offered(self) -> float:
        """Messages enqueued a second."""
        return sum(each.created for each in self.slices) / self.seconds if self.slices else 0.0

    @property
    def goodput(self) -> float:
        """Messages done a second."""
        return sum(each.done for each in self.slices) / self.seconds if self.slices else 0.0

    @property
    def error_share(self) -> float:
        """Failed attempts over all attempts, as far as they are known."""
        done = sum(each.done for each in self.slices)
        return self.errors / (self.errors + done) if self.errors else 0.0

    @property
    def backlog(self) -> int:
        """Messages in the system at the end."""
        return self.slices[-1].backlog if self.slices else 0


@attrs.frozen
class Finding:
    """A line for the log.

    Attributes:
        event: Its name.
        fields: What it says.
    """

    event: str
    fields: dict[str, Any]


class PlanInterruptedError(Exception):
    """Thrown into a plan that is cut short: it may still yield findings, and asks for no more steps."""


Plan = Generator[Step | Finding, Observation | None, T]
"""Yields a step and is sent its observation, or a finding and is sent None; returns its result."""


def measured(step: Step) -> Plan[Observation]:
    """Make one step and return what it showed."""
    observation = yield step
    if observation is None:
        raise TypeError("a step must be answered with an observation")
    return observation
