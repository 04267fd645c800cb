"""The embedded metric format, held to the rules of its specification (Amazon CloudWatch User Guide)."""

import time
from typing import Any

import pytest

from loadtest_trio.metrics.emf import JOB_UNITS, UNITS, header, role_of
from loadtest_trio.settings import Role
from tests.support.embedded_metrics import extract

LINE: dict[str, Any] = {
    **dict.fromkeys(UNITS.keys() - {"ledger_difference"}, 1.5),
    "phase": "steady",
    "end_to_end_p99_ms": None,
    "ledger": {"difference": -3},
}
CLOUDWATCH_UNITS = {"Count", "Count/Second", "Percent", "Megabytes", "Milliseconds", "Seconds"}


def test_the_header_follows_the_specification() -> None:
    """Whole milliseconds, at most 100 metrics and 30 dimensions a directive, and every target exists."""
    fields = header(
        LINE, namespace="name/space", service="queue", role="main", unix_seconds=1_790_000_000.1239
    )
    line = LINE | fields
    assert fields["_aws"]["Timestamp"] == 1_790_000_000_123
    (directive,) = fields["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "name/space"
    assert 0 < len(directive["Metrics"]) <= 100
    for dimensions in directive["Dimensions"]:
        assert 0 < len(dimensions) <= 30
        assert all(isinstance(line[name], str) for name in dimensions)
    for metric in directive["Metrics"]:
        assert isinstance(line[metric["Name"]], int | float)
        assert metric["Unit"] in CLOUDWATCH_UNITS
    assert (fields["service"], fields["role"]) == ("queue", "main")


def test_unknown_values_are_left_out() -> None:
    """The format has no null: a field without a value is no metric of this line."""
    (directive,) = header(LINE, namespace="n", service="q", role="r", unix_seconds=0)["_aws"][
        "CloudWatchMetrics"
    ]
    names = [metric["Name"] for metric in directive["Metrics"]]
    assert "end_to_end_p99_ms" not in names
    assert sorted([*names, "end_to_end_p99_ms"]) == sorted(UNITS)


def test_ledger_difference_becomes_a_metric() -> None:
    """A metric is a field at the top level, so the difference is copied out of the ledger."""
    fields = header(LINE, namespace="n", service="q", role="r", unix_seconds=0)
    assert fields["ledger_difference"] == -3


@pytest.mark.parametrize(
    ("roles", "role"),
    [
        ({Role.SCHEDULER, Role.WORKER}, "main"),
        ({Role.SCHEDULER, Role.WORKER, Role.API}, "main"),
        ({Role.API, Role.WORKER}, "api"),
        ({Role.API}, "api"),
        ({Role.WORKER}, "workers"),
    ],
)
def test_role_tells_processes_of_one_queue_apart(roles: set[Role], role: str) -> None:
    """Schedulers, servers of jobs and mere workers have metrics of their own."""
    assert role_of(roles) == role


def answers(p99: float | None, **statuses: int) -> dict[str, Any]:
    """A route of a metrics line."""
    return {
        "statuses": {name.removeprefix("of_"): count for name, count in statuses.items()},
        "latency_ms": {"p50": p99, "p95": p99, "p99": p99, "max": p99},
    }


def test_jobs_and_requests_become_fields_of_the_root() -> None:
    """CloudWatch sees no nested field, so what it should extract is repeated at the root, and only that."""
    words = ("PENDING", "RUNNING", "RETRYING", "COMPLETED", "DEAD_LETTER", "CANCELLED")
    jobs = {
        "byStatus": {word: 10 + number for number, word in enumerate(words)},
        "cache": {"hits": 3, "misses": 1, "hitRate": 0.75},
        "lanes": 4,
        "completedToPull": 5,
    }
    requests = {
        "POST /api/jobs": answers(12.5, of_202=7, of_429=2, of_503=1),
        "GET /api/jobs/{id}": answers(3.5, of_200=90, of_500=1),
        "other": answers(None, of_404=1),
    }
    line = {**LINE, "jobs": jobs, "requests": requests}
    fields = header(line, namespace="n", service="q", role="r", unix_seconds=time.time())
    found = {name: value for (_, name, _), value in extract(line | fields).items() if name in JOB_UNITS}
    assert found == {
        **{f"jobs_{word.lower()}": 10.0 + number for number, word in enumerate(words)},
        "job_cache_hit_percent": 75.0, "job_lanes": 4.0, "job_results_to_pull": 5.0,
        "http_requests": 102.0, "http_throttled": 2.0, "http_errors": 2.0, "http_p99_ms": 12.5,
    }  # fmt: skip
    assert found.keys() == JOB_UNITS.keys()


@pytest.mark.parametrize("name", UNITS | JOB_UNITS)
def test_metric_names_are_valid(name: str) -> None:
    """Metric names are printable ASCII of 1 to 255 characters."""
    assert name.isascii()
    assert name.isprintable()
    assert 1 <= len(name) <= 255
