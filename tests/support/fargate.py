"""Fargate-lite: a task definition, read back from ECS (moto), run under podman.

As defined: image name, command, CPU, memory, user, stop timeout, variables, the secrets' values, health
command, read-only root, dropped capabilities. What differs from Fargate:

- Redis and S3 are this machine's: other addresses, a bucket of another name, and a certificate authority
  that is mounted and named in the URL.
- The container shares the machine's network: other ports, and the API listens on loopback only.
- Keys and limits come from stand-ins of the two endpoints; the keys end within the run.
- The test runs the health check, not ECS: nothing is replaced. Podman keeps the log, not awslogs.
- The definition's `ulimits` are left to the machine; `no-new-privileges` is added.
- The image may stand on a base made from Debian's packages (scripts/container-base).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.aws_deployment import CLUSTER
from tests.support.ecs_endpoints import EcsEndpoints, Keys
from tests.support.podman import AUTHORITY_INSIDE, Container, podman

_KEYS_LAST_SECONDS = 70.0

MakeClient = Callable[[str], Any]
"""Makes a botocore client of the AWS where something is deployed."""


def task_of(make_client: MakeClient, service: str) -> dict[str, Any]:
    """Return the task definition that a service runs."""
    ecs = make_client("ecs")
    (found,) = ecs.describe_services(cluster=CLUSTER, services=[service])["services"]
    return dict(ecs.describe_task_definition(taskDefinition=found["taskDefinition"])["taskDefinition"])


def secrets_of(make_client: MakeClient, task: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables that a task's container is given from Secrets Manager."""
    (definition,) = task["containerDefinitions"]
    manager = make_client("secretsmanager")
    return {
        each["name"]: manager.get_secret_value(SecretId=each["valueFrom"])["SecretString"]
        for each in definition["secrets"]
    }


class FargateTask:
    """A task definition as a running container; a context manager.

    Args:
        task: As ECS describes it.
        image: What runs under the image name of the definition.
        local: Variables in place of the definition's own, and the values of its secrets.
        keys: Of S3: what the task role's credentials are.
        authority: Certificate authority of Redis.

    Attributes:
        container: The container.
        definition: Its container definition.
        endpoints: Those of ECS that it asks for credentials and limits.
    """

    def __init__(
        self,
        task: Mapping[str, Any],
        image: str,
        local: Mapping[str, str],
        keys: Keys,
        authority: Path,
    ) -> None:
        (self.definition,) = task["containerDefinitions"]
        self._image = image
        self.endpoints = EcsEndpoints(
            lambda: keys, lifetime=_KEYS_LAST_SECONDS, memory_mib=int(task["memory"])
        )
        assert self.definition["readonlyRootFilesystem"]
        assert self.definition["linuxParameters"]["capabilities"]["drop"] == ["ALL"]
        given = {entry["name"]: entry["value"] for entry in self.definition["environment"]}
        self.container = Container(
            self.definition["image"],
            given | self.endpoints.environment | dict(local),
            cpus=int(task["cpu"]) / 1024,
            memory_mib=int(task["memory"]),
            stop_seconds=self.definition["stopTimeout"],
            user=self.definition["user"],
            command=self.definition.get("command", ()),
            mounts={authority: AUTHORITY_INSIDE},
        )

    def __enter__(self) -> Self:
        podman("tag", self._image, self.definition["image"])
        self.endpoints.__enter__()
        self.container.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.container.__exit__(kind, error, trace)
        self.endpoints.__exit__(kind, error, trace)
        podman("untag", self._image, self.definition["image"], check=False)

    def check(self) -> int:
        """Run the health check as ECS would and return its exit code."""
        kind, *command = self.definition["healthCheck"]["command"]
        assert kind == "CMD"
        return self.container.execute(*command).returncode
