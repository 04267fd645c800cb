"""The job service as Terraform applies it against mocks: reachable, watched, paid for, and allowed enough."""

import json
import re
import signal
import time
import urllib.request
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from loadtest_trio.backends.embedded import RedisServer
from loadtest_trio.cli.preflight.cost import CostInputs, predict
from loadtest_trio.cli.preflight.prices import load_prices
from loadtest_trio.metrics.emf import UNITS
from loadtest_trio.settings import SETTINGS, load
from tests.rehearsal.snapshot import load_snapshot
from tests.support.embedded_metrics import extract
from tests.support.in_memory import build_in_memory, settings
from tests.support.log_lines import caught_log
from tests.support.service_process import ServiceProcess
from tests.support.task_role import BUCKET, actions_made, assumed_role

ROOT = Path(__file__).parents[2]
JOBS = {"REDIS_ENDPOINT": "redis://localhost", "S3_BUCKET": "bucket", "ROLES": "api,worker"}
Resources = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def job_resources(job_state: dict[str, Any]) -> Resources:
    """Address -> values of every resource of the job service."""
    return {row["address"]: row["values"] for row in job_state["root_module"]["resources"]}


def container_of(resources: Resources, task: str) -> dict[str, Any]:
    """Return the container definition of a task."""
    definition = resources[f'aws_ecs_task_definition.this["{task}"]']["container_definitions"]
    return dict(json.loads(definition)[0])


@pytest.mark.parametrize("task", ["api", "workers", "once"])
def test_every_setting_is_given_and_secrets_by_reference(job_resources: Resources, task: str) -> None:
    """Variables and secrets together are all settings; token and Redis URL are in no variable."""
    container = container_of(job_resources, task)
    variables = {entry["name"]: entry["value"] for entry in container["environment"]}
    secrets = {entry["name"] for entry in container["secrets"]}
    assert secrets == {"API_TOKEN", "REDIS_ENDPOINT"}
    assert not secrets & set(variables)
    assert secrets | set(variables) == {info.name for info in SETTINGS}
    loaded = load(variables | {"REDIS_ENDPOINT": "rediss://:x@redis:6379/0", "API_TOKEN": "x" * 64}).settings
    assert str(loaded.metrics_format) == "emf"


def test_rehearsal_plays_the_variables_and_the_target_group(job_resources: Resources) -> None:
    """Its snapshot is as applied; test_job_lifecycle.py compares all of it, but takes minutes."""
    snapshot = load_snapshot()
    assert snapshot.workers is not None
    for task, kept in (("api", snapshot.api.task), ("workers", snapshot.workers.task)):
        container = container_of(job_resources, task)
        variables = {entry["name"]: entry["value"] for entry in container["environment"]}
        assert variables == dict(kept.environment), "scripts/rehearse --update-snapshot"
        assert container["stopTimeout"] == kept.stop_seconds
    group, kept_group = job_resources["aws_lb_target_group.api[0]"], snapshot.api.target_group
    assert kept_group is not None
    (check,) = group["health_check"]
    assert (check["path"], check["interval"], check["unhealthy_threshold"]) == (
        kept_group.path, kept_group.interval, kept_group.unhealthy_threshold,
    )  # fmt: skip
    assert float(group["deregistration_delay"]) == kept_group.deregistration_delay
    assert group["load_balancing_algorithm_type"] == kept_group.algorithm


def test_only_the_load_balancer_reaches_a_task(job_resources: Resources) -> None:
    """One rule lets anybody in to a task: the load balancer's, to the API's port."""
    task = job_resources["aws_security_group.task"]["id"]
    rules = {name: rule for name, rule in job_resources.items() if "_ingress_rule." in name}
    inward = [rule for rule in rules.values() if rule["security_group_id"] == task]
    balancer = job_resources["aws_security_group.load_balancer[0]"]["id"]
    assert [(rule["referenced_security_group_id"], rule["from_port"]) for rule in inward] == [
        (balancer, 8000)
    ]


def shown_metrics(resources: Resources) -> set[tuple[str, ...]]:
    """Return (namespace, metric, dimension, value, ...) of everything on the dashboard."""
    widgets = json.loads(resources["aws_cloudwatch_dashboard.this"]["dashboard_body"])["widgets"]
    metrics = [metric for widget in widgets for metric in widget["properties"]["metrics"]]
    return {tuple(part for part in metric if isinstance(part, str)) for metric in metrics}


def alarmed_metrics(resources: Resources) -> set[tuple[str, ...]]:
    """Return the same of everything that an alarm looks at."""
    alarms = [row for name, row in resources.items() if name.startswith("aws_cloudwatch_metric_alarm.")]
    found = [query["metric"][0] for row in alarms for query in row["metric_query"] if query["metric"]]
    return {
        (
            each["namespace"],
            each["metric_name"],
            *(part for pair in each["dimensions"].items() for part in pair),
        )
        for each in found
    }


def scaled_metrics(resources: Resources) -> set[tuple[str, ...]]:
    """Return the same of everything that the workers' scaling computes with."""
    policy = resources["aws_appautoscaling_policy.backlog[0]"][
        "target_tracking_scaling_policy_configuration"
    ][0]
    queries = policy["customized_metric_specification"][0]["metrics"]
    found = [query["metric_stat"][0]["metric"][0] for query in queries if query["metric_stat"]]
    return {
        (
            each["namespace"],
            each["metric_name"],
            *(part for pair in each["dimensions"] for part in (pair["name"], pair["value"])),
        )
        for each in found
    }


async def test_service_emits_every_metric_that_is_watched(
    job_resources: Resources, autojump_clock: MockClock
) -> None:
    """Dashboard, alarms and scaling name what the two kinds of process emit, dimensions included."""
    emitted: set[tuple[str, ...]] = set()
    for roles in ("api,worker", "worker"):
        configured = settings(ROLES=roles, METRICS_FORMAT="emf", QUEUE_NAME="loadtest", API_PORT=0)
        service = (await build_in_memory(configured)).service
        with caught_log() as log_lines, trio.move_on_after(10.5):
            await service.metrics_service.run()
        if service.api:
            service.api.close()
        (line,) = log_lines.of("metrics")
        line |= {"_aws": {**line["_aws"], "Timestamp": int(time.time() * 1000)}}
        for namespace, name, dimensions in extract(line):
            emitted.add((namespace, name, *(part for pair in dimensions for part in pair)))
        role = line["role"]
        # Empty queues have no oldest message, and no message has been timed.
        emitted |= {
            ("loadtest_trio", name, "service", "loadtest", "role", role)
            for name in ("oldest_seconds", "end_to_end_p99_ms")
            if name in UNITS and name in line
        }
    watched = shown_metrics(job_resources) | alarmed_metrics(job_resources) | scaled_metrics(job_resources)
    ours = {metric for metric in watched if metric[0] == "loadtest_trio"}
    assert len(ours) > 20
    assert {sort_dimensions(metric) for metric in ours} <= {sort_dimensions(metric) for metric in emitted}


def sort_dimensions(metric: tuple[str, ...]) -> tuple[str, ...]:
    """Return a metric with its dimensions in order of their names: a map has no other order."""
    pairs = sorted(zip(metric[2::2], metric[3::2], strict=True))
    return (*metric[:2], *(part for pair in pairs for part in pair))


def test_metrics_of_aws_name_what_is_deployed(job_resources: Resources) -> None:
    """What ECS and the load balancer publish is looked up by their real dimensions."""
    watched = shown_metrics(job_resources) | alarmed_metrics(job_resources) | scaled_metrics(job_resources)
    theirs = {sort_dimensions(metric) for metric in watched if metric[0].startswith("AWS/")}
    balancer = ("LoadBalancer", "app/loadtest-trio/0123456789abcdef")
    target = ("TargetGroup", "targetgroup/loadtest-trio-api/0123456789abcdef")
    assert {metric[2:] for metric in theirs} == {
        balancer,
        (*balancer, *target),
        ("ClusterName", "loadtest-trio", "ServiceName", "loadtest-trio-api"),
        ("ClusterName", "loadtest-trio", "ServiceName", "loadtest-trio-workers"),
    }


def test_estimate_agrees_with_preflight(job_state: dict[str, Any]) -> None:
    """Terraform's estimate and preflight's are the same sums for the job service too."""
    estimate = job_state["outputs"]["cost_usd_a_day"]["value"]
    inputs = CostInputs(rate=10.0, seconds=86_400.0).of_job_service()
    predicted = predict(load(JOBS).settings, inputs, load_prices())

    def usd(*services: str) -> float:
        return sum(each.usd or 0.0 for each in predicted if each.service in services and each.unit != "GB")

    parts = {
        "fargate": usd("Fargate"),
        "network": usd("VPC"),
        "redis": usd("ElastiCache"),
        "observability": usd("CloudWatch", "Secrets Manager"),
        "load_balancer": usd("ELB"),
        "s3_requests": usd("S3"),
    }
    assert estimate == {part: pytest.approx(value, abs=0.01) for part, value in parts.items()}


def test_documented_costs_are_the_estimate(job_state: dict[str, Any]) -> None:
    """The chapter's table of the job service is what Terraform computes for the defaults."""
    estimate = job_state["outputs"]["cost_usd_a_day"]["value"]
    rows = re.findall(r"^\| jobs: ([\w ]+) \| \$([\d.]+) \|", chapter(), re.MULTILINE)
    documented = {part.lower().replace(" ", "_"): float(usd) for part, usd in rows}
    assert documented == estimate


def test_documented_month_is_the_estimate(job_state: dict[str, Any]) -> None:
    """So are the sums for a month, with the fewest tasks and with the most."""
    outputs = {name: item["value"] for name, item in job_state["outputs"].items()}
    (least, most) = re.findall(r"\$(\d+) a month", chapter())[:2]
    assert int(least) == round(outputs["cost_usd_a_run"])
    assert int(most) == round(outputs["cost_usd_a_run_at_most"])


def chapter() -> str:
    """Return the deployment's page."""
    return (ROOT / "docs/deployment.md").read_text()


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """Submit a job and return the answer."""
    headers = {"X-Client-Id": "someone", "Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return dict(json.load(answer))


def await_completed(url: str) -> None:
    """Wait until a job is COMPLETED, and read its result."""
    for _ in range(100):
        with urllib.request.urlopen(url, timeout=10) as answer:
            if json.load(answer)["status"] == "COMPLETED":
                break
        time.sleep(0.2)
    with urllib.request.urlopen(f"{url}/result", timeout=10) as answer:
        assert answer.read()


def test_jobs_need_results_and_archive_only(
    job_resources: Resources,
    strict_aws: tuple[str, Path],
    strict_client: Callable[..., Any],
    redis_server: RedisServer,
) -> None:
    """With the assumed role, a job stores and reads its result and its record; every request is allowed.

    moto checks actions; here each object's name is held against the policy's resources as well.
    """
    document = job_resources["data.aws_iam_policy_document.task"]
    endpoint, log = strict_aws
    with assumed_role("jobs", document, endpoint, strict_client) as keys:
        written = log.stat().st_size
        environ = {name.upper(): value for name, value in keys.items()} | {
            "ROLES": "api,worker",
            "RUN_DURATION_SECONDS": "0",
            "REDIS_ENDPOINT": redis_server.url,
            "QUEUE_NAME": "iam-jobs",
            "S3_BUCKET": BUCKET,
            "S3_ENDPOINT_URL": endpoint,
            "API_PORT": "0",
            "JOB_ARCHIVE": "s3",
            "JOB_INLINE_RESULT_BYTES": "0",
            "COMPUTE_PROCESSES": "1",
        }
        with ServiceProcess(environ=environ) as service:
            url = service.wait_for("service_started", seconds=60)["api"]
            job = post(f"{url}/api/jobs", {"type": "factorial", "payload": {"n": 20}})
            await_completed(f"{url}/api/jobs/{job['id']}")
            service.signal(signal.SIGTERM)
            assert service.wait(90) == 0
            assert [line for line in service.lines if line["level"] == "ERROR"] == []
    made = actions_made(log, written)
    rows = [
        (action, arn)
        for row in document["statement"]
        for action in row["actions"]
        for arn in row["resources"]
    ]
    assert {action for action, _ in made} == {"s3:GetObject", "s3:PutObject", "s3:ListBucket"}
    for action, arn in made:
        assert any(action == given and fnmatchcase(arn, pattern) for given, pattern in rows), (action, arn)


def test_jobs_delete_nothing_but_the_probe(job_resources: Resources) -> None:
    """Results and archive are read and written under their own prefixes; S3 lets them expire."""
    found = {
        row["sid"]: (row["actions"], row["resources"])
        for row in job_resources["data.aws_iam_policy_document.task"]["statement"]
    }
    objects = f"arn:aws:s3:::{BUCKET}/loadtest"
    assert found["Objects"] == (
        ["s3:GetObject", "s3:PutObject"],
        [f"{objects}/jobs/archive/*", f"{objects}/jobs/results/*"],
    )
    assert found["PreflightProbe"][1] == [f"{objects}/.preflight-*"]
