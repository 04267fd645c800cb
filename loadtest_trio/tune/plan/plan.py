"""The whole of `tune`: baseline, search, sweep, experiments, costs. Pure.

Each part has its share of the time. When time runs out a part ends with what it knows, and the parts
that answer the first questions (how much, why) come before those that answer the next ones. A plan that
is interrupted says what it has found by then.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from loadtest_trio.tune.plan import costs, littles_law, scaling
from loadtest_trio.tune.plan.criteria import Limits
from loadtest_trio.tune.plan.experiments import Trials
from loadtest_trio.tune.plan.reasons import CONFIGURATION, MIXED
from loadtest_trio.tune.plan.scaling import Point
from loadtest_trio.tune.plan.search import Pace, Saturation, Search
from loadtest_trio.tune.plan.stage import stage
from loadtest_trio.tune.plan.steps import (
    Finding,
    Kind,
    Observation,
    Plan,
    PlanInterruptedError,
    Step,
    measured,
)
from loadtest_trio.tune.plan.sweep import MOST_WORKERS, sweep
from loadtest_trio.tune.plan.verdict import decide

# The search stops bisecting early enough for two confirmations before the sweep has to begin. Costs are
# measured whole or not at all: with the default of 210 s, the last part begins before 206 s and takes 40.
_BISECT_UNTIL, _SWEEP_UNTIL, _EXPERIMENTS_UNTIL, _COSTS_FROM = 0.32, 0.58, 0.78, 0.98
_FIRST_RATE = 0.5  # of what the closed loop does
_SWEEP_STEP = 0.8  # of the other steps' length: the sweep has many, and they hold each other up


@attrs.frozen(kw_only=True)
class Goal:
    """What is asked.

    Attributes:
        workers: The configured concurrency.
        mix: The configured mix, operation -> weight.
        limits: What the system has to keep.
        pace: How long the steps of the search take.
        seconds: How long all of it may take.
        step_seconds: Of an experiment, a cost stage.
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
    most_workers: int = MOST_WORKERS


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
    search = Search(goal.workers, first, goal.limits, goal.pace, past(_BISECT_UNTIL))
    yield from _find_saturation(search)
    points = [Point(goal.workers, baseline)]
    try:
        yield from sweep(_SWEEP_STEP * goal.step_seconds, past(_SWEEP_UNTIL), points, goal.most_workers)
        yield from explain(goal, past(_EXPERIMENTS_UNTIL), points)
    except PlanInterruptedError:
        yield from _say_scaling(points, search)
        raise
    yield from _say_scaling(points, search)
    alike = [point.observation.work for point in points if point.workers == goal.workers]
    known = [work for work in alike if work]
    yield from costs.measure(goal.workers, goal.step_seconds, goal.mix, known, past(_COSTS_FROM))


def _find_saturation(search: Search) -> Plan[None]:
    try:
        found = yield from search.run()
    except PlanInterruptedError:
        yield _saturation(search.known(), search.workers)
        raise
    yield _saturation(found, search.workers)


def _say_scaling(points: Sequence[Point], search: Search) -> Plan[None]:
    found = scaling.scaling(points)
    if found:
        law = littles_law.check([seen for _, seen in search.kept] + [each.observation for each in points])
        yield attrs.evolve(found, fields=found.fields | ({"littles_law": law} if law else {}))


def explain(goal: Goal, hurry: Callable[[], bool], points: list[Point] | None = None) -> Plan[Observation]:
    """Name the bottleneck; if it is the configuration, also what would be the next one.

    Args:
        goal: What is asked.
        hurry: Whether time is running out.
        points: Closed loops that were measured; those measured here go there too.

    Returns:
        The saturated system.
    """
    points = [] if points is None else points
    swept = max(points, key=lambda point: point.rate, default=None)
    trials = Trials(goal.workers, goal.step_seconds)
    yield from _conduct(trials, goal.rounds, hurry, points)
    verdict = decide(trials.baseline, trials.found)
    yield verdict.finding()
    if verdict.bottleneck == CONFIGURATION and swept and swept.workers > goal.workers and not hurry():
        beyond = Trials(swept.workers, goal.step_seconds)
        yield from _conduct(beyond, 1, hurry, points)
        after = decide(beyond.baseline, beyond.found).finding()
        yield Finding("tune_next_verdict", after.fields | {"workers": swept.workers})
    return trials.baseline


def _conduct(trials: Trials, rounds: int, hurry: Callable[[], bool], points: list[Point]) -> Plan[None]:
    def clear(*found: Any) -> bool:
        return decide(*found).bottleneck != MIXED

    try:
        yield from trials.run(rounds, hurry, clear)
    finally:
        points += [Point(workers, seen) for workers, seen in trials.unchanged]


def _saturation(found: Saturation, workers: int) -> Finding:
    return Finding(
        "tune_saturation",
        {
            "workers": workers,
            "rate": round(found.goodput, 2),
            "offered_per_second": round(found.offered, 2),
            "failed_at": round(found.failed_at, 2),
            "reasons": list(found.reasons),
            "confirmed": found.confirmed,
            "windows": found.windows,
            "windows_passed": found.windows_passed,
            "p99_ms": found.observation.p99_ms if found.observation else None,
            "cpu_wait": round(found.cpu_wait, 4),
        },
    )
