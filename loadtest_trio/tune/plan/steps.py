"""The language of plans: steps to make and events to log. Pure data.

A plan is a generator: it yields steps and events, is sent an observation for each step, and returns its
result. It therefore reads like the search it describes, is composed with ``yield from``, uses only the clock
it is given, and can be tested in virtual time against simulated services.
"""

from collections.abc import Generator, Mapping
from enum import StrEnum
from typing import Any, TypeVar

import attrs

from loadtest_trio.tune.plan.criteria import Judgement
from loadtest_trio.tune.plan.observations import Observation

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
    """A deliberate slowdown of one resource, to see whether throughput depends on it.

    Attributes:
        cpu: Share of a core burnt on the service's thread.
        redis_seconds: Delay added to every Redis call, in its thread.
        s3_seconds: Delay added to every S3 request.
        size: Factor on the file size.
    """

    cpu: float = 0.0
    redis_seconds: float = 0.0
    s3_seconds: float = 0.0
    size: float = 1.0


@attrs.frozen
class Switch:
    """A change of the running stage, in place of a new one.

    Attributes:
        guard_seconds: Time between the change and the measurement; see `switchback`.
        most_workers: Highest concurrency that the stage has to make room for.
    """

    guard_seconds: float
    most_workers: int


@attrs.frozen
class Step:
    """A period of constant load.

    Attributes:
        kind: Why it is made.
        seconds: How long to measure after the warm-up; with 0 the system only comes to rest.
        workers: Concurrency.
        rate: Offered messages per second; None runs a closed loop (the queue is kept filled).
        handicap: What is slowed down.
        mix: Operation -> weight, if it differs from the configured mix.
        continues: Extend the previous step while it still runs, without a warm-up.
        change: The difference from the baseline, in words.
        switch: How to change the running stage to this step, if the file size allows it; None always starts
            a new stage.
    """

    kind: Kind
    seconds: float
    workers: int
    rate: float | None = None
    handicap: Handicap = Handicap()
    mix: Mapping[str, float] | None = None
    continues: bool = False
    change: str = ""
    switch: Switch | None = None


@attrs.frozen
class TuneEvent:
    """A log line that a plan produces.

    Attributes:
        name: The line's ``event``.
        fields: Its other fields.
    """

    name: str
    fields: dict[str, Any]


class PlanInterruptedError(Exception):
    """Thrown into a plan that is cut short: it may still yield events, but no further steps."""


Plan = Generator[Step | TuneEvent, Observation | None, T]
"""Yields a step and is sent its observation, or yields an event and is sent None; returns its result."""


def measured(step: Step) -> Plan[Observation]:
    """Make one step and return its observation."""
    observation = yield step
    if observation is None:
        raise TypeError("a step must be answered with an observation")
    return observation


def stage_event(step: Step, observation: Observation, judgement: Judgement | None = None) -> TuneEvent:
    """Return the log line of one step.

    Args:
        step: The step.
        observation: Its measurement.
        judgement: Whether the system kept up, if that was judged.
    """
    usage = observation.usage
    return TuneEvent(
        "tune_stage",
        {
            "kind": step.kind,
            "change": step.change,
            "workers": step.workers,
            "nominal_per_second": step.rate,
            "seconds": round(observation.seconds, 3),
            "offered_per_second": round(observation.offered, 2),
            "goodput_per_second": round(observation.goodput, 2),
            "passed": judgement.passed if judgement else None,
            "reasons": list(judgement.reasons) if judgement else [],
            "backlog": observation.backlog,
            "p99_ms": observation.p99_ms,
            "mean_ms": round(observation.mean_ms, 3),
            "enqueue_ms": round(observation.enqueue_ms, 3),
            "settle_ms": round(observation.settle_ms, 3),
            "error_percent": round(100 * observation.error_share, 3),
            "schedule_lag_ms": observation.schedule_lag_ms,
            "cpu_percent": round(100 * usage.cpu, 1),
            "memory_mb": usage.memory_mb,
            "usage": {k: round(v, 4) for k, v in attrs.asdict(usage).items() if v is not None},
        },
    )
