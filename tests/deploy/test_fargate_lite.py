"""Fargate-lite: the task definition as it was applied, read back from ECS (moto) and run under podman.

As defined: image name, CPU, memory, user, stop timeout, variables, secret's token, health command and its
interval, read-only root, dropped capabilities. What differs from Fargate:

- Redis and S3 are this machine's: other addresses, a bucket of another name, and a certificate authority
  that is mounted and named in the URL. The container shares the machine's network: another health port.
- Keys and limits come from stand-ins of the two endpoints; the keys end within the run.
- The test runs the health check, not ECS: nothing is replaced. Podman keeps the log, not awslogs.
- The definition's `ulimits` are left to the machine; `no-new-privileges` is added.
- The image may stand on a base made from Debian's packages (scripts/container-base).

FARGATE_LITE_SECONDS says how long it runs; by default two minutes.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from loadtest_trio.backends.embedded import S3Server
from loadtest_trio.backends.embedded.ports import free_ports
from loadtest_trio.metrics.emf import UNITS
from loadtest_trio.report import reader
from loadtest_trio.report.details import join_details
from tests.support.ecs_endpoints import EcsEndpoints
from tests.support.embedded_metrics import extract
from tests.support.podman import AUTHORITY_INSIDE, Container, podman

pytestmark = pytest.mark.deploy_slow

SECONDS = float(os.environ.get("FARGATE_LITE_SECONDS", "120"))


@pytest.fixture(scope="module")
def task(deployed: str, aws_client: Callable[..., Any]) -> dict[str, Any]:
    """The task definition that the service runs, as ECS has it."""
    ecs = aws_client("ecs")
    (service,) = ecs.describe_services(cluster="loadtest-trio", services=["loadtest-trio"])["services"]
    found = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])
    return dict(found["taskDefinition"])


def run_as_defined(
    task: dict[str, Any], image: str, environment: dict[str, str], authority: Path
) -> Container:
    """Return the container that the definition describes, with the given variables in place of its own."""
    (definition,) = task["containerDefinitions"]
    assert definition["readonlyRootFilesystem"]
    assert definition["linuxParameters"]["capabilities"]["drop"] == ["ALL"]
    podman("tag", image, definition["image"])
    given = {entry["name"]: entry["value"] for entry in definition["environment"]}
    return Container(
        definition["image"],
        given | environment,
        cpus=int(task["cpu"]) / 1024,
        memory_mib=int(task["memory"]),
        stop_seconds=definition["stopTimeout"],
        user=definition["user"],
        mounts={authority: AUTHORITY_INSIDE},
    )


def watch(container: Container, command: list[str], interval: float, seconds: float) -> list[int]:
    """Run the health check as ECS would for a while and return its exit codes."""
    assert command[0] == "CMD"
    codes, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        codes.append(container.execute(*command[1:]).returncode)
        time.sleep(interval)
    return codes


def test_applied_task_runs_for_minutes_and_stops(
    task: dict[str, Any],
    image: str,
    bucket: str,
    s3_server: S3Server,
    tls_redis: Callable[..., tuple[str, Path]],
    aws_client: Callable[..., Any],
    tmp_path: Path,
) -> None:
    """The default rate for minutes on 1 CPU, healthy throughout, drained at the end, its lines readable."""
    (definition,) = task["containerDefinitions"]
    (secret,) = definition["secrets"]
    url = aws_client("secretsmanager").get_secret_value(SecretId=secret["valueFrom"])["SecretString"]
    local_url, authority = tls_redis(urlsplit(url).password)
    keys = {"AccessKeyId": s3_server.access_key, "SecretAccessKey": s3_server.secret_key}
    (port,) = free_ports(1)
    with EcsEndpoints(lambda: keys, lifetime=70, memory_mib=int(task["memory"])) as endpoints:
        local = endpoints.environment | {
            secret["name"]: local_url,
            "S3_ENDPOINT_URL": s3_server.endpoint_url,
            "S3_BUCKET": bucket,
            "HEALTH_PORT": str(port),
        }
        with run_as_defined(task, image, local, authority) as container:
            container.wait_for("precondition_met", seconds=definition["healthCheck"]["startPeriod"])
            check = definition["healthCheck"]
            health = watch(container, check["command"], check["interval"], SECONDS)
            code, seconds = container.stop()
            lines, text = container.lines, container.output
    podman("untag", image, definition["image"])
    assert code == 0
    assert seconds < definition["stopTimeout"]
    assert set(health) == {0}
    assert len(endpoints.fetches) >= 2
    assert_default_rate(lines)
    assert_readable(lines, text, tmp_path)


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
