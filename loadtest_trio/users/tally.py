"""What the users saw, counted: by route template, in histograms that can be merged.

Live objects (`Route`, `Recorder`) are filled by the users and emptied by `collect` every interval, into
counts that add up over intervals, steps and generators. Nothing grows with the number of requests, and job
ids never make a new name: a route is named by its template, and there is a bounded number of them.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from itertools import accumulate

import attrs

from loadtest_trio.metrics.latencies import Latencies, summary, upper_end
from loadtest_trio.metrics.text_lines import on_one_line

_MOST_ROUTES = 60
_MOST_ERRORS = 40
_LONGEST_ERROR = 160
OTHER = "other"


@attrs.define
class RouteCounts:
    """One route in one span of time.

    Attributes:
        requests: Replies and failures.
        failures: Of these: no reply, a status that was not expected, or called a failure by the scenario.
        statuses: HTTP status -> count; 0: no reply.
        due: Microseconds from when the request was due until its reply -> count, as `Latencies.collect` does.
        sent: The same from when it was sent.
    """

    requests: int = 0
    failures: int = 0
    statuses: Counter[int] = attrs.field(factory=Counter)
    due: Counter[int] = attrs.field(factory=Counter)
    sent: Counter[int] = attrs.field(factory=Counter)

    def add(self, other: "RouteCounts") -> None:
        """Add what was counted elsewhere, or later."""
        self.requests += other.requests
        self.failures += other.failures
        self.statuses.update(other.statuses)
        self.due.update(other.due)
        self.sent.update(other.sent)


class Route:
    """One route, live."""

    __slots__ = ("_due", "_failures", "_requests", "_sent", "_statuses")

    def __init__(self) -> None:
        self._requests = self._failures = 0
        self._statuses: dict[int, int] = {}
        self._due, self._sent = Latencies(), Latencies()

    def record(self, status: int, from_due: float, from_sent: float, *, failed: bool) -> None:
        """Count one request.

        Args:
            status: Of the reply; 0 when there was none.
            from_due: Seconds since it was due.
            from_sent: Seconds since it was sent.
            failed: It counts as a failure.
        """
        self._requests += 1
        self._failures += failed
        self._statuses[status] = self._statuses.get(status, 0) + 1
        self._due.record(from_due)
        self._sent.record(from_sent)

    def fail(self) -> None:
        """Call a request a failure after all, which `record` has counted as none."""
        self._failures += 1

    def collect(self) -> RouteCounts:
        """Return what was counted since the last call, and start anew."""
        counts = RouteCounts(
            self._requests,
            self._failures,
            Counter(self._statuses),
            Counter(self._due.collect()),
            Counter(self._sent.collect()),
        )
        self._requests = self._failures = 0
        self._statuses = {}
        return counts


@attrs.define
class JobCounts:
    """Jobs in one span of time.

    Attributes:
        submitted: Accepted by the service.
        finished: Seen to end, in whatever state.
        failed: Of these: not succeeded.
        abandoned: Given up by their user before they ended.
        duration: Microseconds from when the submission was due until the job was seen to have ended -> count.
        queued: The same until it was first seen to be no longer queued.
    """

    submitted: int = 0
    finished: int = 0
    failed: int = 0
    abandoned: int = 0
    duration: Counter[int] = attrs.field(factory=Counter)
    queued: Counter[int] = attrs.field(factory=Counter)

    def add(self, other: "JobCounts") -> None:
        """Add what was counted elsewhere, or later."""
        self.submitted += other.submitted
        self.finished += other.finished
        self.failed += other.failed
        self.abandoned += other.abandoned
        self.duration.update(other.duration)
        self.queued.update(other.queued)


@attrs.define
class Counts:
    """Everything that was counted in one span of time.

    Attributes:
        routes: By route template.
        jobs: Submitted and finished.
        sequences: Times that a user went through its scenario.
        crashed: Of these: ended by an exception of the scenario's own.
        skipped: Polls that were left out, because their user was too far behind its schedule.
        withheld: New users of an open profile that were not started: too many were open.
        lag: Microseconds that users were woken late -> count: the generator's own slowness.
        errors: What went wrong -> how often.
    """

    routes: dict[str, RouteCounts] = attrs.field(factory=dict)
    jobs: JobCounts = attrs.field(factory=JobCounts)
    sequences: int = 0
    crashed: int = 0
    skipped: int = 0
    withheld: int = 0
    lag: Counter[int] = attrs.field(factory=Counter)
    errors: Counter[str] = attrs.field(factory=Counter)

    def add(self, other: "Counts") -> None:
        """Add what was counted elsewhere, or later."""
        for name, counts in other.routes.items():
            self.routes.setdefault(name, RouteCounts()).add(counts)
        self.jobs.add(other.jobs)
        self.sequences += other.sequences
        self.crashed += other.crashed
        self.skipped += other.skipped
        self.withheld += other.withheld
        self.lag.update(other.lag)
        self.errors.update(other.errors)

    @property
    def total(self) -> RouteCounts:
        """All routes as one."""
        whole = RouteCounts()
        for each in self.routes.values():
            whole.add(each)
        return whole


class Recorder:
    """Counts, live; shared by all users of a generator.

    Attributes:
        sequences: See `Counts`.
        crashed: See `Counts`.
        skipped: See `Counts`.
        withheld: See `Counts`.
        lag: How late users were woken.
        jobs: Counts of jobs; `statuses` and `open` are those now.
        duration: Job durations of the interval.
        queued: Job queueing times of the interval.
        statuses: Jobs that have not ended, by the state they were last seen in.
    """

    def __init__(self) -> None:
        self.sequences = self.crashed = self.skipped = self.withheld = 0
        self.lag = Latencies()
        self.jobs = JobCounts()
        self.duration, self.queued = Latencies(), Latencies()
        self.statuses: Counter[str] = Counter()
        self._routes: dict[str, Route] = {}
        self._errors: Counter[str] = Counter()

    @property
    def jobs_open(self) -> int:
        """Jobs that were submitted and not seen to end."""
        return self.statuses.total()

    def route(self, name: str) -> Route:
        """Return a route by its template; beyond the first 60, all are one."""
        found = self._routes.get(name)
        if found is None:
            if len(self._routes) >= _MOST_ROUTES and name != OTHER:
                return self.route(OTHER)
            found = self._routes[name] = Route()
        return found

    def error(self, what: str) -> None:
        """Count something that went wrong; beyond 40 different texts, all are one."""
        what = on_one_line(what)[:_LONGEST_ERROR]
        known = what in self._errors or len(self._errors) < _MOST_ERRORS
        self._errors[what if known else OTHER] += 1

    def collect(self) -> Counts:
        """Return what was counted since the last call, and start anew."""
        self.jobs.duration, self.jobs.queued = (
            Counter(self.duration.collect()),
            Counter(self.queued.collect()),
        )
        collected = {name: route.collect() for name, route in self._routes.items()}
        counts = Counts(
            routes={name: each for name, each in collected.items() if each.requests or each.failures},
            jobs=self.jobs,
            sequences=self.sequences,
            crashed=self.crashed,
            skipped=self.skipped,
            withheld=self.withheld,
            lag=Counter(self.lag.collect()),
            errors=self._errors,
        )
        self.sequences = self.crashed = self.skipped = self.withheld = 0
        self.jobs, self._errors = JobCounts(), Counter()
        return counts


def percentiles(counts: Mapping[int, int]) -> dict[str, float | None]:
    """Return p50, p95, p99 and max in milliseconds, named as in the log (``p50_ms``)."""
    return {f"{name}_ms": value for name, value in summary(counts).items()}


def percentile(counts: Mapping[int, int], percent: float) -> float | None:
    """Return one percentile of counted microseconds in milliseconds; None when nothing was counted.

    The rank, and the end of the bucket, are those of `summary`: a threshold is judged by the value that the
    table shows.
    """
    if not counts:
        return None
    values = sorted(counts)
    reached = list(accumulate(counts[value] for value in values))
    rank = max(1, int(percent * reached[-1] / 100 + 0.5))
    return upper_end(values[bisect_left(reached, rank)]) / 1000
