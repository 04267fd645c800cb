"""CloudWatch's rules for a line in the embedded metric format, as its specification states them.

Source: Amazon CloudWatch User Guide, "Specification: Embedded metric format".
"""

import time
from collections.abc import Mapping
from typing import Any

_UNITS = frozenset(
    {"Seconds", "Microseconds", "Milliseconds", "Bytes", "Kilobytes", "Megabytes", "Percent", "Count", "None"}
    | {"Bytes/Second", "Count/Second"}
)
_FORTNIGHT_MS, _TWO_HOURS_MS = 14 * 86_400_000, 2 * 3_600_000


def extract(line: Mapping[str, Any]) -> dict[tuple[str, str, tuple[tuple[str, str], ...]], float]:
    """Return what CloudWatch would make of a line: (namespace, metric, dimensions) -> value.

    Raises:
        AssertionError: CloudWatch would ignore the line or a part of it.
    """
    header, now = line["_aws"], time.time() * 1000
    assert isinstance(header["Timestamp"], int)
    assert now - _FORTNIGHT_MS <= header["Timestamp"] <= now + _TWO_HOURS_MS, "outside of what is taken"
    found = {}
    for directive in header["CloudWatchMetrics"]:
        assert 1 <= len(directive["Namespace"]) <= 1024
        assert 1 <= len(directive["Metrics"]) <= 100, "at most 100 metrics a directive"
        for names in directive["Dimensions"]:
            assert len(names) <= 30
            dimensions = tuple((name, _dimension(line[name])) for name in names)
            for metric in directive["Metrics"]:
                assert metric.get("Unit", "None") in _UNITS
                value = line[metric["Name"]]  # a member of the root, by name
                assert isinstance(value, int | float), metric
                assert not isinstance(value, bool), metric
                found[directive["Namespace"], metric["Name"], dimensions] = float(value)
    return found


def _dimension(value: object) -> str:
    assert isinstance(value, str), "a dimension's value is text"
    assert 1 <= len(value) <= 1024
    return value
