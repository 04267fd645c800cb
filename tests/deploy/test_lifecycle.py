"""A whole life through the scripts, against moto: deploy, second plan, another image, collect, destroy."""

import json
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

BUCKET = "loadtest-trio-123456789012-us-east-1"
pytestmark = pytest.mark.deploy_slow

Script = Callable[..., subprocess.CompletedProcess[str]]
Client = Callable[..., Any]


def output(checkout: Path, environment: dict[str, str], name: str) -> str:
    """Return one Terraform output of what is deployed."""
    command = ["terraform", f"-chdir={checkout / 'terraform'}", "output", "-raw", name]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=60
    ).stdout


def podman_calls(checkout: Path) -> list[str]:
    """Return what the scripts asked of podman."""
    return (checkout.parent / f"{checkout.name}-bin" / "podman-calls").read_text().splitlines()


def test_deploy_says_what_it_costs_before_it_does(deployed: str) -> None:
    """The plan's size and the price come before the first change."""
    said = deployed.index("the whole run"), deployed.index("Creating...")
    assert said[0] < said[1]
    assert "to create" in deployed
    assert "estimate a day, at prices of" in deployed


def test_deploy_builds_and_pushes_for_the_registry(deployed: str, checkout: Path) -> None:
    """The image is built as docker's format for the task's platform, then pushed after the login."""
    build, login, push = podman_calls(checkout)[:3]
    assert "--platform linux/amd64" in build
    assert "--format docker" in build
    assert login.startswith("login --username AWS --password-stdin ")
    assert push.endswith("/loadtest-trio:one-amd64")


def test_service_runs_one_task_with_that_image(deployed: str, aws_client: Client) -> None:
    """ECS holds one desired task of exactly 1 vCPU with the pushed image."""
    ecs = aws_client("ecs")
    (service,) = ecs.describe_services(cluster="loadtest-trio", services=["loadtest-trio"])["services"]
    task = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
    assert service["desiredCount"] == 1
    assert (task["cpu"], task["memory"]) == ("1024", "2048")
    assert task["containerDefinitions"][0]["image"].endswith("/loadtest-trio:one-amd64")


def test_schedule_stops_the_service_after_24_hours(deployed: str, aws_client: Client) -> None:
    """The schedule sets this service's desired count to 0, 24 hours and a little from now."""
    schedule = aws_client("scheduler").get_schedule(Name="loadtest-trio-stop")
    left = schedule["StartDate"] - datetime.now(UTC)
    assert timedelta(hours=24) <= left <= timedelta(hours=24, minutes=15)
    assert schedule["Target"]["Arn"] == "arn:aws:scheduler:::aws-sdk:ecs:updateService"
    assert json.loads(schedule["Target"]["Input"]) == {
        "Cluster": "loadtest-trio",
        "Service": "loadtest-trio",
        "DesiredCount": 0,
    }


def test_secret_opens_the_redis_that_was_made(deployed: str, aws_client: Client) -> None:
    """The task's REDIS_ENDPOINT is the group's primary address over TLS with a token of 64 characters."""
    secrets, cache = aws_client("secretsmanager"), aws_client("elasticache")
    (group,) = cache.describe_replication_groups(ReplicationGroupId="loadtest-trio")["ReplicationGroups"]
    url = secrets.get_secret_value(SecretId="loadtest-trio/redis-endpoint")["SecretString"]
    token = secrets.get_secret_value(SecretId="loadtest-trio/redis-token")["SecretString"]
    address = group["NodeGroups"][0]["PrimaryEndpoint"]["Address"]
    assert len(token) == 64
    assert url == f"rediss://:{token}@{address}:6379/0"
    assert group["TransitEncryptionEnabled"]
    assert token not in deployed


def test_bucket_refuses_plain_http(deployed: str, aws_client: Client) -> None:
    """The bucket's policy turns away whoever does not use TLS, whatever the keys."""
    with pytest.raises(ClientError, match="Forbidden"):
        aws_client("s3").put_object(Bucket=BUCKET, Key="loadtest/x", Body=b"x")


def test_second_plan_has_no_changes(deployed: str, checkout: Path, aws_environment: dict[str, str]) -> None:
    """What was applied is what is wanted: a plan with the same variables is empty."""
    run_id = _run_id(checkout)
    command = ["terraform", f"-chdir={checkout / 'terraform'}", "plan", "-input=false", "-detailed-exitcode"]
    variables = ["-no-color", "-var", "image_tag=one", "-var", f"run_id={run_id}"]
    result = subprocess.run(
        [*command, *variables],
        env=aws_environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr
    assert "No changes." in result.stdout


def _run_id(checkout: Path) -> str:
    """Return the run_id of the last deployment, from the state."""
    state = json.loads((checkout / "terraform/terraform.tfstate").read_text())
    (run,) = [row for row in state["resources"] if (row["type"], row["name"]) == ("terraform_data", "run")]
    return str(run["instances"][0]["attributes"]["triggers_replace"]["value"][0])


def test_another_image_is_rolled_out(
    deployed: str, aws_script: Script, aws_client: Client, checkout: Path, aws_environment: dict[str, str]
) -> None:
    """A new tag gives a new task definition, moves the service to it, and begins a new run."""
    first_end = output(checkout, aws_environment, "run_stops_at")
    time.sleep(1.1)  # run ids and times count seconds
    result = aws_script("deploy", "--yes", "--tag", "two")
    assert result.returncode == 0, result.stderr[-3000:]
    ecs = aws_client("ecs")
    (service,) = ecs.describe_services(cluster="loadtest-trio", services=["loadtest-trio"])["services"]
    task = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
    assert task["containerDefinitions"][0]["image"].endswith("/loadtest-trio:two-amd64")
    assert output(checkout, aws_environment, "run_stops_at") > first_end
    assert "replaces terraform_data.run" in result.stderr, "what is lost is told by its address"
    assert "two-amd64, healthy" in result.stderr


def test_another_region_is_refused(deployed: str, aws_script: Script) -> None:
    """What is deployed in one region is neither built a second time in another nor looked for there."""
    for arguments in (["deploy", "--yes", "--tag", "two"], ["destroy", "--yes"]):
        result = aws_script(*arguments, "--", "-var", "region=eu-west-1")
        assert result.returncode == 1
        assert (
            "is loadtest-trio in us-east-1, but the variables say loadtest-trio in eu-west-1" in result.stderr
        )
        assert "Creating..." not in result.stderr


def test_collect_writes_the_lines_of_the_run(
    deployed: str, aws_script: Script, aws_client: Client, checkout: Path, tmp_path: Path
) -> None:
    """Every line of the main service since the run began, in order, byte for byte; no other service's."""
    logs = aws_client("logs")
    now = int(time.time() * 1000)
    lines = [json.dumps({"event": "metrics", "n": n, "text": 'ta\tb "é"\n'}) for n in range(250)]
    for stream, written in {"main/loadtest/1": lines, "workers/loadtest/2": ['{"event": "other"}']}.items():
        logs.create_log_stream(logGroupName="/ecs/loadtest-trio", logStreamName=stream)
        events = [{"timestamp": now + n, "message": line} for n, line in enumerate(written)]
        logs.put_log_events(logGroupName="/ecs/loadtest-trio", logStreamName=stream, logEvents=events)
    file = tmp_path / "run.jsonl"
    result = aws_script("collect", "--output", str(file))
    assert result.returncode == 0, result.stderr
    assert file.read_text().splitlines() == lines
    assert "250 of them metrics" in result.stderr


def test_collect_says_when_there_is_nothing(deployed: str, aws_script: Script, tmp_path: Path) -> None:
    """No lines in the chosen time is an error that says where to look."""
    result = aws_script(
        "collect", "--since", "2020-01-01T00:00:00Z", "--until", "2020-01-02T00:00:00Z",
        "--output", str(tmp_path / "none.jsonl"),
    )  # fmt: skip
    assert result.returncode == 1
    assert "no lines" in result.stderr


def test_destroy_leaves_nothing(deployed: str, aws_script: Script, aws_client: Client) -> None:
    """Service, Redis, bucket (with objects in it), images, secrets, roles, network: all gone."""
    aws_client("s3").delete_bucket_policy(Bucket=BUCKET)  # moto is here without TLS
    aws_client("s3").put_object(Bucket=BUCKET, Key="loadtest/left-over", Body=b"x")
    result = aws_script("destroy", "--yes")
    assert result.returncode == 0, result.stderr[-3000:]
    assert aws_client("s3").list_buckets()["Buckets"] == []
    assert aws_client("elasticache").describe_replication_groups()["ReplicationGroups"] == []
    assert aws_client("ecr").describe_repositories()["repositories"] == []
    assert aws_client("secretsmanager").list_secrets()["SecretList"] == []
    assert aws_client("iam").list_roles()["Roles"] == []
    endpoints = aws_client("ec2").describe_vpc_endpoints()["VpcEndpoints"]
    assert {endpoint["State"] for endpoint in endpoints} == {"deleted"}, "shown for a while, as by AWS"
    assert [vpc for vpc in aws_client("ec2").describe_vpcs()["Vpcs"] if not vpc["IsDefault"]] == []
    assert aws_client("logs").describe_log_groups()["logGroups"] == []
    assert aws_client("scheduler").list_schedules()["Schedules"] == []
    again = aws_script("destroy", "--yes")
    assert (again.returncode, "nothing is deployed" in again.stderr) == (0, True)
