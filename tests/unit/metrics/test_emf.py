"""The embedded metric format, held to the rules of its specification (Amazon CloudWatch User Guide)."""

from typing import Any

import pytest

from loadtest_trio.metrics.emf import UNITS, header, role_of
from loadtest_trio.settings import Role

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


@pytest.mark.parametrize("name", UNITS)
def test_metric_names_are_valid(name: str) -> None:
    """Metric names are printable ASCII of 1 to 255 characters."""
    assert name.isascii()
    assert name.isprintable()
    assert 1 <= len(name) <= 255
