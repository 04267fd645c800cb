"""``tune --users``: finds the highest number of users that a service sustains, and what gave in. Pure.

It uses the rate search (`search.Search`), where a rate is a number of users or of new users per second.
Goodput under overload is counted in jobs, so it is not tried as the next rate.
"""

from collections.abc import Callable
from typing import TypeVar

import attrs

from loadtest_trio.tune.plan.criteria import Limits
from loadtest_trio.tune.plan.observations import Observation
from loadtest_trio.tune.plan.search import Saturation, Search, StepDurations
from loadtest_trio.tune.plan.steps import Plan, PlanInterruptedError, Step, TuneEvent

T = TypeVar("T")

_SEARCH_UNTIL = 0.7  # share of the time; the rest is for the confirmations
_UNKNOWN_CAUSE = "not known"


@attrs.frozen(kw_only=True)
class UsersGoal:
    """The parameters of a search for users.

    Attributes:
        start: Number of users in the first step.
        unit: What a level counts: ``users``, or ``new users a second``.
        limits: Criteria for a step to pass.
        durations: How long steps take.
        seconds: Maximum duration of the search.
    """

    start: float = 20.0
    unit: str = "users"
    limits: Limits = attrs.field(factory=Limits)
    durations: StepDurations = attrs.field(
        factory=lambda: StepDurations(8.0, 16.0, 8.0, resolution=1.1, confirmations=3)
    )
    seconds: float = 600.0


def tune_users(goal: UsersGoal, clock: Callable[[], float]) -> Plan[None]:
    """Find the number of users that the service sustains, confirm it, and name what gave in.

    Args:
        goal: The parameters of the search.
        clock: Monotonic seconds.
    """
    began = clock()
    search = Search(
        1,
        goal.start,
        goal.limits,
        goal.durations,
        lambda: clock() - began > _SEARCH_UNTIL * goal.seconds,
        guesses_left=0,
    )
    seen: list[tuple[float, Observation]] = []
    try:
        found = yield from _in_users(search.run(), seen, goal.unit)
    except PlanInterruptedError:
        yield _verdict(search.known(), seen, goal)
        raise
    yield _verdict(found, seen, goal)


def _in_users(plan: Plan[T], seen: list[tuple[float, Observation]], unit: str) -> Plan[T]:
    """Run a plan, collect the observations of its steps, and express its stages in users."""
    answer: Observation | None = None
    while True:
        try:
            item = plan.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result
        if isinstance(item, TuneEvent):
            answer = None
            yield _users_stage(item, unit)
            continue
        answer = yield item
        if isinstance(item, Step) and item.rate is not None and answer is not None and answer.slices:
            seen.append((item.rate, answer))


def _users_stage(event: TuneEvent, unit: str) -> TuneEvent:
    fields = event.fields
    kept = ("kind", "seconds", "passed", "reasons", "backlog", "p99_ms", "error_percent", "cpu_percent")
    return TuneEvent(
        "tune_users_stage",
        {
            "wanted_level": round(fields["nominal_per_second"]),
            "unit": unit,
            "done_per_second": fields["goodput_per_second"],
            **{name: fields[name] for name in kept},
        },
    )


def _verdict(found: Saturation, seen: list[tuple[float, Observation]], goal: UsersGoal) -> TuneEvent:
    failed = [(rate, each) for rate, each in seen if each.faults and rate > found.offered]
    _, first = min(failed, key=lambda each: each[0], default=(0.0, None))
    return TuneEvent(
        "tune_users_verdict",
        {
            "sustained": round(found.offered),
            "unit": goal.unit,
            "done_per_second": round(found.goodput, 2),
            "confirmed": found.confirmed,
            "windows": found.windows,
            "windows_passed": found.windows_passed,
            "failed_at": round(min((rate for rate, _ in failed), default=0.0)),
            "reasons": list(first.faults if first else found.reasons),
            "bottleneck": (first.cause if first else "") or _UNKNOWN_CAUSE,
        },
    )
