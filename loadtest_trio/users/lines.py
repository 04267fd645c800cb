"""The log lines of a run of users: one `users` line an interval, its routes in `users_routes`. Pure."""

from collections.abc import Mapping
from typing import Any

from loadtest_trio.metrics.latencies import encoded
from loadtest_trio.report.users_moments import DUE, DURATION, QUEUED, SENT
from loadtest_trio.report.users_steps import Step
from loadtest_trio.users.tally import Counts, RouteCounts, percentiles

_MOST_ERRORS = 8


def interval_line(counts: Counts, seconds: float) -> dict[str, Any]:
    """Return what an interval's counts say in its `users` line.

    Args:
        counts: Of the interval.
        seconds: Its length.
    """
    total, jobs = counts.total, counts.jobs
    times = {DUE: total.due, SENT: total.sent, DURATION: jobs.duration, QUEUED: jobs.queued}
    return {
        "requests": total.requests,
        "failures": total.failures,
        "requests_per_second": round(total.requests / seconds, 3),
        **percentiles(total.due),
        **{f"sent_{name}": value for name, value in percentiles(total.sent).items()},
        "sequences": counts.sequences,
        "crashed": counts.crashed,
        "skipped": counts.skipped,
        "withheld": counts.withheld,
        "errors": dict(counts.errors.most_common(_MOST_ERRORS)),
        "jobs": {
            "submitted": jobs.submitted,
            "finished": jobs.finished,
            "failed": jobs.failed,
            "abandoned": jobs.abandoned,
            "submitted_per_second": round(jobs.submitted / seconds, 3),
            "finished_per_second": round(jobs.finished / seconds, 3),
            **{f"duration_{name}": value for name, value in percentiles(jobs.duration).items()},
            **{f"queued_{name}": value for name, value in percentiles(jobs.queued).items()},
        },
        "histograms": {path: encoded(values) for path, values in times.items() if values},
    }


def route_line(counts: Counts) -> dict[str, Any]:
    """Return the fields of the interval's `users_routes` line; empty when nothing was requested."""
    if not counts.routes:
        return {}
    histograms = {
        f"{name}.{which}_ms": encoded(values)
        for name, each in counts.routes.items()
        for which, values in _times(each)
        if values
    }
    routes = {name: _route(each) for name, each in sorted(counts.routes.items())}
    return {"routes": routes, "histograms": histograms}


def _times(counts: RouteCounts) -> tuple[tuple[str, Mapping[int, int]], ...]:
    return ("due", counts.due), ("sent", counts.sent)


def _route(counts: RouteCounts) -> dict[str, Any]:
    return {
        "requests": counts.requests,
        "failures": counts.failures,
        "statuses": {str(status): count for status, count in sorted(counts.statuses.items())},
        **percentiles(counts.due),
        **{f"sent_{name}": value for name, value in percentiles(counts.sent).items()},
    }


def step_fields(step: Step) -> dict[str, Any]:
    """Return a finished step's row: brief 003's table."""
    due, sent, duration = (step.distribution(path) for path in (DUE, SENT, DURATION))

    def rounded(value: float | None) -> float | None:
        return None if value is None else round(value, 3)

    return {
        "step": step.number,
        "wanted_level": step.level,
        "seconds": round(step.seconds, 3),
        "users": round(step.users, 1),
        "requests_per_second": rounded(step.rate),
        "p50_ms": due.percentile_ms(50),
        "p95_ms": due.percentile_ms(95),
        "p99_ms": due.percentile_ms(99),
        "sent_p95_ms": sent.percentile_ms(95),
        "failed_percent": rounded(100 * step.failed_share),
        "target_cpu_percent": rounded(step.mean("target_cpu")),
        "target_load1": rounded(step.mean("load")),
        "jobs_submitted_per_second": rounded(step.per_second("submitted")),
        "jobs_finished_per_second": rounded(step.finish_rate),
        "jobs_open": step.moments[-1].open,
        "job_p95_ms": duration.percentile_ms(95),
        "generator_cpu_percent": rounded(step.mean("generator_cpu")),
        "generator_lag_p95_ms": rounded(step.mean("lag_ms")),
        "limited": list(step.limited),
    }
