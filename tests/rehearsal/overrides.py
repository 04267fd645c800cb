"""What of the applied definitions cannot be so on one machine. Nothing else of a task is changed."""

from collections.abc import Mapping

import attrs

from loadtest_trio.backends.embedded.ports import LOOPBACK
from tests.rehearsal.applied import Deployment


@attrs.frozen
class Override:
    """One difference between a task of the deployment and its process here.

    Attributes:
        what: A variable of the task, or what else differs.
        here: What it is here.
        why: The reason.
    """

    what: str
    here: str
    why: str


OVERRIDES = (
    Override("API_HOST", LOOPBACK, "nothing here listens beyond loopback"),
    Override("API_PORT", "a free port for each task", "tasks share one address"),
    Override("HEALTH_PORT", "a free port for each task", "the same"),
    Override("REDIS_ENDPOINT", "a proxy before a local Redis, without TLS", "ElastiCache; the token is kept"),
    Override("S3_ENDPOINT_URL", "a proxy before a local SeaweedFS", "S3; the bucket's name is kept"),
    Override("JOB_RATE_LIMIT_PER_MINUTE", "0", "a customer of the rehearsal submits more often"),
    Override("QUEUE_NAME", "rehearsal-0, rehearsal-1", "only in two-queues: two copies of the deployment"),
)
"""Variables of the tasks."""

SURROUNDINGS = (
    Override("image", "this checkout", "tests/deploy runs the image as on Fargate"),
    Override("CPU and memory limits", "none", "the limit of open files is set, as far as this user may"),
    Override("task role", "the local S3's keys, from an imitation of ECS' endpoint", "there is no IAM here"),
    Override("listener", "HTTP", "TLS ends at the load balancer"),
)
"""What else differs."""


def checked(variables: Mapping[str, str]) -> dict[str, str]:
    """Return variables for tasks; fail if one is not in the list."""
    known = {each.what for each in OVERRIDES}
    assert set(variables) <= known, f"not in the list of overrides: {set(variables) - known}"
    return dict(variables)


def table(deployment: Deployment) -> list[str]:
    """Return the list as a table in Markdown."""
    task = deployment.api.task
    applied = {
        **task.environment,
        **{name: f"secret {secret}" for name, secret in task.secrets.items()},
        "image": task.image,
        "CPU and memory limits": f"{task.vcpu:g} vCPU, {task.memory_mib} MiB",
        "task role": task.task_role,
        "listener": "HTTPS",
    }
    rows = (
        f"| {each.what} | {applied.get(each.what, '')} | {each.here} | {each.why} |"
        for each in (*OVERRIDES, *SURROUNDINGS)
    )
    return ["| differs | applied | here | because |", "| --- | --- | --- | --- |", *rows]
