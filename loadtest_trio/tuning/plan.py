"""The whole of `tune`: baseline, search, sweep, experiments, costs. Pure.

Each part has its share of the time. When time runs out a part ends with what it knows, and the parts
that answer the first questions (how much, why) come before those that answer the next ones.
"""

from collections.abc import Callable, Mapping, Sequence

import attrs

from loadtest_trio.tuning import costs, experiments, littles_law, scaling
from loadtest_trio.tuning.criteria import Limits
from loadtest_trio.tuning.search import WINDOWS, WINDOWS_NEEDED, Pace, Saturation, Search, stage
from loadtest_trio.tuning.steps import Finding, Kind, Observation, Plan, Step, measured
from loadtest_trio.tuning.verdict import CONFIGURATION, MIXED, decide

_SEARCH_UNTIL, _SWEEP_UNTIL, _EXPERIMENTS_UNTIL, _COSTS_UNTIL = 0.42, 0.55, 0.75, 1.15
_FIRST_RATE = 0.4  # of what the closed loop does


@attrs.frozen(kw_only=True)
class Goal:
    """What is asked.

    Attributes:
        workers: The configured concurrency.
        mix: The configured mix, operation -> weight.
        limits: What the system has to keep.
        pace: How long the steps of the search take.
        seconds: How long all of it may take.
        step_seconds: Of a step of the sweep, an experiment, a cost stage.
        rounds: How often each experiment is made.
        most_workers: The sweep goes no further.
    """

    workers: int
    mix: Mapping[str, float]
    limits: Limits = attrs.field(factory=Limits)
    pace: Pace = attrs.field(factory=Pace)
    seconds: float = 210.0
    step_seconds: float = 3.0
    rounds: int = 2
    most_workers: int = scaling.MOST_WORKERS


def tune(goal: Goal, clock: Callable[[], float]) -> Plan[None]:
    """Find the saturation point and name the bottleneck.

    Args:
        goal: What is asked.
        clock: Monotonic seconds.
    """
    began = clock()

    def past(share: float) -> Callable[[], bool]:
        return lambda: clock() - began > share * goal.seconds

    step = Step(Kind.CALIBRATE, goal.step_seconds, goal.workers, change="closed loop")
    baseline = yield from measured(step)
    yield stage(step, baseline)
    first = max(1.0, _FIRST_RATE * baseline.goodput)
    search = Search(goal.workers, first, goal.limits, goal.pace, past(_SEARCH_UNTIL))
    saturation = yield from search.run()
    yield _saturation(saturation, goal.workers)
    points = yield from scaling.sweep(goal.step_seconds, past(_SWEEP_UNTIL), goal.most_workers)
    yield from _say_scaling(points, search.kept)
    saturated = yield from explain(goal, past(_EXPERIMENTS_UNTIL), points)
    known = [each.work for each in (baseline, saturated) if each.work]
    yield from costs.measure(goal.workers, goal.step_seconds, goal.mix, known, past(_COSTS_UNTIL))


def _say_scaling(points: Sequence[scaling.Point], kept: Sequence[Observation]) -> Plan[None]:
    found = scaling.scaling(points)
    if found:
        law = littles_law.check(kept)
        yield attrs.evolve(found, fields=found.fields | ({"littles_law": law} if law else {}))


def explain(goal: Goal, hurry: Callable[[], bool], points: Sequence[scaling.Point] = ()) -> Plan[Observation]:
    """Name the bottleneck; if it is the configuration, also what would be the next one.

    Args:
        goal: What is asked.
        hurry: Whether time is running out.
        points: Of the sweep, where there was one.

    Returns:
        The saturated system.
    """
    saturated, elasticities = yield from experiments.conduct(
        goal.workers,
        goal.step_seconds,
        goal.rounds,
        hurry,
        clear=lambda *found: decide(*found).bottleneck != MIXED,
    )
    verdict = decide(saturated, elasticities)
    yield verdict.finding()
    best = max(points, key=lambda point: point.rate, default=None)
    if verdict.bottleneck == CONFIGURATION and best and best.workers > goal.workers and not hurry():
        beyond, elasticities = yield from experiments.conduct(best.workers, goal.step_seconds, 1, hurry)
        after = decide(beyond, elasticities).finding()
        yield Finding("tune_next_verdict", after.fields | {"workers": best.workers})
    return saturated


def _saturation(found: Saturation, workers: int) -> Finding:
    return Finding(
        "tune_saturation",
        {
            "workers": workers,
            "rate": round(found.goodput, 2),
            "offered_per_second": round(found.offered, 2),
            "failed_at": round(found.failed_at, 2),
            "reasons": list(found.reasons),
            "confirmed": found.windows_passed >= WINDOWS_NEEDED,
            "windows": WINDOWS,
            "windows_passed": found.windows_passed,
            "p99_ms": found.observation.p99_ms if found.observation else None,
        },
    )
