"""Puts together the log lines that were too long for one line (see `loadtest_trio.metrics.line_limit`)."""

from collections.abc import Iterable
from typing import Any

LogLine = dict[str, Any]

HEADER = frozenset(
    {"timestamp", "level", "run_id", "event", "of", "line_id", "part", "_at", "_source", "_order"}
)
"""Fields that say which line this is, not what happened."""


def join_details(lines: Iterable[LogLine]) -> list[LogLine]:
    """Return lines with the fields of their ``details`` lines, which are left out.

    Args:
        lines: Parsed lines of any number of runs, in any order. They are changed in place.

    Returns:
        The other lines in the same order. Details whose line is missing are dropped: they are no lines of
        their own.
    """
    whole: list[LogLine] = []
    details: list[LogLine] = []
    for line in lines:
        (details if line.get("event") == "details" else whole).append(line)
    owners = {_key(line): line for line in whole if "line_id" in line}
    for part in sorted(details, key=_part):
        owner = owners.get(_key(part))
        if owner is not None:
            _add(owner, {name: value for name, value in part.items() if name not in HEADER})
    return whole


def _key(line: LogLine) -> tuple[str, str, str]:
    event = line.get("of") if line.get("event") == "details" else line.get("event")
    return str(line.get("run_id")), str(line.get("line_id")), str(event)


def _part(line: LogLine) -> float:
    part = line.get("part")
    return part if isinstance(part, int | float) else 0


def _add(target: dict[str, Any], fields: dict[str, Any]) -> None:
    """Add fields to an object; objects are merged, lists are appended."""
    for name, value in fields.items():
        present = target.get(name)
        if isinstance(present, dict) and isinstance(value, dict):
            _add(present, value)
        elif isinstance(present, list) and isinstance(value, list):
            present.extend(value)
        else:
            target[name] = value
