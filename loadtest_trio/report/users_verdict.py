"""The verdict in words: what a person would write under the table. Pure."""

from collections.abc import Iterator, Sequence

from loadtest_trio.report.users_conditions import (
    ERRORS,
    QUEUE,
    TARGET_CPU,
    THROUGHPUT,
    Breach,
)
from loadtest_trio.report.users_findings import Findings
from loadtest_trio.report.users_moments import DURATION, QUEUED
from loadtest_trio.report.users_steps import Step

CPU, REDIS, WORKERS = "the target's CPU", "its Redis", "its workers"
GENERATOR, UNKNOWN = "the generator", "not clear from what could be read"
_BUSY, _IDLE = 85.0, 70.0  # % of a core
_HELD = 25.0  # % of the time in which it was ready to run and others had the core
_SLOW_REDIS_MS = 20.0
_LONG_WAIT_MS = 2000.0  # users who poll every second know no better


def sentences(found: Findings, unit: str = "users") -> list[str]:
    """Return the verdict, a sentence each.

    Args:
        found: What the run has shown.
        unit: What a level is: ``users``, or ``new users a second``.
    """
    return list(_sentences(found, unit))


def _sentences(found: Findings, unit: str) -> Iterator[str]:
    knee = found.knee
    if found.gave_in is None:
        yield _never_gave_in(found, unit)
    elif knee is None:
        yield f"The service kept up with no number of {unit}: it gave in at the first step."
    else:
        yield f"The service keeps up with {_level(knee)} {unit}: {_figures(knee)}."
    if found.gave_in is not None:
        yield from _gave_in(found.breaches.get(found.gave_in.number, ()), found.gave_in, unit)
    if found.optimum is not None and found.optimum is not knee:
        yield f"Its best conditions are {_level(found.optimum)} {unit}: {_figures(found.optimum)}."
    if found.limit is not None and found.gave_in is not None:
        yield f"The most that it did was {plain(found.limit.rate)} requests/s, {_at(found.limit, unit)}."
    yield from _beyond(found.beyond[1:], unit)
    yield from _recovery(found)
    yield from _leaks(found)
    for step in found.limited:
        yield (
            f"The generator limited the step {_at(step, unit)} ({'; '.join(step.limited)}): "
            "that step says nothing about the service."
        )


def _never_gave_in(found: Findings, unit: str) -> str:
    if found.knee is None:
        return "Nothing can be said about the service: the generator was the limit throughout."
    if not found.knee.total("requests"):
        return f"Nothing can be said about the service: no request ended {_at(found.knee, unit)}."
    kept_up = f"The service kept up with all {_level(found.knee)} {unit}: {_figures(found.knee)}."
    return f"{kept_up} {_waiting(found.knee) or 'Its limit is higher.'}"


def _waiting(step: Step) -> str:
    """Return what is to be said of jobs that waited long; "" where they did not.

    A queue can be long and level, as where each user waits for its jobs: nothing grows or fails then.
    """
    queued, whole = step.distribution(QUEUED), step.distribution(DURATION)
    waited, lasted = queued.percentile_ms(50), whole.percentile_ms(50)
    if not waited or not lasted or waited < _LONG_WAIT_MS or waited < lasted / 2:
        return ""
    return (
        f"But its jobs waited: half of them {waited / 1000:.3g} s or longer in the queue, where half took "
        f"{lasted / 1000:.3g} s or longer in all. More workers would help, unless jobs of one client wait "
        "for each other."
    )


def _gave_in(breaches: Sequence[Breach], step: Step, unit: str) -> Iterator[str]:
    named = "; ".join(f"{each.condition}: {each.evidence}" for each in breaches)
    yield f"It gave in {_at(step, unit)} ({named})."
    yield f"What gave in: {cause_of(breaches, step)}{_evidence(step)}."


def cause_of(breaches: Sequence[Breach], step: Step) -> str:
    """Return what gave in, as far as the evidence says.

    A CPU that is used up, or that others hold, counts first: what waits for it is slow in everything. Then
    Redis, whose answers take long or whose one thread is busy. Jobs that pile up beside idle CPUs are left
    to the workers.

    Args:
        breaches: The stop conditions that the step met.
        step: The step that the service did not keep up with.

    Returns:
        CPU, REDIS, WORKERS, GENERATOR, or UNKNOWN.
    """
    names = {each.condition for each in breaches}
    cpu, wait = step.mean("target_cpu"), step.mean("target_wait") or 0.0
    if step.limited and not names & {QUEUE, TARGET_CPU, ERRORS}:
        return GENERATOR
    if TARGET_CPU in names or wait >= _HELD or (cpu is not None and cpu + wait >= _BUSY):
        return CPU
    idle = cpu is None or cpu + wait < _IDLE
    if (step.mean("redis_cpu") or 0.0) >= _BUSY:
        return REDIS
    if (step.mean("redis_ms") or 0.0) >= _SLOW_REDIS_MS:
        return REDIS if idle else CPU  # a service that waits for its CPU finds its Redis slow, too
    if idle and (QUEUE in names or THROUGHPUT in names):
        return WORKERS
    return UNKNOWN


def _evidence(step: Step) -> str:
    """Return what is known of the target's resources, in brackets."""
    known = (
        ("its CPU was busy {:.0f} %", step.mean("target_cpu")),
        ("it waited for a CPU {:.0f} %", step.mean("target_wait")),
        ("its Redis was busy {:.0f} %", step.mean("redis_cpu")),
        ("Redis added {:.3g} ms to an answer", step.mean("redis_ms")),
    )
    shown = [text.format(value) for text, value in known if value is not None]
    return f" ({', '.join(shown)})" if shown else ""


def _beyond(steps: Sequence[Step], unit: str) -> Iterator[str]:
    if steps:
        last = steps[-1]
        yield f"Beyond, up to {_level(last)} {unit}: {_figures(last)}."


def _recovery(found: Findings) -> Iterator[str]:
    seen = found.recovery
    if seen is None:
        return
    if seen.seconds is not None:
        yield f"With {seen.users:,.0f} users again it recovered within {seen.seconds:,.0f} s."
    else:
        looked, why_not = seen.looked, seen.why_not
        yield f"With {seen.users:,.0f} users again it did not recover within {looked:,.0f} s: {why_not}."


def _leaks(found: Findings) -> Iterator[str]:
    for each in found.leaks:
        if each.leaks:
            share = f", {each.per_thousand:.2g} a thousand requests" if each.per_thousand else ""
            unit = f" {each.unit}" if each.unit else ""
            yield f"The target leaks {each.what}: {each.per_hour:,.3g}{unit} an hour{share}."


def plain(value: float) -> str:
    """Return a number without an exponent: three significant figures below 100, whole ones above."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _level(step: Step) -> str:
    return plain(step.level)


def _at(step: Step, unit: str) -> str:
    return f"at {_level(step)} {unit}"


def _figures(step: Step) -> str:
    jobs = f", {plain(step.finish_rate)} jobs/s" if step.total("finished") else ""
    p95 = "" if step.p95_ms is None else f", p95 {plain(step.p95_ms)} ms"
    return f"{plain(step.rate)} requests/s{jobs}{p95}, {100 * step.failed_share:.2g} % failed"
