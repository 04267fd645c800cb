"""The complete plan of `tune`: baseline, search, sweep, experiments, costs. Pure.

Each part has a share of the time and ends with its results so far when that runs out. The main questions (how
much, and why) are answered first. An interrupted plan still logs its results.
"""

from collections.abc import Callable, Mapping, Sequence

import attrs

from loadtest_trio.tune.plan import cost_stages, littles_law, scaling
from loadtest_trio.tune.plan.criteria import Limits
from loadtest_trio.tune.plan.explanation import CONFIGURATION
from loadtest_trio.tune.plan.observations import Observation
from loadtest_trio.tune.plan.scaling import MIN_CONCURRENCIES, Point
from loadtest_trio.tune.plan.search import Saturation, Search, StepDurations
from loadtest_trio.tune.plan.steps import (
    Kind,
    Plan,
    PlanInterruptedError,
    Step,
    TuneEvent,
    measured,
    stage_event,
)
from loadtest_trio.tune.plan.switchback import Design, Trials
from loadtest_trio.tune.plan.verdict import decide

# The search stops bisecting early enough for two confirmations before the sweep has to begin. Costs are
# measured completely or not at all: of the default 270 s, they begin before 237 s and take 40 s.
_BISECT_UNTIL, _SWEEP_UNTIL, _EXPERIMENTS_UNTIL, _COSTS_FROM = 0.25, 0.45, 0.84, 0.98
MAX_WORKERS = 256
_MIN_SPEEDUP = 1.05  # a doubling of workers that gains less than 5 % counts as no gain
_FIRST_RATE = 0.5  # share of the closed loop's throughput
_SWEEP_STEP = 0.8  # share of the other steps' length: the sweep has many, and one fit uses them all


@attrs.frozen(kw_only=True)
class Goal:
    """The parameters of a search.

    Attributes:
        workers: The configured concurrency.
        mix: The configured mix, operation -> weight.
        limits: Criteria for a step to pass.
        durations: How long the steps of the search take.
        seconds: Maximum duration of the whole plan.
        step_seconds: Duration of a closed loop or a cost stage.
        design: How the windows of experiments are arranged.
        most_workers: Upper limit of the sweep.
    """

    workers: int
    mix: Mapping[str, float]
    limits: Limits = attrs.field(factory=Limits)
    durations: StepDurations = attrs.field(factory=StepDurations)
    seconds: float = 270.0
    step_seconds: float = 3.0
    design: Design = attrs.field(factory=Design)
    most_workers: int = MAX_WORKERS


def tune(goal: Goal, clock: Callable[[], float]) -> Plan[None]:
    """Find the saturation point and name the bottleneck.

    Args:
        goal: The parameters of the search.
        clock: Monotonic seconds.
    """
    began = clock()

    def past(share: float) -> Callable[[], bool]:
        return lambda: clock() - began > share * goal.seconds

    step = Step(Kind.CALIBRATE, goal.step_seconds, goal.workers, change="closed loop")
    baseline = yield from measured(step)
    yield stage_event(step, baseline)
    first = max(1.0, _FIRST_RATE * baseline.goodput)
    search = Search(goal.workers, first, goal.limits, goal.durations, past(_BISECT_UNTIL))
    yield from _find_saturation(search)
    points = [Point(goal.workers, baseline)]
    try:
        yield from sweep(_SWEEP_STEP * goal.step_seconds, past(_SWEEP_UNTIL), points, goal.most_workers)
        yield from find_bottleneck(goal, past(_EXPERIMENTS_UNTIL), points)
    except PlanInterruptedError:
        yield from _log_scaling(points, search)
        raise
    yield from _log_scaling(points, search)
    works = [point.observation.work for point in points if point.workers == goal.workers]
    known = [work for work in works if work]
    yield from cost_stages.measure_costs(goal.workers, goal.step_seconds, goal.mix, known, past(_COSTS_FROM))


def sweep(
    seconds: float, out_of_time: Callable[[], bool], points: list[Point], most: int = MAX_WORKERS
) -> Plan[None]:
    """Double the workers of a closed loop until two doublings in a row gain nothing.

    Args:
        seconds: Duration of each step.
        out_of_time: Whether time is running out; the steps that a fit needs are always made.
        points: Receives each point.
        most: Maximum number of workers.
    """
    workers, gainless, best, count = 1, 0, 0.0, 0
    while workers <= most:
        if count >= MIN_CONCURRENCIES and (gainless >= 2 or out_of_time()):
            return
        step = Step(Kind.SWEEP, seconds, workers)
        point = Point(workers, (yield from measured(step)))
        yield stage_event(step, point.observation)
        points.append(point)
        gainless = 0 if point.rate > _MIN_SPEEDUP * best else gainless + 1
        best, count, workers = max(best, point.rate), count + 1, workers * 2


def _find_saturation(search: Search) -> Plan[None]:
    try:
        found = yield from search.run()
    except PlanInterruptedError:
        yield _saturation_event(search.known(), search.workers)
        raise
    yield _saturation_event(found, search.workers)


def _log_scaling(points: Sequence[Point], search: Search) -> Plan[None]:
    found = scaling.scaling(points)
    if found:
        law = littles_law.check(
            [seen for _, seen in search.sustained] + [each.observation for each in points]
        )
        yield attrs.evolve(found, fields=found.fields | ({"littles_law": law} if law else {}))


def find_bottleneck(
    goal: Goal, out_of_time: Callable[[], bool], points: list[Point] | None = None
) -> Plan[Observation]:
    """Name the bottleneck, and if it is the configuration, the one that would come next.

    Args:
        goal: The parameters of the search.
        out_of_time: Whether time is running out.
        points: The closed loops measured so far; those measured here are added.

    Returns:
        The observation of the saturated system.
    """
    points = [] if points is None else points
    swept = max(points, key=lambda point: point.rate, default=None)
    trials = Trials(goal.workers, goal.design)
    yield from _run_trials(trials, out_of_time, points)
    verdict = decide(trials.baseline, trials.found)
    yield verdict.event()
    if verdict.bottleneck == CONFIGURATION and swept and swept.workers > goal.workers and not out_of_time():
        beyond = Trials(swept.workers, goal.design)
        yield from _run_trials(beyond, lambda: True, points)
        after = decide(beyond.baseline, beyond.found).event()
        yield TuneEvent("tune_next_verdict", after.fields | {"workers": swept.workers})
    return trials.baseline


def _run_trials(trials: Trials, out_of_time: Callable[[], bool], points: list[Point]) -> Plan[None]:
    try:
        yield from trials.run(out_of_time)
    finally:
        points += [Point(workers, seen) for workers, seen in trials.unchanged]


def _saturation_event(found: Saturation, workers: int) -> TuneEvent:
    return TuneEvent(
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
            **_normalised(found),
        },
    )


def _normalised(found: Saturation) -> dict[str, float | None]:
    """Return the host's speed, the rate normalised to speed 1, and the rate's interval both ways."""
    normalised = found.goodput / found.speed
    low, high = found.interval or (None, None)
    bounds = (None, None) if low is None or high is None else (min(low, normalised), max(high, normalised))
    return {
        "speed": round(found.speed, 4),
        "rate_normalised": round(normalised, 2),
        **{
            name: end and round(end, 2)
            for name, end in zip(("low_normalised", "high_normalised"), bounds, strict=True)
        },
        **{
            name: end and round(end * found.speed, 2)
            for name, end in zip(("low", "high"), bounds, strict=True)
        },
    }
