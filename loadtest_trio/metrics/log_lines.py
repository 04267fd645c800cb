"""Log records as flat JSON lines. Text for people is in `text_lines`."""

import json
from datetime import UTC
from itertools import count
from math import isfinite
from typing import TYPE_CHECKING, Any

import orjson

from loadtest_trio.metrics.line_limit import ALWAYS_APART, LONGEST_LINE_BYTES, fit

if TYPE_CHECKING:
    from loguru import Record


def _header(record: "Record") -> dict[str, Any]:
    stamp = record["time"].astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"timestamp": stamp, "level": record["level"].name}


def flat(record: "Record") -> dict[str, Any]:
    """Return a record as one flat dictionary, of any size."""
    return {**_header(record), "event": record["message"], **record["extra"]}


class JsonLines:
    """Renders records as flat JSON objects, one a line.

    Args:
        run_id: Stands on every line and tells runs apart.
    """

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._line_ids = count(1)

    def __call__(self, record: "Record") -> str:
        """Return a record as a line, or as several where it would be too long for one."""
        event, fields = record["message"], record["extra"]
        header = {**_header(record), "run_id": self._run_id, "event": event}
        if ALWAYS_APART.isdisjoint(fields):
            line = _line(header | fields)
            if len(line.encode()) <= LONGEST_LINE_BYTES:
                return line
        kept, details = fit(fields, encode)
        line_id = next(self._line_ids)
        follow = header | {"event": "details", "of": event, "line_id": line_id}
        return _line(header | {"line_id": line_id} | kept) + "".join(
            _line(follow | {"part": part} | fields) for part, fields in enumerate(details, 1)
        )


def _line(fields: dict[str, Any]) -> str:
    return encode(fields).decode() + "\n"


def encode(value: Any) -> bytes:
    """Return a value as JSON; what JSON has no form for is written as text."""
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # a lone surrogate or an integer beyond 64 bits must not end the task that logs it
        text = json.dumps(_finite(value), default=str, ensure_ascii=False, separators=(",", ":"))
        return text.encode(errors="replace")


def _finite(value: Any) -> Any:
    """Return a value without NaN and infinity, for which JSON has no form; orjson writes null for them."""
    match value:
        case float():
            return value if isfinite(value) else None
        case dict():
            return {str(key): _finite(each) for key, each in value.items()}
        case list() | tuple():
            return [_finite(each) for each in value]
    return value
