"""Turns metrics lines into an observation: the planner uses only what the log says. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

from loadtest_trio.report.histograms import MergedLatencies, merge
from loadtest_trio.tune.plan.cost_model import OPERATIONS, Work
from loadtest_trio.tune.plan.observations import Observation, Slice, Usage

MetricsLine = Mapping[str, Any]
_CHANNELS = ("claim", "settle", "enqueue")  # each has at most one call in progress
_NOTHING = MergedLatencies()


def observe(
    lines: Sequence[MetricsLine], workers: int, profile: Mapping[tuple[str, str], float] | None = None
) -> Observation:
    """Return the observation of a period.

    Args:
        lines: Two or more metrics lines; the first one only marks the beginning.
        workers: Concurrency.
        profile: CPU seconds of the period by operation and component; see `cost_model.Work`.
    """
    first, last, span = lines[0], lines[-1], lines[1:]
    merged = merge(span)
    whole = merged.get("end_to_end_ms", _NOTHING)
    encoded = [line["histograms"]["end_to_end_ms"] for line in span if "end_to_end_ms" in line["histograms"]]
    return Observation(
        slices=tuple(_slice(before, after) for before, after in pairwise(lines)),
        p99_ms=whole.percentile_ms(99),
        mean_ms=whole.mean_ms,
        enqueue_ms=merged.get("enqueue_wait_ms", _NOTHING).mean_ms,
        settle_ms=merged.get("settle_wait_ms", _NOTHING).mean_ms,
        end_to_end=tuple(encoded),
        errors=last["errors"] - first["errors"],
        schedule_lag_ms=median(line["schedule_lag_ms"] for line in span),
        usage=_usage(lines, merged, workers),
        work=_work(lines, profile or {}),
    )


def _slice(before: MetricsLine, after: MetricsLine) -> Slice:
    return Slice(
        seconds=after["uptime_seconds"] - before["uptime_seconds"],
        created=after["messages_created"] - before["messages_created"],
        done=_done(after) - _done(before),
        backlog=after["queue_length"] + after["in_flight"] + after["delayed"],
    )


def _done(line: MetricsLine) -> int:
    return int(line["messages_processed"]) + int(line["messages_missed"])


def _seconds(lines: Sequence[MetricsLine]) -> float:
    return float(lines[-1]["uptime_seconds"] - lines[0]["uptime_seconds"])


def _usage(lines: Sequence[MetricsLine], merged: Mapping[str, MergedLatencies], workers: int) -> Usage:
    seconds = _seconds(lines)
    span = lines[1:]
    at_work = sum(_total(merged.get(f"{name}.service_ms", _NOTHING)) for name in OPERATIONS)
    s3 = [each for path, each in merged.items() if path.startswith("s3.") and path.endswith("latency_ms")]
    inside, requests = sum(map(_total, s3)), sum(each.count for each in s3)
    calls = {name: merged.get(f"redis.{name}.latency_ms", _NOTHING) for name in _CHANNELS}
    busiest = max(calls.values(), key=_total)
    first_byte = merged.get("s3.GET.first_byte_ms")
    throttled = lines[-1]["requests_throttled"] - lines[0]["requests_throttled"]
    server = [line["redis_server_seconds"] for line in (lines[0], lines[-1])]
    return Usage(
        cpu=_mean(lines, "cpu_percent") / 100,
        cpu_wait=_mean(lines, "cpu_wait_percent") / 100,
        slots=at_work / (seconds * workers),
        s3_share=min(1.0, inside / at_work) if at_work else 0.0,
        s3_ms=1000 * inside / requests if requests else 0.0,
        first_byte_ms=first_byte.mean_ms if first_byte else None,
        get_ms=merged.get("s3.GET.latency_ms", _NOTHING).mean_ms,
        throttled=throttled / requests if requests else 0.0,
        redis_busy=_total(busiest) / seconds,
        redis_ms=busiest.mean_ms,
        redis_server=(server[1] - server[0]) / seconds,
        redis_cpu=_backend_cpu(lines, "redis"),
        s3_cpu=_backend_cpu(lines, "s3"),
        machine_cpu=_known_mean(lines, lambda line: line.get("machine_cpu_percent")),
        machine_cpus=lines[-1].get("machine_cpus"),
        loop_lag_ms=max(line["loop_lag_ms"] for line in span),
        bytes_per_second=sum(_bytes(lines, kind) for kind in ("GET", "PUT")) / seconds,
        memory_mb=lines[-1]["memory_mb"],
    )


def _total(distribution: MergedLatencies) -> float:
    """Return the sum of all values, in seconds."""
    return distribution.count * distribution.mean_ms / 1000


def _weights(lines: Sequence[MetricsLine]) -> Iterator[tuple[float, MetricsLine]]:
    for before, after in pairwise(lines):
        yield after["uptime_seconds"] - before["uptime_seconds"], after


def _mean(lines: Sequence[MetricsLine], field: str) -> float:
    """Return the mean of a field over time."""
    return sum(seconds * (line.get(field) or 0.0) for seconds, line in _weights(lines)) / _seconds(lines)


def _backend_cpu(lines: Sequence[MetricsLine], name: str) -> float | None:
    return _known_mean(lines, lambda line: line.get("backend_cpu", {}).get(name, {}).get("cpu_percent"))


def _known_mean(lines: Sequence[MetricsLine], percent: Callable[[MetricsLine], float | None]) -> float | None:
    """Return the mean of percentages over time, as a share; None where a line does not have one."""
    parts = [(seconds, percent(line)) for seconds, line in _weights(lines)]
    known = [seconds * value / 100 for seconds, value in parts if value is not None]
    return sum(known) / _seconds(lines) if len(known) == len(parts) else None


def _bytes(lines: Sequence[MetricsLine], kind: str) -> int:
    first, last = (line["s3"].get(kind, {}).get("bytes", 0) for line in (lines[0], lines[-1]))
    return int(last - first)


def _work(lines: Sequence[MetricsLine], profile: Mapping[tuple[str, str], float]) -> Work:
    first, last = (lines[0]["by_operation"], lines[-1]["by_operation"])
    return Work(
        cpu_seconds=_mean(lines, "cpu_percent") / 100 * _seconds(lines),
        seconds=_seconds(lines),
        done={
            name: sum(last[name][kind] - first[name][kind] for kind in ("processed", "missed"))
            for name in OPERATIONS
        },
        bytes_read=_bytes(lines, "GET"),
        bytes_written=_bytes(lines, "PUT"),
        unit_us=_mean(lines, "pace_us"),
        profile=profile,
    )
