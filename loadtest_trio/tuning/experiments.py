"""Small experiments: change one thing, see what throughput does. Pure.

The elasticity of throughput to a resource is the relative change of the one over the relative change of
the other, in logarithms. 1: it is all that counts. 0: it does not count. Each change is as large as the
noise demands: a burn of 5 % of a core drowns in the 10 % by which one second differs from the next.

The baseline is measured anew between the experiments, so that what drifts (a disk that fills, a noisy
neighbour) does not pass for an effect.
"""

from collections.abc import Callable, Iterable, Sequence
from math import ceil, log, sqrt
from statistics import stdev
from typing import Any

import attrs

from loadtest_trio.reporting.extras import need
from loadtest_trio.reporting.statistics import interval, resampled_means
from loadtest_trio.tuning.search import join, stage
from loadtest_trio.tuning.steps import Finding, Handicap, Kind, Observation, Plan, Slice, Step, measured

BURN = 0.25
HALF = 0.5
_LEAST_REDIS_MS, _LEAST_S3_MS = 1.0, 2.0
_MORE_ROUNDS = 2


@attrs.frozen
class Experiment:
    """One change.

    Attributes:
        name: ``cpu``, ``size``, ``redis``, ``s3``, ``more workers`` or ``fewer workers``.
        change: In words.
        workers: Concurrency.
        handicap: What is made worse.
        factor: By what the resource changes; the elasticity's denominator is its logarithm. Below 1 the
            resource gets scarcer, so that throughput falls with it.
    """

    name: str
    change: str
    workers: int
    handicap: Handicap
    factor: float


@attrs.frozen
class Elasticity:
    """What an experiment showed.

    Attributes:
        value: The elasticity.
        low: Lower end of its 95 % interval.
        high: Upper end.
    """

    value: float
    low: float
    high: float


Clear = Callable[[Observation, dict[str, Elasticity]], bool]


def design(workers: int, baseline: Observation) -> list[Experiment]:
    """Return the experiments for a system that behaves like `baseline`."""
    usage = baseline.usage
    redis, s3 = max(usage.redis_ms, 0.1), max(usage.s3_ms, 0.1)
    more_redis, more_s3 = max(_LEAST_REDIS_MS, redis / 2), max(_LEAST_S3_MS, s3 / 2)
    more, fewer = max(workers + 1, ceil(1.25 * workers)), max(1, int(0.75 * workers))
    none = Handicap()
    found = [
        Experiment("cpu", f"{BURN:.0%} of a core burnt", workers, Handicap(cpu=BURN), 1 - BURN),
        Experiment("size", "half the file size", workers, Handicap(size=HALF), 1 / HALF),
        Experiment(
            "redis",
            f"+{more_redis:.3g} ms on Redis calls",
            workers,
            Handicap(redis_seconds=more_redis / 1000),
            redis / (redis + more_redis),
        ),
        Experiment(
            "s3",
            f"+{more_s3:.3g} ms on S3 requests",
            workers,
            Handicap(s3_seconds=more_s3 / 1000),
            s3 / (s3 + more_s3),
        ),
        Experiment("more workers", f"{more} instead of {workers} workers", more, none, more / workers),
    ]
    if fewer < workers:
        change = f"{fewer} instead of {workers} workers"
        found.append(Experiment("fewer workers", change, fewer, none, fewer / workers))
    return found


def conduct(
    workers: int, seconds: float, rounds: int, hurry: Callable[[], bool], clear: Clear = lambda _, __: True
) -> Plan[tuple[Observation, dict[str, Elasticity]]]:
    """Make all experiments, with baselines in between.

    Args:
        workers: Concurrency of the baseline.
        seconds: Of each step.
        rounds: How often each experiment is made, before anybody asks whether it is clear.
        hurry: Whether time is running out; the first round is always completed.
        clear: Whether what was found is clear; if not, up to two more rounds are made.

    Returns:
        The baseline, and each experiment's elasticity by name.
    """
    baseline = yield from _step(Step(Kind.EXPERIMENT, seconds, workers, change="baseline"))
    experiments = design(workers, baseline)
    changed: dict[str, list[Slice]] = {each.name: [] for each in experiments}
    baselines = [baseline.goodput]
    found: dict[str, Elasticity] = {}
    for number in range(rounds + _MORE_ROUNDS):
        if number and (hurry() or (number >= rounds and clear(baseline, found))):
            break
        for place, each in enumerate(experiments):
            if place in (2, 4):
                again = Step(Kind.EXPERIMENT, seconds, workers, change="baseline")
                fresh = yield from _step(again)
                baselines.append(fresh.goodput)
                baseline = join(baseline, fresh)
            step = Step(Kind.EXPERIMENT, seconds, each.workers, handicap=each.handicap, change=each.change)
            changed[each.name] += (yield from _step(step)).slices
        drift = _drift(baselines, number + 1)
        found = {
            each.name: elasticity(baseline.slices, changed[each.name], each.factor, drift)
            for each in experiments
        }
    for each in experiments:
        yield _line(each, baseline.slices, changed[each.name], found[each.name])
    return baseline, found


def _step(step: Step) -> Plan[Observation]:
    observation = yield from measured(step)
    yield stage(step, observation)
    return observation


def _drift(baselines: Sequence[float], rounds: int) -> float:
    """Return by how much the baseline's wandering alone may explain a change, in logarithms, at 95 %.

    Slices of one step say nothing about how steps differ from one another; the baselines do.
    """
    if len(baselines) < 2:
        return 0.0
    spread = stdev(log(max(rate, 0.5)) for rate in baselines)
    return 1.96 * spread * sqrt(1 / rounds + 1 / len(baselines))


def elasticity(
    before: Sequence[Slice], after: Sequence[Slice], factor: float, drift: float = 0.0
) -> Elasticity:
    """Return the elasticity with its interval.

    Args:
        before: Slices of the baseline.
        after: Slices of the experiment.
        factor: By what the resource changed.
        drift: See `_drift`; the interval is at least this wide either way.
    """
    numpy = need("numpy")
    samples: list[Any] = [numpy.log(_means(part, seed)) for seed, part in enumerate((before, after))]
    low, high = interval((samples[1] - samples[0]) / log(factor))
    value, reach = log(mean_rate(after) / mean_rate(before)) / log(factor), drift / abs(log(factor))
    return Elasticity(value, min(low, value - reach), max(high, value + reach))


def mean_rate(slices: Iterable[Slice]) -> float:
    """Return messages done a second; never 0, so that it has a logarithm."""
    parts = list(slices)
    return max(0.5, sum(each.done for each in parts)) / sum(each.seconds for each in parts)


def _means(slices: Sequence[Slice], seed: int) -> Any:
    done = [max(0.5, each.done) for each in slices]
    return resampled_means(done, [each.seconds for each in slices], seed)


def _line(
    experiment: Experiment, before: Sequence[Slice], after: Sequence[Slice], found: Elasticity
) -> Finding:
    return Finding(
        "tune_experiment",
        {
            "experiment": experiment.name,
            "change": experiment.change,
            "before_per_second": round(mean_rate(before), 2),
            "after_per_second": round(mean_rate(after), 2),
            "factor": round(experiment.factor, 4),
            "elasticity": round(found.value, 3),
            "low": round(found.low, 3),
            "high": round(found.high, 3),
        },
    )
