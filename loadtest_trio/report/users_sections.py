"""The sections of a report on users: brief 003's table and its questions, answered. Each returns Markdown."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from loadtest_trio.report.details import LogLine
from loadtest_trio.report.histograms import MergedLatencies, merge
from loadtest_trio.report.markdown import Cell, facts, table
from loadtest_trio.report.users_findings import Findings
from loadtest_trio.report.users_moments import DUE, DURATION, QUEUED, SENT
from loadtest_trio.report.users_steps import Step
from loadtest_trio.report.users_verdict import cause_of, plain, sentences

_PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9, 100.0)


def verdict(found: Findings, unit: str) -> str:
    """Return the verdict, a paragraph."""
    return " ".join(sentences(found, unit))


def search(line: LogLine) -> str:
    """Return what a search for the most users has found."""
    unit, sustained = line.get("unit") or "users", line.get("sustained") or 0
    windows = f"{line.get('windows_passed')} of {line.get('windows')} windows"
    how = f"{windows} confirmed it" if line.get("confirmed") else "not confirmed"
    failed = line.get("failed_at")
    reasons = "; ".join(map(str, line.get("reasons") or ()))
    limit = f" {failed:,} were too many: {reasons}." if failed else " No limit was reached."
    return (
        f"**The service sustains {sustained:,} {unit}** ({how}): {line.get('done_per_second')} jobs (or "
        f"requests, without jobs) a second.{limit} **What gave in: {line.get('bottleneck')}.**"
    )


def steps(all_steps: Sequence[Step], found: Findings) -> str:
    """Return brief 003's table: a row a step."""
    headings = (
        "step", "minutes", "users", "requests/s", "p50 ms", "p95 ms", "p99 ms", "failed %", "target CPU %",
        "load", "jobs/s submitted", "jobs/s finished", "open at end", "result",
    )  # fmt: skip
    return table(headings, [_row(each, found) for each in all_steps])


def _row(step: Step, found: Findings) -> list[Cell]:
    due = step.distribution(DUE)
    return [
        str(step.number),
        sum(each.seconds for each in step.all) / 60,
        round(step.users),
        step.rate,
        *(due.percentile_ms(percent) for percent in (50.0, 95.0, 99.0)),
        100 * step.failed_share,
        step.mean("target_cpu"),
        step.mean("load"),
        step.per_second("submitted"),
        step.finish_rate,
        step.moments[-1].open,
        _result(step, found),
    ]


def _result(step: Step, found: Findings) -> str:
    breaches = found.breaches.get(step.number, ())
    if step.limited:
        return "generator limited"
    return ", ".join(dict.fromkeys(each.condition for each in breaches)) or "kept up"


def questions(found: Findings, unit: str) -> str:
    """Return the questions of brief 003's author with their answers."""
    optimum, knee, gave_in = found.optimum, found.knee, found.gave_in
    rows: list[tuple[str, Cell]] = []
    if optimum is not None:
        due = optimum.distribution(DUE)
        latency = ", ".join(
            f"p{percent:g} {_ms(due.percentile_ms(percent))}" for percent in (50.0, 95.0, 99.0)
        )
        rows += [
            ("In a steady state, what is the throughput?", _throughput(optimum)),
            ("What is the latency distribution?", latency),
            ("What are the optimal operating conditions?", f"{plain(optimum.level)} {unit}"),
        ]
    if knee is not None:
        rows.append(("Where is the knee?", f"{plain(knee.level)} {unit}: {_throughput(knee)}"))
    if gave_in is None:
        rows.append(("What are the limits?", "not reached"))
    else:
        breaches = found.breaches[gave_in.number]
        named = "; ".join(f"{each.condition}: {each.evidence}" for each in breaches)
        rows.append(("What are the limits?", f"{plain(gave_in.level)} {unit} are too many: {named}"))
        rows.append(("What gave in?", cause_of(breaches, gave_in)))
    if found.beyond[1:]:
        last = found.beyond[-1]
        rows.append(("What happens beyond?", f"at {plain(last.level)} {unit}: {_throughput(last)}"))
    rows.append(("Does it recover?", _recovery(found)))
    return facts(rows)


def _throughput(step: Step) -> str:
    jobs = f", {plain(step.finish_rate)} jobs/s" if step.total("finished") else ""
    return f"{plain(step.rate)} requests/s{jobs}"


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{plain(value)} ms"


def _recovery(found: Findings) -> str:
    seen = found.recovery
    if seen is None:
        return "nobody looked: the load was not lowered"
    if seen.seconds is None:
        return f"not within {seen.looked:,.0f} s with {seen.users:,.0f} users: {seen.why_not}"
    return f"within {seen.seconds:,.0f} s with {seen.users:,.0f} users"


def routes(lines: Sequence[LogLine]) -> str:
    """Return a row a route, from the `users_routes` lines of the whole run."""
    requests, failures, statuses = Counter[str](), Counter[str](), dict[str, Counter[str]]()
    for line in lines:
        for name, each in _mapping(line.get("routes")).items():
            requests[name] += int(each.get("requests") or 0)
            failures[name] += int(each.get("failures") or 0)
            statuses.setdefault(name, Counter()).update(_mapping(each.get("statuses")))
    if not requests:
        return ""
    merged = merge(lines)
    rows: list[list[Cell]] = []
    for name in sorted(requests):
        due, sent = (merged.get(f"{name}.{which}_ms", MergedLatencies()) for which in ("due", "sent"))
        told = ", ".join(f"{status}: {count:,}" for status, count in sorted(statuses[name].items()))
        times = [due.percentile_ms(percent) for percent in (50.0, 95.0, 99.0, 100.0)]
        rows.append([name, requests[name], failures[name], *times, sent.percentile_ms(95), told])
    headings = (
        "route",
        "requests",
        "failed",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "max ms",
        "p95 from sent",
        "statuses",
    )
    return "From when a request was due, and from when it was sent.\n\n" + table(headings, rows)


def jobs(lines: Sequence[LogLine]) -> str:
    """Return how long jobs took and waited, over the whole run."""
    merged = merge(lines, (DURATION, QUEUED, DUE, SENT))
    names = {
        DURATION: "submission to end",
        QUEUED: "submission to start",
        DUE: "request, from due",
        SENT: "request, from sent",
    }
    rows: list[list[Cell]] = [
        [title, merged[path].count, *(merged[path].percentile_ms(percent) for percent in _PERCENTILES)]
        for path, title in names.items()
        if path in merged and merged[path].count
    ]
    headings = ("milliseconds", "count", *(f"p{percent:g}" for percent in _PERCENTILES[:-1]), "max")
    return table(headings, rows) if rows else ""


def leaks(found: Findings) -> str:
    """Return what the fits of descriptors and memory say."""
    if not found.leaks:
        return "Descriptors and memory of the target could not be read, or not for long enough."
    rows: list[list[Cell]] = [
        [
            f"{each.what}, {each.unit}" if each.unit else each.what,
            each.per_hour,
            2 * each.error,
            each.grown,
            each.per_thousand,
            "leaks" if each.leaks else "steady",
        ]
        for each in found.leaks
    ]
    headings = ("of the target", "growth an hour", "±", "over the run", "a thousand requests", "result")
    return "Growth that the number of users does not explain.\n\n" + table(headings, rows)


def generator(all_steps: Sequence[Step]) -> str:
    """Return how the generators fared: whether what was measured is the service's doing."""
    rows: list[list[Cell]] = [
        [
            str(each.number),
            each.level,
            each.users,
            each.mean("generator_cpu"),
            each.mean("lag_ms"),
            "; ".join(each.limited) or "no",
        ]
        for each in all_steps
    ]
    headings = (
        "step",
        "wanted",
        "actual users",
        "generator CPU %",
        "users woken late, p95 ms",
        "limited the step",
    )
    return table(headings, rows)


def thresholds(lines: Sequence[LogLine]) -> str:
    """Return what became of the thresholds."""
    rows: list[list[Cell]] = [
        [str(line.get("threshold")), line.get("value"), "held" if line.get("held") else "**crossed**"]
        for line in lines
        if line["event"] == "users_threshold"
    ]
    return table(("threshold", "measured", ""), rows) if rows else ""


def errors(lines: Sequence[LogLine]) -> str:
    """Return what went wrong, and how often."""
    counts = Counter[str]()
    for name, count in chain.from_iterable(_counted(line) for line in lines):
        counts[name] += count
    return table(("what went wrong", "count"), counts.most_common(20)) if counts else "Nothing went wrong."


def _counted(line: LogLine) -> Iterator[tuple[str, int]]:
    for name, count in _mapping(line.get("errors")).items():
        yield str(name), int(count)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
