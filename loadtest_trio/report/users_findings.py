"""The answers: how many users, why not more, what then, does it recover. Pure.

knee        the highest step before the first that meets a stop condition
optimum     the highest step up to the knee whose p95 is at most half as much again as at first
limit       the highest throughput that was seen at all, and where
beyond      what the steps after the knee looked like
recovery    after the highest step, with fewer users again
"""

from collections.abc import Mapping, Sequence
from math import inf
from statistics import median

import attrs

from loadtest_trio.report.users_conditions import Breach, Limits, reference
from loadtest_trio.report.users_leaks import Leak, leaks
from loadtest_trio.report.users_moments import Moment
from loadtest_trio.report.users_steps import Step

_STILL_FAST = 1.5  # times the p95 of the first steps
_QUIET_MOMENTS = 3
_SETTLED_RATE = 0.75  # of the throughput of the step it is compared with
_JOB_SECONDS_SLACK = 0.5


@attrs.frozen
class Recovery:
    """What happened after the users became fewer.

    Attributes:
        users: How many were left.
        seconds: Until everything was as before; None: it was not, for as long as somebody looked.
        looked: How long somebody looked.
        why_not: What was still wrong at the end.
    """

    users: float
    seconds: float | None
    looked: float
    why_not: str = ""


@attrs.frozen
class Findings:
    """What a run has shown.

    Attributes:
        knee: The last step in which the service kept up; None: there was none.
        optimum: See the module.
        limit: The step with the highest throughput.
        gave_in: The first step that it did not keep up with; None: it always did.
        breaches: Why, for every step that met a condition.
        beyond: Steps after the knee and before the recovery.
        recovery: None: nobody looked.
        leaks: Of the target.
        limited: The steps that the generator limited.
    """

    knee: Step | None
    optimum: Step | None
    limit: Step | None
    gave_in: Step | None
    breaches: Mapping[int, Sequence[Breach]]
    beyond: Sequence[Step]
    recovery: Recovery | None
    leaks: Sequence[Leak]
    limited: Sequence[Step]


def find(steps: Sequence[Step], breaches: Mapping[int, Sequence[Breach]], limits: Limits) -> Findings:
    """Return what a run has shown.

    Args:
        steps: All of them; after the highest level, those with fewer users are the recovery.
        breaches: By the step's number.
        limits: What counted as giving in.
    """
    if not steps:
        return Findings(None, None, None, None, breaches, (), None, (), ())
    peak = max(range(len(steps)), key=lambda place: steps[place].level)
    climb = steps[: peak + 1]
    bad = next((place for place, each in enumerate(climb) if breaches.get(each.number)), None)
    kept_up = [each for each in climb[:bad] if not each.limited]
    knee = max(kept_up, key=lambda each: each.level, default=None)
    return Findings(
        knee=knee,
        optimum=_optimum(kept_up),
        limit=max(climb, key=lambda each: each.rate, default=None),
        gave_in=None if bad is None else climb[bad],
        breaches=breaches,
        beyond=() if bad is None else climb[bad:],
        recovery=recovery(climb, steps[peak + 1 :], limits),
        leaks=leaks([moment for each in steps for moment in each.all]),
        limited=[each for each in climb if each.limited],
    )


def _optimum(kept_up: Sequence[Step]) -> Step | None:
    known = [each.p95_ms for each in reference(kept_up) if each.p95_ms is not None]
    fast = [
        each
        for each in kept_up
        if not known or each.p95_ms is None or each.p95_ms <= _STILL_FAST * median(known) + 1.0
    ]
    return max(fast, key=lambda each: each.level, default=None)


def recovery(climb: Sequence[Step], after: Sequence[Step], limits: Limits) -> Recovery | None:
    """Return whether and when the service was itself again with fewer users.

    Args:
        climb: The steps up to the highest level.
        after: The steps after it.
        limits: What counts as a failure.
    """
    lower = [each for each in after if climb and each.level < climb[-1].level and each.all]
    if not lower:
        return None
    moments = [moment for each in lower for moment in each.all]
    began = moments[0].at - moments[0].seconds
    normal = _normal(climb, lower[-1].level)
    quiet = 0
    for moment in moments:
        quiet = 0 if moment.settling or _trouble(moment, normal, limits) else quiet + 1
        if quiet == _QUIET_MOMENTS:
            first = moments[moments.index(moment) - _QUIET_MOMENTS + 1]
            return Recovery(lower[-1].level, max(0.0, first.at - began), moments[-1].at - began)
    why_not = _trouble(moments[-1], normal, limits) or "it was well only at the very end"
    return Recovery(lower[-1].level, None, moments[-1].at - began, why_not)


@attrs.frozen
class Normal:
    """How the service is when it is well.

    Attributes:
        rate: Requests a second a user.
        p95_ms: Highest p95 that is well.
        job_seconds: Longest time of a job that is well; infinity where there were no jobs.
    """

    rate: float
    p95_ms: float
    job_seconds: float


def _normal(climb: Sequence[Step], level: float) -> Normal:
    near = min(climb, key=lambda each: (abs(each.level - level), each.number))
    first = [near, *reference(climb)]
    p95 = [each.p95_ms for each in first if each.p95_ms is not None]
    jobs = [each.job_seconds for each in first if each.job_seconds not in (None, inf)]
    return Normal(
        rate=near.rate / near.users if near.users else 0.0,
        p95_ms=2 * min(p95) + 10 if p95 else inf,
        job_seconds=2 * min(map(float, filter(None, jobs)), default=inf) + _JOB_SECONDS_SLACK,
    )


def _trouble(moment: Moment, normal: Normal, limits: Limits) -> str:
    """Return what is wrong in an interval, "" when nothing is."""
    if moment.failures > max(1, limits.errors * moment.requests):
        return f"{100 * moment.failures / max(1, moment.requests):.3g} % of the requests fail"
    if moment.p95_ms is not None and moment.p95_ms > normal.p95_ms:
        return f"the p95 is {moment.p95_ms:.3g} ms"
    if moment.open and not moment.finished:
        return f"{moment.open:,} jobs are open and none finishes"
    if moment.finish_rate and moment.open / moment.finish_rate > normal.job_seconds:
        return f"a job takes {moment.open / moment.finish_rate:.3g} s"
    if moment.rate < _SETTLED_RATE * normal.rate * moment.users:
        return f"{moment.rate:.3g} requests a second, and {normal.rate * moment.users:.3g} were normal"
    return ""
