"""One interval of a `users` run, all generators together: its lines become one `Moment`. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from loadtest_trio.report.histograms import MergedLatencies

Line = Mapping[str, Any]

DUE, SENT, DURATION, QUEUED = "all.due_ms", "all.sent_ms", "job.duration_ms", "job.queued_ms"


@attrs.frozen(kw_only=True)
class Moment:
    """One interval, all generators together.

    Attributes:
        at: Its end, in seconds since the run began.
        seconds: Its length.
        step: The step's number.
        level: Users that there should be in all; of an open profile, new users a second.
        settling: Users still arrive or leave.
        users: Users there are.
        requests: Replies and failures.
        failures: Of these.
        p50_ms: From when a request was due.
        p95_ms: The same.
        p99_ms: The same.
        submitted: Jobs accepted.
        finished: Jobs seen to end.
        job_failures: Of these: not succeeded.
        abandoned: Jobs given up by their users.
        open: Jobs not seen to end, at its end.
        statuses: Open jobs by state, at its end.
        target_cpu: Of the target, in % of a core; None where it is not known.
        target_wait: The target was ready to run and got no CPU, in % of the time.
        redis_cpu: Of the target's Redis, in % of a core.
        redis_ms: How much longer the target takes for an answer that needs Redis than for one that does not.
        load: Load average of the target's machine.
        fds: Descriptors of the target.
        memory_mb: Resident memory of the target.
        generator_cpu: The busiest generator's, in % of a core.
        lag_ms: p95 of how late the generators' users were woken.
        limited: Why the generator was the limit; empty when it was not.
    """

    at: float
    seconds: float
    step: int = 1
    level: float = 0.0
    settling: bool = False
    users: int = 0
    requests: int = 0
    failures: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    submitted: int = 0
    finished: int = 0
    job_failures: int = 0
    abandoned: int = 0
    open: int = 0
    statuses: Mapping[str, int] = attrs.field(factory=dict)
    target_cpu: float | None = None
    target_wait: float | None = None
    redis_cpu: float | None = None
    redis_ms: float | None = None
    load: float | None = None
    fds: float | None = None
    memory_mb: float | None = None
    generator_cpu: float | None = None
    lag_ms: float | None = None
    limited: tuple[str, ...] = ()

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    @property
    def finish_rate(self) -> float:
        """Jobs finished a second."""
        return self.finished / self.seconds

    @property
    def growth(self) -> float:
        """By how many jobs a second the open ones grow."""
        return (self.submitted - self.finished - self.abandoned) / self.seconds


def together(lines: Sequence[Line]) -> Moment:
    """Return the lines of one interval as one: counts add up, what is seen by each counts once."""
    first = lines[0]

    def whole(*path: str) -> int:
        return int(sum(number(line, *path) or 0 for line in lines))

    def most(*path: str) -> float | None:
        return max((value for line in lines if (value := number(line, *path)) is not None), default=None)

    if len(lines) == 1:
        p50, p95, p99 = (number(first, name) for name in ("p50_ms", "p95_ms", "p99_ms"))
    else:
        merged = MergedLatencies()
        for line in lines:
            if encoded := (line.get("histograms") or {}).get(DUE):
                merged.add(encoded)
        p50, p95, p99 = (merged.percentile_ms(percent) for percent in (50, 95, 99))
    statuses: Counter[str] = Counter()
    for line in lines:
        statuses.update((line.get("jobs") or {}).get("statuses") or {})
    return Moment(
        at=max(number(line, "uptime_seconds") or 0.0 for line in lines),
        seconds=max(max(number(line, "seconds") or 0.0 for line in lines), 1e-3),
        step=int(number(first, "step") or 1),
        level=number(first, "wanted_level") or 0.0,
        settling=any(bool(line.get("settling")) for line in lines),
        users=whole("users"),
        requests=whole("requests"),
        failures=whole("failures"),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        submitted=whole("jobs", "submitted"),
        finished=whole("jobs", "finished"),
        job_failures=whole("jobs", "failed"),
        abandoned=whole("jobs", "abandoned"),
        open=whole("jobs", "open"),
        statuses=statuses,
        target_cpu=most("target", "cpu_percent"),
        target_wait=most("target", "cpu_wait_percent"),
        redis_cpu=most("target", "redis_cpu_percent"),
        redis_ms=_difference(most("target", "stats_ms"), most("target", "nothing_ms")),
        load=most("target", "load1"),
        fds=most("target", "open_fds"),
        memory_mb=most("target", "memory_mb"),
        generator_cpu=most("generator", "cpu_percent"),
        lag_ms=most("generator", "lag_p95_ms"),
        limited=tuple(str(why) for line in lines for why in line.get("limited") or ()),
    )


def _difference(whole: float | None, part: float | None) -> float | None:
    return None if whole is None or part is None else max(0.0, whole - part)


def number(line: Line, *path: str) -> float | None:
    """Return the number at a path of a line's fields; None without one."""
    value: Any = line
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
