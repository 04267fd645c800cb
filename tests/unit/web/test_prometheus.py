"""`/metrics`: Prometheus's own parser reads it, its values agree with the log, its names are stable."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import trio
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from trio.testing import MockClock

from loadtest_trio.metrics.latencies import Latencies
from tests.support.in_memory import InMemory, build_in_memory, settings
from tests.support.log_lines import LogLines
from tests.support.memory_bucket import MemoryBucket

GRAFANA = Path(__file__).parents[3] / "docs" / "grafana.json"
QUICK = {"METRICS_ENDPOINT": "true", "MIN_FILE_UUIDS": 1, "MAX_FILE_UUIDS": 2, "LOG_INTERVAL_SECONDS": 5}


async def run(seconds: float) -> InMemory:
    """Run a service in memory for a while."""
    made = await build_in_memory(settings(**QUICK), bucket=MemoryBucket(latency=0.02))
    made.service.metrics.observe_request("POST /api/jobs", 202, 0.004)
    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            for task in (made.service.scheduler, made.service.worker, made.service.metrics_service):
                nursery.start_soon(task.run)
    return made


async def scrape(made: InMemory, accept: str = "") -> tuple[str, str]:
    """Return what is answered, and its type."""
    app: Any = made.service.health
    response = await app.app.test_client().get("/metrics", headers={"Accept": accept})
    assert response.status_code == 200
    return await response.get_data(as_text=True), response.content_type


async def test_prometheus_parser_reads_it(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """In the text format and as OpenMetrics; every family has help, a type and our prefix."""
    made = await run(12)
    text, kind = await scrape(made)
    assert kind.startswith("text/plain")
    families = {family.name: family for family in parse_text(text)}
    assert len(families) > 30
    for name, family in families.items():
        assert name.startswith(("loadtest_", "process_"))
        assert family.documentation
        assert family.type in ("counter", "gauge", "histogram")
        assert family.samples or name == "loadtest_redis_call_errors"
    text, kind = await scrape(made, "application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    again = parse_openmetrics(text)  # type: ignore[no-untyped-call]
    assert families.keys() == {family.name for family in again}


async def test_values_agree_with_the_log(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """Counts agree with the latest line, and histograms contain every value since the start."""
    made = await run(10.001)
    text, _ = await scrape(made)
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in parse_text(text)
        for sample in family.samples
    }
    line = log_lines.of("metrics")[-1]
    for place in ("created", "processed", "queued", "in_flight", "dead"):
        assert samples["loadtest_ledger_messages", place] == line["ledger"][place]
    for operation, counted in line["by_operation"].items():
        assert samples["loadtest_messages_processed_total", operation] >= counted["processed"]
        count = samples["loadtest_message_service_seconds_count", operation]
        assert count == samples["loadtest_message_service_seconds_bucket", "+Inf", operation]
        assert count >= counted["processed"] > 0
    assert samples["loadtest_backend_up", "s3"] == 1
    assert samples["loadtest_http_requests_total", "POST /api/jobs", "202"] == 1
    assert samples["loadtest_workers",] == line["workers"]


def test_buckets_are_cumulative_and_exact() -> None:
    """Each value lies within its bucket's bounds, over several intervals."""
    latencies, values = Latencies(), [0.0001, 0.0003, 0.001, 0.0011, 0.5, 3.0, 3000.0]
    for value in values:
        latencies.record(value)
        latencies.collect()
    latencies.record(0.0003)
    buckets, total = latencies.since_start()
    assert buckets[-1] == (float("inf"), len(values) + 1)
    for bound, count in buckets:
        assert count == sum(value < bound for value in [*values, 0.0003])
    assert total == pytest.approx(sum(values) + 0.0003, rel=0.01)


def expressions(node: Any) -> Iterator[str]:
    """Yield every query of a Grafana dashboard."""
    if isinstance(node, dict):
        if isinstance(node.get("expr"), str):
            yield node["expr"]
        for value in node.values():
            yield from expressions(value)
    elif isinstance(node, list):
        for value in node:
            yield from expressions(value)


async def test_grafana_dashboard_uses_existing_metrics(
    autojump_clock: MockClock, log_lines: LogLines
) -> None:
    """Every name in it is exposed, and every panel has a query."""
    made = await run(12)
    service = made.service.metrics_service
    service.latest = {**service.latest, "oldest_seconds": 1.5}  # None, and not exposed, while nothing waits
    text, _ = await scrape(made)
    exposed = {sample.name for family in parse_text(text) for sample in family.samples}
    dashboard = orjson.loads(GRAFANA.read_bytes())
    asked = {
        name for each in expressions(dashboard) for name in re.findall(r"(?:loadtest|process)_\w+", each)
    }
    assert len(asked) > 15
    assert asked <= exposed
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert all(panel["title"] and [*expressions(panel)] for panel in panels)


async def test_token_protects_metrics(log_lines: LogLines) -> None:
    """If the dashboard needs a token, Prometheus has to send it."""
    made = await build_in_memory(settings(METRICS_ENDPOINT="true", DASHBOARD_TOKEN="correct-horse"))
    app: Any = made.service.health
    client = app.app.test_client()
    assert (await client.get("/metrics")).status_code == 401
    answer = await client.get("/metrics", headers={"Authorization": "Bearer correct-horse"})
    assert answer.status_code == 200


async def test_metrics_are_served_only_if_configured(log_lines: LogLines) -> None:
    """Without METRICS_ENDPOINT the path does not exist."""
    made = await build_in_memory(settings())
    app: Any = made.service.health
    assert (await app.app.test_client().get("/metrics")).status_code == 404


@pytest.mark.parametrize("version", ["x", "9.9.9", "9" * 5000, "1"])
async def test_a_format_that_is_not_known_is_plain_text(
    autojump_clock: MockClock, log_lines: LogLines, version: str
) -> None:
    """Neither an error nor a type that says what the page is not; what can be had is taken."""
    made = await run(1)
    _, kind = await scrape(made, f"application/openmetrics-text;version={version}")
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    _, kind = await scrape(made, f"application/openmetrics-text;version={version},text/plain;version=1.0.0")
    assert kind.startswith("text/plain; version=1.0.0")
