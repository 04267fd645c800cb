"""CloudWatch embedded metric format: the header that turns a log line into metrics. Pure.

Source: Amazon CloudWatch User Guide, "Specification: Embedded metric format". The values themselves
are the line's own top-level fields; CloudWatch Logs extracts them without an agent.
"""

from collections.abc import Collection
from typing import Any

from loadtest_trio.settings import Role

UNITS = {
    "rate_per_second": "Count/Second",
    "queue_length": "Count",
    "in_flight": "Count",
    "delayed": "Count",
    "dead": "Count",
    "oldest_seconds": "Seconds",
    "ledger_difference": "Count",
    "messages_created": "Count",
    "messages_processed": "Count",
    "messages_missed": "Count",
    "messages_failed": "Count",
    "messages_withheld": "Count",
    "errors": "Count",
    "objects": "Count",
    "cpu_percent": "Percent",
    "memory_mb": "Megabytes",
    "open_fds": "Count",
    "loop_lag_ms": "Milliseconds",
    "schedule_lag_ms": "Milliseconds",
    "redis_latency_ms": "Milliseconds",
    "end_to_end_p99_ms": "Milliseconds",
}
"""Field of a metrics line -> its unit."""

JOB_UNITS = {
    "jobs_pending": "Count",
    "jobs_running": "Count",
    "jobs_retrying": "Count",
    "jobs_completed": "Count",
    "jobs_dead_letter": "Count",
    "jobs_cancelled": "Count",
    "job_lanes": "Count",
    "job_results_to_pull": "Count",
    "job_cache_hit_percent": "Percent",
    "http_requests": "Count",
    "http_throttled": "Count",
    "http_errors": "Count",
    "http_p99_ms": "Milliseconds",
}
"""Field that `job_fields` adds to the line of a process that serves the job API -> its unit."""


def job_fields(line: dict[str, Any]) -> dict[str, float | None]:
    """Return the figures about jobs and requests as fields of their own.

    A metric has to be a member of the line's root, and has one value per line. Figures by type, route and
    status therefore stay where they are; these are their sums.

    Args:
        line: The metrics line.

    Returns:
        Fields named in `JOB_UNITS`; none for a process that serves no job API. ``http_throttled`` counts 429,
        ``http_errors`` 5xx, and ``http_p99_ms`` is that of the slowest route.
    """
    fields: dict[str, float | None] = {}
    if "jobs" in line:
        jobs = line["jobs"]
        fields |= {f"jobs_{status.lower()}": count for status, count in jobs["byStatus"].items()}
        rate = jobs["cache"]["hitRate"]
        fields["job_cache_hit_percent"] = None if rate is None else round(100 * rate, 2)
        fields["job_lanes"], fields["job_results_to_pull"] = jobs["lanes"], jobs["completedToPull"]
    if "requests" in line:
        routes = line["requests"].values()
        answers = [(status, count) for route in routes for status, count in route["statuses"].items()]
        p99 = [route["latency_ms"]["p99"] for route in routes if route["latency_ms"]["p99"] is not None]
        fields["http_requests"] = sum(count for _, count in answers)
        fields["http_throttled"] = sum(count for status, count in answers if status == "429")
        fields["http_errors"] = sum(count for status, count in answers if status[0] == "5")
        fields["http_p99_ms"] = max(p99, default=None)
    return fields


def role_of(roles: Collection[Role]) -> str:
    """Return the dimension ``role`` of a process: ``main`` if it schedules, else ``api`` or ``workers``."""
    if Role.SCHEDULER in roles:
        return "main"
    return "api" if Role.API in roles else "workers"


def header(
    line: dict[str, Any], *, namespace: str, service: str, role: str, unix_seconds: float
) -> dict[str, Any]:
    """Return the fields to add to a metrics line.

    Args:
        line: The metrics line; fields that are None are left out, as the format has no null.
        namespace: The CloudWatch namespace.
        service: The value of the dimension ``service``.
        role: The value of the dimension ``role``, from `role_of`.
        unix_seconds: The time of the values.

    Returns:
        ``_aws``, ``service`` and ``role``; and as fields of their own, because a metric must be at the top
        level, the ledger's difference and the `job_fields`.
    """
    copied = {name: value for name, value in job_fields(line).items() if value is not None}
    if "ledger" in line:
        copied["ledger_difference"] = line["ledger"]["difference"]
    values, units = line | copied, UNITS | JOB_UNITS
    metrics = [{"Name": name, "Unit": unit} for name, unit in units.items() if values.get(name) is not None]
    directive = {"Namespace": namespace, "Dimensions": [["service", "role"]], "Metrics": metrics}
    return {
        "_aws": {"Timestamp": int(unix_seconds * 1000), "CloudWatchMetrics": [directive]},
        "service": service,
        "role": role,
        **copied,
    }
