"""Log lines as the service writes them, made up."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hdrh.histogram import HdrHistogram

Line = dict[str, Any]
START = 1_700_000_000.0


def stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def histogram(*milliseconds: float) -> str:
    recorded = HdrHistogram(1, 3_600_000_000, 2)
    for value in milliseconds:
        recorded.record_value(int(value * 1000))
    return str(recorded.encode().decode())


def metrics(at: float, processed: int, start: float = START, **fields: Any) -> Line:
    """A metrics line `at` seconds after the start."""
    line: Line = {
        "timestamp": stamp(start + at),
        "level": "INFO",
        "event": "metrics",
        "uptime_seconds": at,
        "phase": "steady",
        "messages_created": processed + 7,
        "messages_processed": processed,
        "messages_missed": 0,
        "messages_failed": 0,
        "errors": 0,
        "ledger": {"created": processed + 7, "processed": processed, "queued": 7, "difference": 0},
        "queue_length": 7,
        "in_flight": 0,
        "delayed": 0,
        "cpu_percent": 50.0,
        "memory_mb": 60.0,
        "by_operation": {
            "READ": {"share_nominal": 50.0, "share_actual": 49.5, "created": 10, "processed": 9},
            "UPDATE": {"share_nominal": 50.0, "share_actual": 50.5, "created": 10, "processed": 9},
        },
        "histograms": {"READ.service_ms": histogram(10, 20), "end_to_end_ms": histogram(30, 40)},
    }
    return line | fields


def run_lines(
    rates: list[int], start: float = START, interval: float = 1.0, settings: dict[str, str] | None = None
) -> list[Line]:
    """A whole run that processes so many messages in each interval."""
    lines: list[Line] = [
        {
            "timestamp": stamp(start),
            "level": "INFO",
            "event": "service_started",
            "machine": {"cpu_model": "Test CPU", "cpus": 2, "memory_mb": 1000},
            "versions": {"python": "3.11"},
            "settings": settings or {"WORKER_CONCURRENCY": "10"},
        }
    ]
    total = 0
    for number, rate in enumerate([0, *rates]):
        total += rate
        lines.append(metrics(number * interval, total, start))
    return [*lines, lines[-1] | {"event": "service_stopped", "reason": "the run's duration is over"}]


def encode(lines: list[Line]) -> bytes:
    return b"".join(orjson.dumps(line) + b"\n" for line in lines)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write lines to a file: ``write(lines, name="run.jsonl")``."""

    def to_file(lines: list[Line] | bytes, name: str = "run.jsonl") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(lines if isinstance(lines, bytes) else encode(lines))
        return path

    return to_file


@pytest.fixture
def make() -> Any:
    """The makers of lines: ``make.run_lines``, ``make.metrics``, ``make.histogram``, ``make.encode``."""

    class Makers:
        start = START

    makers = Makers()
    for function in (run_lines, metrics, histogram, encode, stamp):
        setattr(makers, function.__name__, function)
    return makers
