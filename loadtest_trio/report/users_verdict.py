"""The verdict in words: what a person would write under the table. Pure."""

from collections.abc import Iterator, Sequence

from loadtest_trio.report.users_conditions import (
    ERRORS,
    QUEUE,
    RESPONSE_TIME,
    TARGET_CPU,
    THROUGHPUT,
    Breach,
)
from loadtest_trio.report.users_findings import Findings
from loadtest_trio.report.users_steps import Step

CPU, WORKERS, GENERATOR, UNKNOWN = "the target's CPU", "its workers", "the generator", "not known"
_BUSY, _IDLE = 85.0, 60.0  # % of a core


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
    figures = _figures(found.knee)
    return f"The service kept up with all {_level(found.knee)} {unit}: {figures}. Its limit is higher."


def _gave_in(breaches: Sequence[Breach], step: Step, unit: str) -> Iterator[str]:
    named = "; ".join(f"{each.condition}: {each.evidence}" for each in breaches)
    yield f"It gave in {_at(step, unit)} ({named})."
    cause = cause_of(breaches, step)
    if cause != UNKNOWN:
        yield f"What gave in: {cause}{_cpu(step)}."


def cause_of(breaches: Sequence[Breach], step: Step) -> str:
    """Return what gave in: CPU, WORKERS, GENERATOR, or UNKNOWN where the evidence is not enough."""
    names = {each.condition for each in breaches}
    cpu = step.mean("target_cpu")
    if step.limited and not names & {QUEUE, TARGET_CPU, ERRORS}:
        return GENERATOR
    if TARGET_CPU in names or (cpu is not None and cpu >= _BUSY):
        return CPU
    if QUEUE in names and cpu is not None and cpu < _IDLE:
        return WORKERS
    if {THROUGHPUT, RESPONSE_TIME} & names and QUEUE in names and cpu is None:
        return WORKERS
    return UNKNOWN


def _cpu(step: Step) -> str:
    cpu = step.mean("target_cpu")
    return "" if cpu is None else f" (its CPU was busy {cpu:.0f} %)"


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
