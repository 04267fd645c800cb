"""The two forms of a log record: flat JSON lines for machines, one readable line for people."""

import json
from datetime import UTC
from itertools import count
from math import isfinite
from typing import TYPE_CHECKING, Any

import orjson

from loadtest_trio.metrics.line_limit import fit

if TYPE_CHECKING:
    from loguru import Record

_HIDDEN_IN_TEXT = frozenset(
    {"by_operation", "s3", "redis", "histograms", "ledger", "_aws", "settings", "machine"}
)
_METRICS_TEXT = (
    "up {uptime_seconds:.0f} s | {phase} | {rate_per_second} msg/s | queue {queue_length} "
    "in flight {in_flight} delayed {delayed} dead {dead} | created {messages_created} "
    "processed {messages_processed} missed {messages_missed} | objects {objects} | errors {errors} | "
    "p99 {end_to_end_p99_ms} ms | cpu {cpu_percent} % | {memory_mb} MB"
)


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
        event = record["message"]
        kept, details = fit(record["extra"], encode)
        header = {**_header(record), "run_id": self._run_id, "event": event}
        if not details:
            return _line(header | kept)
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


def render_text(record: "Record") -> str:
    """Return a record as one readable line; nested fields are left to the JSON form."""
    name, fields = record["message"], record["extra"]
    if name == "metrics":
        text = _METRICS_TEXT.format_map(fields)
    else:
        shown = (f"{key}={value}" for key, value in fields.items() if key not in _HIDDEN_IN_TEXT)
        text = " ".join((name.replace("_", " "), *shown))
    line = f"{record['time']:HH:mm:ss} {record['level'].name:<7} {text}\n"
    return line.encode(errors="replace").decode()
