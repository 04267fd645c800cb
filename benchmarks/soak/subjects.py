"""What a soak of each service shows: the series that are fitted or must not grow, and what must add up."""

from collections.abc import Callable
from typing import Any

import attrs

Samples = dict[str, list[float]]
Run = dict[str, Any]

_SIZE = {"rss_mb": "memory (RSS), MB", "fds": "open file descriptors", "threads": "threads"}
_CPU = {"cpu_percent": "CPU, % of one core"}
_LATENCY = {"end_to_end_p99_ms": "end-to-end p99, ms"}
_LAST_LEDGER = (
    "messages_created",
    "messages_processed",
    "messages_missed",
    "messages_withheld",
    "dead",
    "lost",
    "errors",
)
_ENDS = ("processed", "missed", "dead", "purged", "cancelled")


@attrs.frozen(kw_only=True)
class Subject:
    """A service under test.

    Attributes:
        fitted: Column -> its name in the table of slopes.
        panels: Column -> the title of its panel, at most seven.
        must_not_grow: Columns whose growth is a defect.
        title: Returns the heading.
        account: Returns the sentence that accounts for every message or job.
        faults: Returns what does not add up; empty when everything does.
    """

    fitted: dict[str, str]
    panels: dict[str, str]
    must_not_grow: tuple[str, ...]
    title: Callable[[Run, Samples], str]
    account: Callable[[Run, Samples], str]
    faults: Callable[[Run, Samples], list[str]]


def _minutes(samples: Samples) -> str:
    return f"Soak: {samples['uptime_seconds'][-1] / 60:.0f} minutes"


def _load_title(run: Run, samples: Samples) -> str:
    settings = run["service_started"]["settings"]
    rate, workers = settings["SCHEDULER_MESSAGES_PER_SECOND"], settings["WORKER_CONCURRENCY"]
    return f"{_minutes(samples)} at {rate} messages a second, {workers} workers"


def _load_account(run: Run, samples: Samples) -> str:  # noqa: ARG001 - the same for both services
    ledger = ", ".join(f"{name.replace('_', ' ')} {samples[name][-1]:,.0f}" for name in _LAST_LEDGER)
    difference = "NOT 0" if any(samples["ledger_difference"]) else "0"
    return f"Books at the last sample: {ledger}. The ledger's difference was {difference} in every line."


def _load_faults(run: Run, samples: Samples) -> list[str]:  # noqa: ARG001 - the same for both services
    names = ("ledger_difference", "lost")
    return [f"{name.replace('_', ' ')} is not 0" for name in names if any(samples[name])]


def _jobs_title(run: Run, samples: Samples) -> str:
    rate = run["users_stopped"]["requests"] / run["users_stopped"]["uptime_seconds"]
    return (
        f"{_minutes(samples)} of the job service under {run['users']:,} users, {rate:,.0f} requests a second"
    )


def _jobs_account(run: Run, samples: Samples) -> str:
    users, ledger = run["users_stopped"], run["service_stopped"]["ledger"]
    ends = ", ".join(f"{name} {ledger[name]:,}" for name in _ENDS)
    difference = "NOT 0" if any(samples["ledger_difference"]) else "0"
    return (
        f"Records expire after {run['ttl_seconds']} seconds. The users made {users['requests']:,} requests, "
        f"of which {users['failures']:,} failed; {users['jobs_submitted']:,} jobs were accepted, and their "
        f"users saw {users['jobs_finished']:,} succeed, {users['jobs_failed']:,} fail and gave up on "
        f"{users['jobs_abandoned']:,}. The ledger after the end: created {ledger['created']:,}, {ends}, lost "
        f"{ledger['lost']:,}. Its difference was {difference} in every line."
    )


def _jobs_faults(run: Run, samples: Samples) -> list[str]:
    users, ledger = run["users_stopped"], run["service_stopped"]["ledger"]
    ended, accepted, created = sum(ledger[name] for name in _ENDS), users["jobs_submitted"], ledger["created"]
    found = _load_faults(run, samples)
    if created != ended:
        found.append(f"{created - ended:,} of {created:,} jobs have not ended")
    if accepted > created:
        found.append(f"{accepted - created:,} of {accepted:,} accepted jobs are missing in the ledger")
    return found


SUBJECTS = {
    "load": Subject(
        fitted={**_SIZE, **_LATENCY, "queue_length": "queue length", **_CPU},
        panels={
            **_SIZE,
            **_CPU,
            **_LATENCY,
            "rate_per_second": "messages a second",
            "queue_length": "queue length",
        },
        must_not_grow=tuple(_SIZE),
        title=_load_title,
        account=_load_account,
        faults=_load_faults,
    ),
    "jobs": Subject(
        fitted={
            **_SIZE,
            "redis_keys": "keys in Redis",
            "redis_mb": "memory of Redis, MB",
            **_LATENCY,
            **_CPU,
        },
        panels={
            **_SIZE,
            **_CPU,
            "redis_keys": "keys in Redis",
            "redis_mb": "memory of Redis, MB",
            "rate_per_second": "jobs a second",
        },
        must_not_grow=(*_SIZE, "redis_keys", "redis_mb"),
        title=_jobs_title,
        account=_jobs_account,
        faults=_jobs_faults,
    ),
}
"""By the service's name in `run.json`; runs recorded before it was written there are of the load service."""
