"""``/metrics`` for Prometheus: this process's counters, and where the queue's messages are.

Names and units follow prometheus.io, "Metric and label naming". Counters and histograms are the service's
own; values of an interval come from the latest metrics line.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from quart import Response, request
from quart_trio import QuartTrio

from loadtest_trio import __version__
from loadtest_trio.metrics.counters import CallStats, Metrics
from loadtest_trio.metrics.latencies import Latencies
from loadtest_trio.web.dashboard import Access

# Of the formats that the library can write.
_VERSION = re.compile(r"version=(0\.0\.1|0\.0\.4|1\.0\.0)\s*(;|$)")
_TOTALS = {
    "errors": ("loadtest_attempts_failed", "Failed attempts at operations and LISTs."),
    "retry": ("loadtest_messages_retried", "Messages put back to wait after transient failures."),
    "withheld": ("loadtest_messages_withheld", "Messages that were due and not put on the queue."),
    "stale": ("loadtest_settlements_stale", "Results that came too late."),
    "throttled": ("loadtest_s3_requests_throttled", "S3 requests answered with 503 SlowDown or 429."),
}
_OPERATIONS = {
    "created": "Messages that this process put on the queue.",
    "processed": "Messages that this process has done.",
    "missed": "Messages whose object was gone.",
    "failed": "Messages that this process gave up.",
}
_SPANS = {
    "queue_wait": "From due until a worker took the message.",
    "service": "The work itself.",
    "end_to_end": "From due to done.",
}
_GAUGES = {
    "rate_per_second": (
        "loadtest_processed_per_second",
        "Messages done a second over the last interval.",
        1.0,
    ),
    "rate_target": ("loadtest_target_per_second", "Messages a second that the scheduler offers.", 1.0),
    "workers": ("loadtest_workers", "Workers of this process.", 1.0),
    "objects": ("loadtest_objects", "Objects known to exist.", 1.0),
    "oldest_seconds": (
        "loadtest_oldest_message_age_seconds",
        "Time since the next message to be claimed was due.",
        1.0,
    ),
    "loop_lag_ms": (
        "loadtest_event_loop_lag_seconds",
        "Longest lag of the event loop in the interval.",
        0.001,
    ),
    "schedule_lag_ms": (
        "loadtest_schedule_lag_seconds",
        "Longest lag of the scheduler in the interval.",
        0.001,
    ),
    "snapshot_age_seconds": ("loadtest_queue_snapshot_age_seconds", "Age of the queue's figures.", 1.0),
}
_BACKENDS = ("redis", "s3")


def add_metrics(
    app: QuartTrio, access: Access, metrics: Metrics, latest: Callable[[], Mapping[str, Any]]
) -> None:
    """Add ``GET /metrics``.

    Args:
        app: The application.
        access: Checks the token, if one is set; Prometheus sends it as ``authorization``.
        metrics: The counters and histograms.
        latest: Returns the latest metrics line; empty before the first.
    """
    registry = CollectorRegistry()
    registry.register(ServiceCollector(metrics, latest))
    ProcessCollector(registry=registry)

    @app.get("/metrics")
    async def expose() -> Response:
        if access.token and not access.may_look(request):
            return Response("the token of the dashboard is needed\n", status=401)
        encode, content_type = choose_encoder(_known_formats(request.headers.get("Accept", "")))
        return Response(encode(registry), content_type=content_type)


def _known_formats(accept: str) -> str:
    """Return what of an Accept header can be had; of any other version the library claims it, or fails."""
    return ",".join(each for each in accept.split(",") if "version" not in each or _VERSION.search(each))


class ServiceCollector(Collector):
    """Reads the service's counters when Prometheus scrapes.

    Args:
        metrics: The counters and histograms.
        latest: Returns the latest metrics line.
    """

    def __init__(self, metrics: Metrics, latest: Callable[[], Mapping[str, Any]]) -> None:
        self._metrics = metrics
        self._latest = latest

    def describe(self) -> list[Metric]:
        """Return nothing, because the metrics depend on what has happened so far."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        info = GaugeMetricFamily("loadtest_build_info", "The version that runs.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        yield from self._totals()
        yield from self._operations()
        yield from _calls("loadtest_s3_request", "S3 request", "method", "bytes", self._metrics.s3)
        yield from _calls("loadtest_redis_call", "Redis call", "call", "elements", self._metrics.redis)
        yield from self._requests()
        yield from self._waits()
        yield from _of_line(self._latest())

    def _totals(self) -> Iterator[Metric]:
        for key, (name, meaning) in _TOTALS.items():
            yield CounterMetricFamily(name, meaning, value=self._metrics.totals[key])

    def _operations(self) -> Iterator[Metric]:
        operations = sorted(self._metrics.operations.items())
        for name, meaning in _OPERATIONS.items():
            family = CounterMetricFamily(f"loadtest_messages_{name}", meaning, labels=["operation"])
            for operation, stats in operations:
                family.add_metric([operation], getattr(stats, name))
            yield family
        for name, meaning in _SPANS.items():
            histogram = HistogramMetricFamily(
                f"loadtest_message_{name}_seconds", meaning, labels=["operation"]
            )
            for operation, stats in operations:
                _add(histogram, [operation], getattr(stats, f"{name}_ms"))
            yield histogram

    def _requests(self) -> Iterator[Metric]:
        if not self._metrics.requests:
            return
        total = CounterMetricFamily(
            "loadtest_http_requests", "Answers of the job API.", labels=["route", "status"]
        )
        seconds = HistogramMetricFamily(
            "loadtest_http_request_duration_seconds", "How long the answers took.", labels=["route"]
        )
        for route, stats in sorted(self._metrics.requests.items()):
            for status, count in sorted(stats.statuses.items()):
                total.add_metric([route, str(status)], count)
            _add(seconds, [route], stats.latency_ms)
        yield total
        yield seconds

    def _waits(self) -> Iterator[Metric]:
        waits = {
            "enqueue": ("From due until on the queue.", self._metrics.enqueue_wait),
            "settle": ("From done until Redis knew.", self._metrics.settle_wait),
        }
        for name, (meaning, latencies) in waits.items():
            family = HistogramMetricFamily(f"loadtest_{name}_wait_seconds", meaning)
            _add(family, [], latencies)
            yield family


def _calls(name: str, what: str, label: str, unit: str, calls: Mapping[str, CallStats]) -> Iterator[Metric]:
    total = CounterMetricFamily(f"{name}s", f"{what}s.", labels=[label])
    errors = CounterMetricFamily(f"{name}_errors", f"{what}s that failed.", labels=[label])
    size = CounterMetricFamily(f"{name}_{unit}", f"What moved with each {what}, in {unit}.", labels=[label])
    seconds = HistogramMetricFamily(f"{name}_duration_seconds", f"How long each {what} took.", labels=[label])
    for kind, stats in sorted(calls.items()):
        total.add_metric([kind], stats.count)
        errors.add_metric([kind], stats.errors)
        size.add_metric([kind], stats.size)
        _add(seconds, [kind], stats.latency_ms)
    yield from (total, errors, size, seconds)


def _of_line(line: Mapping[str, Any]) -> Iterator[Metric]:
    places = GaugeMetricFamily(
        "loadtest_ledger_messages", "Where every created message of the queue is.", labels=["place"]
    )
    for place, count in (line.get("ledger") or {}).items():
        if place != "difference":
            places.add_metric([place], count)
    yield places
    up = GaugeMetricFamily("loadtest_backend_up", "Whether a backend answers.", labels=["backend"])
    for backend in _BACKENDS if line else ():
        up.add_metric([backend], backend not in (line.get("degraded") or {}))
    yield up
    for field, (name, meaning, scale) in _GAUGES.items():
        if line.get(field) is not None:
            yield GaugeMetricFamily(name, meaning, value=scale * line[field])


def _add(family: HistogramMetricFamily, labels: list[str], latencies: Latencies) -> None:
    buckets, seconds = latencies.since_start()
    named = [(str(floatToGoString(bound)), count) for bound, count in buckets]  # type: ignore[no-untyped-call]
    family.add_metric(labels, named, seconds)
