"""The load service's task for minutes as Fargate would run it (tests/support/fargate.py).

FARGATE_LITE_SECONDS says how long it runs; by default two minutes.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loadtest_trio.backends.embedded.ports import free_ports
from loadtest_trio.metrics.emf import UNITS
from loadtest_trio.report import reader
from loadtest_trio.report.details import join_details
from tests.support.aws_deployment import CLUSTER
from tests.support.embedded_metrics import extract
from tests.support.fargate import FargateTask

pytestmark = pytest.mark.deploy_slow

SECONDS = float(os.environ.get("FARGATE_LITE_SECONDS", "120"))


def watch(task: FargateTask, seconds: float) -> list[int]:
    """Run the health check as often as ECS would for a while and return its exit codes."""
    codes, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        codes.append(task.check())
        time.sleep(task.definition["healthCheck"]["interval"])
    return codes


def test_applied_task_runs_for_minutes_and_stops(
    deployed: str, aws_client: Callable[..., Any], run_task: Callable[..., FargateTask], tmp_path: Path
) -> None:
    """The default rate for minutes on 1 CPU, healthy throughout, drained at the end, its lines readable."""
    (port,) = free_ports(1)
    task = run_task(aws_client, CLUSTER, HEALTH_PORT=str(port))
    container, definition = task.container, task.definition
    container.wait_for("precondition_met", seconds=definition["healthCheck"]["startPeriod"])
    health = watch(task, SECONDS)
    code, seconds = container.stop()
    lines = container.lines
    assert code == 0
    assert seconds < definition["stopTimeout"]
    assert set(health) == {0}
    assert len(task.endpoints.fetches) >= 2
    assert_default_rate(lines)
    assert_readable(lines, container.output, tmp_path)


def assert_default_rate(lines: list[dict[str, Any]]) -> None:
    """What was due was created, most of it done (how fast is for benchmarks), the books are closed."""
    stopped = lines[-1]
    assert stopped["event"] == "service_stopped"
    assert (stopped["errors"], stopped["messages_failed"]) == (0, 0)
    assert (stopped["ledger"]["in_flight"], stopped["ledger"]["difference"]) == (0, 0)
    assert stopped["messages_created"] >= 95 * SECONDS
    assert stopped["messages_processed"] > 0.5 * stopped["messages_created"]


def assert_readable(lines: list[dict[str, Any]], text: str, folder: Path) -> None:
    """CloudWatch makes its metrics of each line, the limits are in it, and `report` reads all of them."""
    metrics = [line for line in lines if line["event"] == "metrics"]
    assert len(metrics) >= SECONDS / 10 - 1
    names = {name for line in metrics for _, name, _ in extract(line)}
    assert names | {"oldest_seconds"} == set(UNITS), "an age is only there while something waits"
    assert {(line["cpu_limit"], line["memory_limit_mb"]) for line in metrics} == {(1, 2048)}
    file = folder / "run.jsonl"
    file.write_text(text)
    reading = reader.read([file])
    assert (len(reading.lines), reading.damaged, reading.foreign) == (len(lines), 0, 0)
    whole = join_details(json.loads(line) for line in text.splitlines())
    assert whole == lines, "nothing but JSON lines on stdout"
