"""``tune --users``: the highest number of users that a service sustains, and what gave in. Pure.

The search is the one that finds rates (`search.Search`): a rate is a number of users here, or of new users a
second. What it may not do is take goodput under overload for the next number to try: that is in jobs.
"""

from collections.abc import Callable
from typing import TypeVar

import attrs

from loadtest_trio.tune.plan.criteria import Limits
from loadtest_trio.tune.plan.search import Pace, Saturation, Search
from loadtest_trio.tune.plan.steps import Finding, Observation, Plan, PlanInterruptedError, Step

T = TypeVar("T")

_SEARCH_UNTIL = 0.7  # of the time; the rest is for the confirmations
_NOT_SEEN = "not known"


@attrs.frozen(kw_only=True)
class UsersGoal:
    """What is asked.

    Attributes:
        start: Users to begin with.
        unit: What is counted: ``users``, or ``new users a second``.
        limits: What the service has to keep.
        pace: How long steps take.
        seconds: How long all of it may take.
    """

    start: float = 20.0
    unit: str = "users"
    limits: Limits = attrs.field(factory=Limits)
    pace: Pace = attrs.field(factory=lambda: Pace(8.0, 16.0, 8.0, resolution=1.1, confirmations=3))
    seconds: float = 600.0


def tune_users(goal: UsersGoal, clock: Callable[[], float]) -> Plan[None]:
    """Find how many users the service sustains, confirm it, and name what gave in.

    Args:
        goal: What is asked.
        clock: Monotonic seconds.
    """
    began = clock()
    search = Search(
        1,
        goal.start,
        goal.limits,
        goal.pace,
        lambda: clock() - began > _SEARCH_UNTIL * goal.seconds,
        guesses_left=0,
    )
    seen: list[tuple[float, Observation]] = []
    try:
        found = yield from _told(search.run(), seen, goal.unit)
    except PlanInterruptedError:
        yield _result(search.known(), seen, goal)
        raise
    yield _result(found, seen, goal)


def _told(plan: Plan[T], seen: list[tuple[float, Observation]], unit: str) -> Plan[T]:
    """Carry a plan out, note what its steps showed, and say its stages in users."""
    answer: Observation | None = None
    while True:
        try:
            item = plan.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result
        if isinstance(item, Finding):
            answer = None
            yield _stage(item, unit)
            continue
        answer = yield item
        if isinstance(item, Step) and item.rate is not None and answer is not None and answer.slices:
            seen.append((item.rate, answer))


def _stage(finding: Finding, unit: str) -> Finding:
    fields = finding.fields
    kept = ("kind", "seconds", "passed", "reasons", "backlog", "p99_ms", "error_percent", "cpu_percent")
    return Finding(
        "tune_users_stage",
        {
            "wanted_level": round(fields["nominal_per_second"]),
            "unit": unit,
            "done_per_second": fields["goodput_per_second"],
            **{name: fields[name] for name in kept},
        },
    )


def _result(found: Saturation, seen: list[tuple[float, Observation]], goal: UsersGoal) -> Finding:
    failed = [(rate, each) for rate, each in seen if each.faults and rate > found.offered]
    _, first = min(failed, key=lambda each: each[0], default=(0.0, None))
    return Finding(
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
            "bottleneck": (first.cause if first else "") or _NOT_SEEN,
        },
    )
