"""Thresholds as in k6: ``http_req_duration: p(95)<200``. Pure.

Metrics, all of the whole run:
    http_req_duration   milliseconds from when a request was due    p(N) avg min med max
    http_req_sent       the same from when it was sent              p(N) avg min med max
    http_req_failed     requests that failed                        rate count
    http_reqs           requests                                    rate (a second) count
    job_duration        milliseconds from submission to end         p(N) avg min med max
    job_queued          milliseconds until no longer queued         p(N) avg min med max
    job_failed          jobs that ended and did not succeed         rate count
    jobs                jobs that ended                             rate (a second) count

``http_…{GET /api/jobs/{id}}`` looks at one route only.
"""

import operator
import re
from collections.abc import Callable, Mapping

import attrs

from loadtest_trio.users.durations import bad_flag
from loadtest_trio.users.tally import Counts, RouteCounts, percentile

TIMES = frozenset(("http_req_duration", "http_req_sent", "job_duration", "job_queued"))
RATES = frozenset(("http_req_failed", "http_reqs", "job_failed", "jobs"))
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_FORM = re.compile(
    r"\s*(?P<metric>\w+)\s*(?:\{(?P<route>.*)\})?\s*:\s*"
    r"(?P<what>p\(\d+(?:\.\d+)?\)|avg|min|med|max|rate|count)\s*"
    r"(?P<operator><=|>=|==|!=|<|>)\s*(?P<limit>\d+(?:\.\d+)?)\s*"
)
_ALLOWED = "a threshold such as 'http_req_duration: p(95)<200' or 'http_req_failed: rate<0.01'"


@attrs.frozen
class Threshold:
    """One threshold.

    Attributes:
        text: As it was given.
        metric: See the module.
        route: Only this route; "" for all.
        what: Such as ``p(95)`` or ``rate``.
        operator: Such as ``<``.
        limit: In milliseconds, or as a share, or a second.
    """

    text: str
    metric: str
    route: str
    what: str
    operator: str
    limit: float

    @classmethod
    def parse(cls, text: str) -> "Threshold":
        """Read a threshold.

        Raises:
            ConfigurationError: It cannot be read, or there is no such metric.
        """
        found = _FORM.fullmatch(text)
        if not found:
            raise bad_flag("--threshold", text, _ALLOWED)
        metric, what = found["metric"], found["what"]
        kind = TIMES if what not in ("rate", "count") else RATES
        if metric not in kind or (found["route"] and not metric.startswith("http_")):
            raise bad_flag("--threshold", text, f"{_ALLOWED}; {what} goes with {', '.join(sorted(kind))}")
        if what.startswith("p(") and not 0 < float(what[2:-1]) <= 100:
            raise bad_flag("--threshold", text, f"{_ALLOWED}; a percentile is above 0, and 100 at most")
        return cls(text.strip(), metric, found["route"] or "", what, found["operator"], float(found["limit"]))

    def judge(self, counts: Counts, seconds: float) -> "Judged":
        """Compare with what was counted.

        Args:
            counts: Of the whole run so far.
            seconds: Its length.
        """
        value = self._value(counts, seconds)
        held = value is not None and _OPERATORS[self.operator](value, self.limit)
        return Judged(self, value, held)

    def _value(self, counts: Counts, seconds: float) -> float | None:
        requests = counts.routes.get(self.route, RouteCounts()) if self.route else counts.total
        if self.metric in TIMES:
            return _statistic(self.what, _times(self.metric, requests, counts))
        jobs = counts.jobs
        count, whole = {
            "http_req_failed": (requests.failures, requests.requests),
            "http_reqs": (requests.requests, None),
            "job_failed": (jobs.failed, jobs.finished),
            "jobs": (jobs.finished, None),
        }[self.metric]
        if self.what == "count":
            return float(count)
        if whole is None:
            return count / seconds if seconds else None
        return count / whole if whole else None


@attrs.frozen
class Judged:
    """A threshold and what came of it.

    Attributes:
        threshold: Which.
        value: What was measured; None: nothing was, which no threshold holds for.
        held: It was not crossed.
    """

    threshold: Threshold
    value: float | None
    held: bool

    def __str__(self) -> str:
        value = "nothing was measured" if self.value is None else f"{self.value:.4g}"
        return f"{'held' if self.held else 'crossed'}: {self.threshold.text} ({value})"


def _times(metric: str, requests: RouteCounts, counts: Counts) -> Mapping[int, int]:
    return {
        "http_req_duration": requests.due,
        "http_req_sent": requests.sent,
        "job_duration": counts.jobs.duration,
        "job_queued": counts.jobs.queued,
    }[metric]


def _statistic(what: str, times: Mapping[int, int]) -> float | None:
    """Return a statistic of counted microseconds, in milliseconds."""
    if not times:
        return None
    values = sorted(times)
    match what:
        case "min":
            return values[0] / 1000
        case "max":
            return percentile(times, 100.0)
        case "avg":
            return sum(value * count for value, count in times.items()) / sum(times.values()) / 1000
    return percentile(times, 50.0 if what == "med" else float(what[2:-1]))
