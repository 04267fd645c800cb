"""The task role's policy, tried: the service runs with it and needs all of it; other actions are refused.

moto checks actions with its authentication on, not resources and conditions: those are asserted on the
document itself (test_terraform.py). The service runs against moto over the assumed role's temporary keys,
session token included.
"""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from loadtest_trio.backends.embedded import RedisServer
from tests.support.service_process import ServiceProcess
from tests.support.task_role import BUCKET, actions_made, assumed_role

MakeClient = Callable[..., Any]


@pytest.fixture(scope="module")
def task_role(
    mocked: dict[str, dict[str, Any]], strict_aws: tuple[str, Path], strict_client: MakeClient
) -> Iterator[dict[str, str]]:
    """The keys of the assumed task role in an AWS with a bucket, permissions checked from here on."""
    document = mocked["data.aws_iam_policy_document.task"]
    with assumed_role("task", document, strict_aws[0], strict_client) as keys:
        yield keys


def test_service_makes_exactly_the_actions_it_is_allowed(
    task_role: dict[str, str],
    strict_aws: tuple[str, Path],
    redis_server: RedisServer,
    mocked: dict[str, dict[str, Any]],
) -> None:
    """A run of all four operations needs every action of the policy and no other."""
    endpoint, log = strict_aws
    written = log.stat().st_size
    environ = {name.upper(): value for name, value in task_role.items()} | {
        "AWS_REGION": "us-east-1",
        "REDIS_ENDPOINT": redis_server.url,
        "QUEUE_NAME": "iam-test",
        "S3_BUCKET": BUCKET,
        "S3_ENDPOINT_URL": endpoint,
        "SCHEDULER_MESSAGES_PER_SECOND": "20",
        "PRECONDITION_MIN_OBJECTS": "10",
        "MAX_FILE_UUIDS": "1000",
        "LOG_INTERVAL_SECONDS": "1",
        "SHUTDOWN_GRACE_SECONDS": "20",
    }
    with ServiceProcess(environ=environ) as service:
        service.wait_for(
            "metrics",
            lambda line: all(row["processed"] for row in line["by_operation"].values()),
        )
        service.signal(signal.SIGTERM)
        assert service.wait(90) == 0
        (stopped,) = service.events("service_stopped")
    assert (stopped["errors"], stopped["messages_failed"]) == (0, 0)
    made = {action for action, _ in actions_made(log, written)}
    allowed = mocked["data.aws_iam_policy_document.task"]["statement"]
    assert made == {action for row in allowed for action in row["actions"]}


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("delete_bucket", {}),
        ("get_bucket_acl", {}),
        ("get_bucket_policy", {}),
        ("put_bucket_policy", {"Policy": "{}"}),
        ("put_object_tagging", {"Key": "loadtest/x", "Tagging": {"TagSet": []}}),
        ("list_object_versions", {}),
        ("put_bucket_versioning", {"VersioningConfiguration": {"Status": "Enabled"}}),
    ],
)
def test_other_actions_are_refused(
    task_role: dict[str, str], strict_client: MakeClient, operation: str, arguments: dict[str, Any]
) -> None:
    """The task role can do nothing to the bucket itself, nor to an object's tags and versions."""
    with pytest.raises(ClientError, match="AccessDenied"):
        getattr(strict_client("s3", **task_role), operation)(Bucket=BUCKET, **arguments)


@pytest.mark.parametrize(
    ("service", "operation"), [("ecs", "list_clusters"), ("secretsmanager", "list_secrets")]
)
def test_other_services_are_refused(
    task_role: dict[str, str], strict_client: MakeClient, service: str, operation: str
) -> None:
    """The task role reaches no other service, not even the secret its own URL came from."""
    with pytest.raises(ClientError, match="AccessDenied"):
        getattr(strict_client(service, **task_role), operation)()


def test_allowed_actions_are_allowed(task_role: dict[str, str], strict_client: MakeClient) -> None:
    """The refusals above are the policy's doing: the same keys may do the four things."""
    s3 = strict_client("s3", **task_role)
    s3.put_object(Bucket=BUCKET, Key="loadtest/probe", Body=b"x")
    assert s3.get_object(Bucket=BUCKET, Key="loadtest/probe")["Body"].read() == b"x"
    assert s3.list_objects_v2(Bucket=BUCKET, Prefix="loadtest/probe")["KeyCount"] == 1
    s3.delete_object(Bucket=BUCKET, Key="loadtest/probe")
