"""Experiments that change one resource and measure the effect on throughput. Pure.

Each change is large enough to stand out from noise: burning 5 % of a core would drown in the 10 % by which
one second differs from the next. The baseline is measured again between experiments, so that drift (a disk
that fills up, a noisy neighbour) is not mistaken for an effect.
"""

from collections.abc import Callable
from functools import reduce
from math import ceil

import attrs

from loadtest_trio.tune.plan.elasticity import Elasticity, drift_of, elasticity, mean_rate
from loadtest_trio.tune.plan.observations import Observation, Slice, join
from loadtest_trio.tune.plan.steps import (
    Handicap,
    Kind,
    Plan,
    PlanInterruptedError,
    Step,
    TuneEvent,
    measured,
    stage_event,
)

BURN = 0.25
HALF = 0.5
_MIN_REDIS_MS, _MIN_S3_MS = 1.0, 2.0
_EXTRA_ROUNDS = 2
_BASELINE_EVERY = 2  # experiments; also at both ends, so that one round has four baselines


@attrs.frozen
class Experiment:
    """One change of one resource.

    Attributes:
        name: ``cpu``, ``size``, ``redis``, ``s3``, ``more workers`` or ``fewer workers``.
        change: The change in words.
        workers: Concurrency.
        handicap: What is slowed down.
        factor: Factor on the resource; its logarithm is the elasticity's denominator. Below 1 the resource
            becomes scarcer, and throughput is expected to fall.
    """

    name: str
    change: str
    workers: int
    handicap: Handicap
    factor: float


IsClear = Callable[[Observation, dict[str, Elasticity]], bool]


def design(workers: int, baseline: Observation) -> list[Experiment]:
    """Return the experiments for a system that behaves like `baseline`."""
    usage = baseline.usage
    redis, s3 = max(usage.redis_ms, 0.1), max(usage.s3_ms, 0.1)
    more_redis, more_s3 = max(_MIN_REDIS_MS, redis / 2), max(_MIN_S3_MS, s3 / 2)
    more, fewer = max(workers + 1, ceil(1.25 * workers)), max(1, int(0.75 * workers))
    none = Handicap()
    slow_redis, slow_s3 = Handicap(redis_seconds=more_redis / 1000), Handicap(s3_seconds=more_s3 / 1000)
    redis_words, s3_words = f"+{more_redis:.3g} ms on Redis calls", f"+{more_s3:.3g} ms on S3 requests"
    found = [
        Experiment("cpu", f"{BURN:.0%} of a core burnt", workers, Handicap(cpu=BURN), 1 - BURN),
        Experiment("size", "half the file size", workers, Handicap(size=HALF), 1 / HALF),
        Experiment("redis", redis_words, workers, slow_redis, redis / (redis + more_redis)),
        Experiment("s3", s3_words, workers, slow_s3, s3 / (s3 + more_s3)),
        Experiment("more workers", f"{more} instead of {workers} workers", more, none, more / workers),
    ]
    if fewer < workers:
        change = f"{fewer} instead of {workers} workers"
        found.append(Experiment("fewer workers", change, fewer, none, fewer / workers))
    return found


@attrs.define
class Trials:
    """The experiments at one concurrency, and their results so far.

    Args:
        workers: Concurrency of the baseline.
        seconds: Duration of each step.

    Attributes:
        baselines: The observation of each baseline step.
        unchanged: Concurrency and observation of every step without a handicap.
        found: Experiment name -> elasticity, as of the last complete round.
    """

    workers: int
    seconds: float
    baselines: list[Observation] = attrs.field(factory=list, init=False)
    unchanged: list[tuple[int, Observation]] = attrs.field(factory=list, init=False)
    found: dict[str, Elasticity] = attrs.field(factory=dict, init=False)
    _made: dict[Experiment, list[Slice]] = attrs.field(factory=dict, init=False)

    @property
    def baseline(self) -> Observation:
        """All baseline steps joined into one."""
        return reduce(join, self.baselines)

    def run(
        self, rounds: int, out_of_time: Callable[[], bool], clear: IsClear = lambda _, __: True
    ) -> Plan[None]:
        """Make all experiments with baselines in between; log them at the end or when interrupted.

        Args:
            rounds: Minimum number of rounds, unless time runs out.
            out_of_time: Whether time is running out; the first round is always completed.
            clear: Whether the results are conclusive; if not, up to two more rounds are made.
        """
        try:
            yield from self._baseline()
            for number in range(rounds + _EXTRA_ROUNDS):
                if number and (out_of_time() or (number >= rounds and clear(self.baseline, self.found))):
                    break
                yield from self._round(number + 1)
        except PlanInterruptedError:
            yield from self._events(self._elasticities(1))
            raise
        yield from self._events(self.found)

    def _round(self, number: int) -> Plan[None]:
        experiments = list(self._made) or design(self.workers, self.baselines[0])
        for place, each in enumerate(experiments):
            if place and place % _BASELINE_EVERY == 0:
                yield from self._baseline()
            seen = yield from self._measure(each.workers, each.handicap, each.change)
            self._made.setdefault(each, []).extend(seen.slices)
        yield from self._baseline()
        self.found = self._elasticities(number)

    def _baseline(self) -> Plan[None]:
        self.baselines.append((yield from self._measure(self.workers, Handicap(), "baseline")))

    def _measure(self, workers: int, handicap: Handicap, change: str) -> Plan[Observation]:
        step = Step(Kind.EXPERIMENT, self.seconds, workers, handicap=handicap, change=change)
        seen = yield from measured(step)
        yield stage_event(step, seen)
        if handicap == Handicap():
            self.unchanged.append((workers, seen))
        return seen

    def _elasticities(self, rounds: int) -> dict[str, Elasticity]:
        drift = drift_of([each.goodput for each in self.baselines], rounds)
        return {
            each.name: elasticity(self.baseline.slices, slices, each.factor, drift)
            for each, slices in self._made.items()
        }

    def _events(self, found: dict[str, Elasticity]) -> Plan[None]:
        for each, slices in self._made.items():
            yield _experiment_event(
                each, mean_rate(self.baseline.slices), mean_rate(slices), found[each.name]
            )


def _experiment_event(experiment: Experiment, before: float, after: float, found: Elasticity) -> TuneEvent:
    return TuneEvent(
        "tune_experiment",
        {
            "experiment": experiment.name,
            "change": experiment.change,
            "before_per_second": round(before, 2),
            "after_per_second": round(after, 2),
            "factor": round(experiment.factor, 4),
            "elasticity": round(found.value, 3),
            "low": round(found.low, 3),
            "high": round(found.high, 3),
        },
    )
