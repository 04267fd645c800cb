"""Has the service given in? The stop conditions of brief 003, and the one that it lacked. Pure.

    errors         requests, or jobs, fail
    target_cpu     the target has no CPU left, or its machine's load is too high
    throughput     more users, and no more throughput (closed profiles)
    response_time  the p95 from when a request was due is a multiple of what it was
    queue          jobs pile up or stand still, while latency and error rate may look perfect

Each says what it saw. A step that the generator limited cannot show what the generator may have
caused: throughput, response time and growing queues are not judged there; a queue that stands still is.
"""

from collections.abc import Iterator, Sequence
from math import inf, sqrt
from statistics import fmean, median, stdev

import attrs

from loadtest_trio.report.users_steps import Step

ERRORS, TARGET_CPU, THROUGHPUT, RESPONSE_TIME, QUEUE = (
    "errors",
    "target_cpu",
    "throughput",
    "response_time",
    "queue",
)
NAMES = (ERRORS, TARGET_CPU, THROUGHPUT, RESPONSE_TIME, QUEUE)
_FEWEST_MOMENTS = 4
_FEWEST_REQUESTS = 50
_MORE_USERS = 1.05
_SURE = 2.33  # standard errors: one-sided 99 %
_REFERENCE_STEPS = 3


@attrs.frozen
class Limits:
    """What counts as giving in.

    Attributes:
        errors: Largest share of requests, and of jobs, that may fail.
        target_cpu: % of a core that the target may use.
        load: Load average of the target's machine; None: not judged.
        gain: Least throughput that each further user has to bring, as a share of what the first ones did.
        slower: How many times the p95, or the time of a job, may be what it was at first.
        slower_ms: And how much longer at least, so that 1 ms after 0.4 ms is no finding.
        job_slower_seconds: The same for the time of a job.
        growth: Growth of the open jobs, as a share of those submitted, that is let pass.
        still_seconds: No job has finished for so long, while some are open; or five times what one takes.
        unknown_seconds: The same, as long as no job has finished at all: nobody knows what one takes.
    """

    errors: float = 0.01
    target_cpu: float = 95.0
    load: float | None = None
    gain: float = 0.5
    slower: float = 2.0
    slower_ms: float = 10.0
    job_slower_seconds: float = 1.0
    growth: float = 0.02
    still_seconds: float = 10.0
    unknown_seconds: float = 120.0


@attrs.frozen
class Breach:
    """A condition that is met.

    Attributes:
        condition: One of `NAMES`.
        step: The step's number.
        evidence: What was seen, in a sentence.
    """

    condition: str
    step: int
    evidence: str


def check(steps: Sequence[Step], limits: Limits, *, open_profile: bool = False) -> list[Breach]:
    """Judge the last step against those before it.

    Args:
        steps: In order. Throughput and response time of the last are judged only when it is over.
        limits: What counts as giving in.
        open_profile: The level is a rate: throughput follows it by itself.
    """
    if not steps or not steps[-1].moments:
        return []
    step, before = steps[-1], steps[:-1]
    found = [*_errors(step, limits), *_target(step, limits), *_queue(step, before, limits)]
    if step.over and not step.limited:
        if not open_profile:
            found += _throughput(step, before, limits)
        found += _response_time(step, before, limits)
    return [Breach(name, step.number, evidence) for name, evidence in found]


Found = Iterator[tuple[str, str]]


def _errors(step: Step, limits: Limits) -> Found:
    for failures, whole, what in (
        (step.total("failures"), step.total("requests"), "requests"),
        (step.total("job_failures"), step.total("finished"), "jobs"),
    ):
        if failures >= 3 and _least_share(failures, whole) > limits.errors:
            yield ERRORS, f"{100 * failures / whole:.3g} % of the {what} fail ({failures:,} of {whole:,})"


def _least_share(count: int, whole: int) -> float:
    """Return the lower end of Wilson's interval of a share (one-sided, 95 %)."""
    z = 1.645
    share = count / whole
    middle = share + z * z / (2 * whole)
    reach = z * sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole))
    return (middle - reach) / (1 + z * z / whole)


def _target(step: Step, limits: Limits) -> Found:
    if len(step.moments) < _FEWEST_MOMENTS:
        return
    cpu, load = step.mean("target_cpu"), step.mean("load")
    if cpu is not None and cpu >= limits.target_cpu:
        yield TARGET_CPU, f"the target uses {cpu:.0f} % of a core"
    if limits.load is not None and load is not None and load >= limits.load:
        yield TARGET_CPU, f"the load average of the target's machine is {load:.2f}"


def _throughput(step: Step, before: Sequence[Step], limits: Limits) -> Found:
    judged = [each for each in before if not each.limited and len(each.moments) >= _FEWEST_MOMENTS]
    if not judged or len(step.moments) < _FEWEST_MOMENTS or step.users <= judged[-1].users:
        return
    last = judged[-1]
    for rate, what in (("rate", "requests"), ("finish_rate", "finished jobs")):
        each_user = median(getattr(one, rate) / one.users for one in judged[:_REFERENCE_STEPS] if one.users)
        expected = (step.users - last.users) * each_user
        if not expected:
            continue
        gained = getattr(step, rate) - getattr(last, rate)
        unsure = sqrt(step.error(rate) ** 2 + last.error(rate) ** 2)
        if (gained + 2 * unsure) / expected < limits.gain:
            yield (
                THROUGHPUT,
                f"{step.users - last.users:,.0f} more users bring {gained:+.3g} {what} a second, "
                f"where the first ones brought {expected:.3g}",
            )


def reference(before: Sequence[Step]) -> Sequence[Step]:
    """Return the steps that later ones are compared with: the first three that nothing limited."""
    return [each for each in before if not each.limited][:_REFERENCE_STEPS]


def _response_time(step: Step, before: Sequence[Step], limits: Limits) -> Found:
    known = [each.p95_ms for each in reference(before) if each.p95_ms is not None]
    if not known or step.p95_ms is None or step.total("requests") < _FEWEST_REQUESTS:
        return
    normal = median(known)
    if step.p95_ms > limits.slower * normal and step.p95_ms - normal > limits.slower_ms:
        yield RESPONSE_TIME, f"the p95 is {step.p95_ms:.3g} ms, and was {normal:.3g} ms at first"


def _queue(step: Step, before: Sequence[Step], limits: Limits) -> Found:
    fine = (
        f"while the p95 is {step.p95_ms or 0:.3g} ms and {100 * step.failed_share:.2g} % of the requests fail"
    )
    still = _still_seconds(step)
    normal = _normal_job_seconds(before)
    known = normal is not None or any(each.finished for each in step.all)
    if still >= (max(limits.still_seconds, 5 * (normal or 0.0)) if known else limits.unknown_seconds):
        yield QUEUE, f"no job has finished for {still:.0f} s with {step.moments[-1].open:,} open, {fine}"
        return
    if len(step.moments) < _FEWEST_MOMENTS or step.limited:
        return
    yield from ((QUEUE, f"{evidence}, {fine}") for evidence in _growing(step, limits))
    now = step.job_seconds
    if not step.over or normal is None or now is None or now == inf:
        return
    if now > max(limits.slower * normal, normal + limits.job_slower_seconds):
        yield (
            QUEUE,
            f"a job takes {now:.3g} s from submission to end, and took {normal:.3g} s at first, {fine}",
        )


def _still_seconds(step: Step) -> float:
    """Return for how long, up to now, no job has finished while some were open."""
    seconds = 0.0
    for each in reversed(step.all):
        if each.finished or not each.open:
            break
        seconds += each.seconds
    return seconds


def _growing(step: Step, limits: Limits) -> Iterator[str]:
    moments = step.moments
    if moments[-1].users > _MORE_USERS * moments[0].users:  # their number explains it
        return
    growth = [each.growth for each in moments]
    submitted = step.per_second("submitted")
    sure = fmean(growth) - _SURE * stdev(growth) / len(growth) ** 0.5
    grown = moments[-1].open - moments[0].open
    if sure > 0 and fmean(growth) > limits.growth * submitted and grown >= max(10, 0.2 * moments[0].open):
        yield (
            f"the open jobs grow by {fmean(growth):.3g} a second, from {moments[0].open:,} to "
            f"{moments[-1].open:,}"
        )


def _normal_job_seconds(before: Sequence[Step]) -> float | None:
    known = [each.job_seconds for each in reference(before)]
    finite = [each for each in known if each is not None and each != inf]
    return median(finite) if finite else None


def judge_all(
    steps: Sequence[Step], limits: Limits, *, open_profile: bool = False
) -> dict[int, list[Breach]]:
    """Judge every step against those before it; return the breaches by the step's number."""
    healthy: list[Step] = []
    breaches: dict[int, list[Breach]] = {}
    for step in steps:
        found = check([*healthy, step], limits, open_profile=open_profile)
        breaches[step.number] = found
        if not found:
            healthy.append(step)
    return breaches
