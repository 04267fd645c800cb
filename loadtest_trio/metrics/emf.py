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
        ``_aws``, ``service`` and ``role``, and the ledger's difference as a field of its own, because a
        metric must be at the top level.
    """
    difference = {"ledger_difference": line["ledger"]["difference"]} if "ledger" in line else {}
    values = line | difference
    metrics = [{"Name": name, "Unit": unit} for name, unit in UNITS.items() if values.get(name) is not None]
    directive = {"Namespace": namespace, "Dimensions": [["service", "role"]], "Metrics": metrics}
    return {
        "_aws": {"Timestamp": int(unix_seconds * 1000), "CloudWatchMetrics": [directive]},
        "service": service,
        "role": role,
        **difference,
    }
