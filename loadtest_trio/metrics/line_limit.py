"""Keeps log lines below the length at which container runtimes cut them in two. Pure.

Docker and containerd cut lines after 16 KiB (docker's `copier.go`, CRI's `max_container_log_line_size`), and
a JSON line cut in two is lost to most readers. A longer line is therefore written as several: the first
keeps its event, its numbers and whatever else fits; large fields follow on ``details`` lines, which carry the
number of the first (``line_id``):

    {"event": "metrics", "line_id": 7, "rate_per_second": 50.1, …}
    {"event": "details", "of": "metrics", "line_id": 7, "part": 1, "histograms": {"READ.service_ms": …}}
    {"event": "details", "of": "metrics", "line_id": 7, "part": 2, "histograms": {"DELETE.service_ms": …}}

`loadtest_trio.report.details` puts them together again. Nothing that logs needs to know about any of this.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

LONGEST_LINE_BYTES = 16_000
"""Of one line with its line break; the runtimes' limit is 16,384."""

ALWAYS_APART = frozenset({"histograms"})
"""Fields on details lines in any case: they are large under load, and a line should not change its form."""

_NEVER_APART = ("_aws",)  # CloudWatch reads it together with the numbers that it declares
_LARGE_TEXT_BYTES = 1000
_HEADER_BYTES = 400  # of a details line: timestamp, level, run_id, event, of, line_id, part
_SYNTAX_BYTES = 4  # quotes, colon and comma around a key; brackets are in the header's share

Encode = Callable[[Any], bytes]
_Path = tuple[Any, ...]


def fit(
    fields: Mapping[str, Any], encode: Encode, header_bytes: int = _HEADER_BYTES
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Split the fields of a line so that each part fits into a line.

    Args:
        fields: The fields of one log line.
        encode: Returns a value as it is written.
        header_bytes: What every line carries besides its fields.

    Returns:
        The fields that stay on the line, and the fields of each details line. Text that is longer than a
        line is cut.
    """
    room = LONGEST_LINE_BYTES - header_bytes
    kept = dict(fields)
    apart = {name: kept.pop(name) for name in ALWAYS_APART if name in kept}
    excess = len(encode(kept)) - room
    if excess > 0:
        for size, name in sorted(_movable(kept, encode), reverse=True):
            if excess <= 0:
                break
            apart[name] = kept.pop(name)
            excess -= size
    return kept, _packed(apart, encode, room)


def _movable(fields: Mapping[str, Any], encode: Encode) -> Iterator[tuple[int, str]]:
    for name, value in fields.items():
        if name not in _NEVER_APART and isinstance(value, dict | list | tuple | str):
            size = len(encode(value))
            if size > _LARGE_TEXT_BYTES or not isinstance(value, str):
                yield size, name


def _packed(fields: Mapping[str, Any], encode: Encode, room: int) -> list[dict[str, Any]]:
    """Return as few objects as possible that together hold the fields, none larger than `room` bytes."""
    packed: list[dict[str, Any]] = []
    free = 0
    for path, value in _pieces((), dict(fields), encode, room):
        size = _piece_bytes(path, value, encode)
        if size > free:
            packed.append({})
            free = room
        free -= size
        _put(packed[-1], path, value)
    return packed


def _pieces(path: _Path, value: Any, encode: Encode, room: int) -> Iterator[tuple[_Path, Any]]:
    """Yield a value in pieces that fit: whole, by its keys or elements, or cut."""
    if path and _piece_bytes(path, value, encode) <= room:
        yield path, value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _pieces((*path, key), each, encode, room)
    elif isinstance(value, list | tuple):
        for each in value:
            fits = _piece_bytes(path, [each], encode) <= room
            yield path, [each if fits else _cut(str(each), path, encode, room)]
    else:
        yield path, _cut(str(value), path, encode, room)


def _cut(text: str, path: _Path, encode: Encode, room: int) -> str:
    while len(text) > 1 and _piece_bytes(path, [text], encode) > room:
        text = f"{text[: len(text) * 3 // 4 - 1]}…"
    return text


def _piece_bytes(path: _Path, value: Any, encode: Encode) -> int:
    return len(encode(value)) + sum(len(encode(str(key))) + _SYNTAX_BYTES for key in path)


def _put(target: dict[Any, Any], path: _Path, value: Any) -> None:
    """Set a value inside nested objects; elements of a list are appended to those already there."""
    for key in path[:-1]:
        target = target.setdefault(key, {})
    if isinstance(target.get(path[-1]), list):
        target[path[-1]] += value
    else:
        target[path[-1]] = value
