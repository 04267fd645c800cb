"""The service among what ECS gives a container: temporary keys, the task's limits, CloudWatch's reading."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from loadtest_trio.metrics.emf import UNITS
from loadtest_trio.report import reader
from tests.support.ecs_endpoints import EcsEndpoints
from tests.support.embedded_metrics import extract
from tests.support.service_process import ServiceProcess


@pytest.fixture(scope="module")
def task_lines(
    container: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> dict[str, Any]:
    """Run the service with the task definition's variables and keys that end after five seconds."""
    s3, redis_server = request.getfixturevalue("s3_server"), request.getfixturevalue("redis_server")
    keys = {"AccessKeyId": s3.access_key, "SecretAccessKey": s3.secret_key}
    request.getfixturevalue("s3_client").create_bucket(Bucket="ecs-test")
    with EcsEndpoints(lambda: keys, lifetime=5) as endpoints:
        environ = {entry["name"]: entry["value"] for entry in container["environment"]}
        environ |= endpoints.environment | {
            "REDIS_ENDPOINT": redis_server.url,
            "QUEUE_NAME": "ecs-test",
            "S3_BUCKET": "ecs-test",
            "S3_ENDPOINT_URL": s3.endpoint_url,
            "HEALTH_PORT": "0",
            "LOG_INTERVAL_SECONDS": "1",
        }
        with ServiceProcess(environ=environ) as service:
            service.wait_for("metrics", lambda line: line["uptime_seconds"] > 10, seconds=90)
            service.signal(signal.SIGTERM)
            code = service.wait(90)
            lines = service.lines
    return {"code": code, "lines": lines, "endpoints": endpoints}


def test_keys_are_renewed_before_they_end(task_lines: dict[str, Any]) -> None:
    """Keys for five seconds carry a run of ten: fetched again in time, with the token, no request refused."""
    endpoints, last = task_lines["endpoints"], task_lines["lines"][-1]
    assert task_lines["code"] == 0
    assert last["event"] == "service_stopped"
    assert (last["errors"], last["messages_failed"]) == (0, 0)
    assert last["messages_processed"] > 0
    assert endpoints.refusals == 0
    assert 2 <= len(endpoints.fetches) <= 20, "in time, but not once a request"


def test_metrics_lines_are_metrics_for_cloudwatch(task_lines: dict[str, Any]) -> None:
    """Each ten-second line is every metric that the dashboard shows, under its namespace and dimension."""
    lines = [line for line in task_lines["lines"] if line["event"] == "metrics"]
    assert lines
    found = [set(extract(line)) for line in lines]  # a percentile is missing where nothing was processed
    assert all(found)
    names = {name for _, name, _ in set.union(*found)}
    assert names | {"oldest_seconds"} == set(UNITS), "an age is only there while something waits"
    assert {(space, dimensions) for space, _, dimensions in set.union(*found)} == {
        ("loadtest_trio", (("service", "ecs-test"), ("role", "main")))
    }


def test_report_reads_the_lines(task_lines: dict[str, Any], tmp_path: Path) -> None:
    """What CloudWatch hands back through scripts/collect is what `report` reads."""
    file = tmp_path / "run.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in task_lines["lines"]))
    reading = reader.read([file])
    assert len(reading.lines) == len(task_lines["lines"])
    assert (reading.damaged, reading.foreign, reading.faults) == (0, 0, [])


def test_limits_of_the_task_are_in_the_metrics_line(task_lines: dict[str, Any]) -> None:
    """The service tells the CPU and memory limits that the metadata endpoint knows."""
    lines = [line for line in task_lines["lines"] if line["event"] == "metrics"]
    assert {(line["cpu_limit"], line["memory_limit_mb"]) for line in lines} == {(1, 2048)}
