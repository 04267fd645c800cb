"""Log lines as the service writes them, made up."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hdrh.histogram import HdrHistogram

LogLine = dict[str, Any]
START = 1_700_000_000.0


def stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def histogram(*milliseconds: float) -> str:
    recorded = HdrHistogram(1, 3_600_000_000, 2)
    for value in milliseconds:
        recorded.record_value(int(value * 1000))
    return str(recorded.encode().decode())


def metrics(at: float, processed: int, start: float = START, **fields: Any) -> LogLine:
    """A metrics line `at` seconds after the start."""
    line: LogLine = {
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
) -> list[LogLine]:
    """A whole run that processes so many messages in each interval."""
    lines: list[LogLine] = [
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


def _stages(start: float) -> list[LogLine]:
    """A climb, a failure, and two windows of the confirmation; each stage counts its messages anew."""
    lines: list[LogLine] = []
    stages = (("climb", 1, 90.0, True), ("climb", 2, 135.0, False), ("confirm", 3, 100.0, True))
    for kind, stage, rate, passed in stages:
        for second in range(5):
            at = 10.0 * stage + second
            slow = histogram(*[2000 if kind == "climb" else 20] * 10)
            own = {
                "stage": stage,
                "stage_kind": kind,
                "histograms": {"end_to_end_ms": slow, "READ.service_ms": slow},
            }
            lines.append(metrics(at, round(rate) * second, start, **own))
        said = {
            "event": "tune_stage", "stage": stage, "kind": kind, "change": "window 1" if stage == 3 else "",
            "workers": 10, "nominal_per_second": rate, "offered_per_second": 1.05 * rate,
            "goodput_per_second": rate, "seconds": 4.0, "passed": passed,
            "reasons": [] if passed else ["the backlog grows"], "backlog": 5, "p99_ms": 40.0,
            "error_percent": 0.0, "cpu_percent": 50.0, "memory_mb": 60.0,
        }  # fmt: skip
        lines.append({"timestamp": stamp(start + at + 0.1), "level": "INFO"} | said)
    return lines


_BELIEF = {"low": -0.1, "high": 0.9}
_PREDICTION = {
    "mix": "configured",
    "bytes": 20_000,
    "cpu_us": 300.0,
    "extrapolated": True,
    "per_vcpu": 3000.0,
}
_PROBED = {"steal": 0.0, "mhz": None, "core_share": 0.9, "cpu_percent": 50.0, "cpu_wait_percent": 5.0}
_FOUND: tuple[LogLine, ...] = (
    {"event": "tune_saturation", "workers": 10, "rate": 105.2, "offered_per_second": 100.4,
     "failed_at": 140.0, "reasons": ["the backlog grows"], "confirmed": True, "windows": 4,
     "windows_passed": 3, "cpu_wait": 0.3, "speed": 1.25, "rate_normalised": 84.2, "low": 101.0,
     "high": 112.0, "low_normalised": 80.8, "high_normalised": 89.6},
    *({"event": "tune_window", "at_seconds": 20.0 + place, "experiment": name, "change": name, "workers": 10,
       "seconds": 1.2, "per_second": rate, "speed": 1.2, **_PROBED}
      for place, (name, rate) in enumerate([("baseline", 120.0), ("cpu", 90.0)] * 3)),
    {"event": "tune_host_changed", "at_seconds": 12.0, "before": 1.2, "after": 0.9,
     "repeated": "climb at 90/s made again"},
    {"event": "tune_experiment", "experiment": "cpu", "change": "25% of a core burnt",
     "before_per_second": 120.0, "after_per_second": 90.0, "factor": 0.75, "elasticity": 1.0,
     "windows": [-0.3, -0.25, -0.9], "left_out": 1, "disturbed": 0, **_BELIEF},
    {"event": "tune_verdict", "bottleneck": "CPU", "because": ["It waited for a core 30 % of the time."],
     "scores": {"CPU": 0.9, "Redis": 0.1}, "evidence": {"cpu": 0.9, "cpu_wait": 0.3}},
    {"event": "tune_scaling", "lambda": 10.0, "sigma": 0.1, "kappa": 0.0, "peak_reached": False,
     "peak_workers": None, "peak_rate": None, "not_distinguishable_from_0": ["kappa"],
     "intervals": {"lambda": [9.0, 11.0], "sigma": [0.05, 0.2], "kappa": [0.0, 0.001]},
     "points": [{"workers": n, "rate": 9.0 * n, "low": 8.0 * n, "high": 10.0 * n} for n in (1, 2, 4)],
     "littles_law": {"ratio": 1.0, "least": 0.9, "most": 1.2, "stages": 3, "within": 3, "passed": True}},
    {"event": "tune_costs", "mean_bytes": 200_000, "measured_bytes": [50_000, 200_000],
     "operations": {"READ": {"total_us": 500.0, "low": 450.0, "high": 550.0}},
     "components": {"READ": {"sign": 100.0, "Redis": 400.0}}, "predictions": [_PREDICTION | _BELIEF]},
    {"event": "tune_next_verdict", "bottleneck": "S3", "because": ["It is slow."], "workers": 20},
    {"event": "tune_stopped", "reason": "complete"},
)  # fmt: skip


def tune_lines(start: float = START) -> list[LogLine]:
    """A whole saturation search."""
    begin: list[LogLine] = [
        {"event": "tune_started", "objective_p99_ms": 1000.0, "settings": {"WORKER_CONCURRENCY": "10"}},
        {"event": "tune_calibrated", "score": 1.1, "score_spread": 0.01, "client_ceiling_per_second": 5000.0},
    ]
    said = [{"timestamp": stamp(start), "level": "INFO"} | line for line in begin]
    last = [{"timestamp": stamp(start + 40), "level": "INFO"} | line for line in _FOUND]
    return [*said, *_stages(start), *last]


def encode(lines: list[LogLine]) -> bytes:
    return b"".join(orjson.dumps(line) + b"\n" for line in lines)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write lines to a file: ``write(lines, name="run.jsonl")``."""

    def to_file(lines: list[LogLine] | bytes, name: str = "run.jsonl") -> Path:
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
    for function in (run_lines, tune_lines, metrics, histogram, encode, stamp):
        setattr(makers, function.__name__, function)
    return makers
