"""What the rehearsal reads of a deployment: task definitions, target group, services, scaling policies."""

from collections.abc import Mapping

import attrs


@attrs.frozen(kw_only=True)
class TaskDefinition:
    """What ECS runs as one task.

    Attributes:
        family: Its name.
        revision: Counts the task definitions of a family.
        image: The container image; a new one is what a deployment rolls out.
        command: What follows the image's entry point, ``python -m loadtest_trio``.
        environment: Variables of the container.
        secrets: Names of the variables that come from Secrets Manager.
        stop_seconds: From SIGTERM to SIGKILL.
        vcpu: Of the task.
    """

    family: str
    revision: int = 1
    image: str = ""
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = attrs.field(factory=dict)
    secrets: tuple[str, ...] = ()
    stop_seconds: float = 30.0
    vcpu: float = 1.0


@attrs.frozen(kw_only=True)
class TargetGroup:
    """How a load balancer finds out which tasks may have requests.

    Attributes:
        path: Of the health check; 200 is healthy.
        interval: Seconds between two checks of one target.
        timeout: Seconds for the answer.
        healthy_threshold: Successes in a row that make an unhealthy target healthy. A new one needs one.
        unhealthy_threshold: Failures in a row that make it unhealthy.
        deregistration_delay: Seconds that requests in flight may take after a target was deregistered.
    """

    path: str = "/api/jobs/health"
    interval: float = 30.0
    timeout: float = 5.0
    healthy_threshold: int = 2
    unhealthy_threshold: int = 3
    deregistration_delay: float = 30.0


@attrs.frozen(kw_only=True)
class ScalingPolicy:
    """Target tracking of one service.

    Attributes:
        name: Its name.
        metric: ``cpu`` (average of the tasks, percent of their vCPU) or ``backlog`` (messages a task).
        target: What the metric is kept at.
        out_cooldown: Seconds after a scale-out before the next.
        in_cooldown: Seconds after a scaling activity before a scale-in.
    """

    name: str
    metric: str
    target: float
    out_cooldown: float = 60.0
    in_cooldown: float = 300.0


@attrs.frozen(kw_only=True)
class ServiceDefinition:
    """An ECS service.

    Attributes:
        name: Its name.
        task: What it runs.
        desired: Tasks to begin with.
        least: Fewest that scaling leaves.
        most: Most that scaling starts.
        minimum_healthy_percent: Of the desired tasks, during a deployment.
        maximum_percent: Of the desired tasks, during a deployment.
        rolls_back: The circuit breaker returns to the last deployment when tasks of a new one keep failing.
        health_grace: Seconds after its start in which failed checks do not replace a task.
        target_group: Where its tasks are registered; None for workers.
        policies: Its scaling policies.
    """

    name: str
    task: TaskDefinition
    desired: int = 1
    least: int = 1
    most: int = 1
    minimum_healthy_percent: int = 100
    maximum_percent: int = 200
    rolls_back: bool = True
    health_grace: float = 0.0
    target_group: TargetGroup | None = None
    policies: tuple[ScalingPolicy, ...] = ()


@attrs.frozen(kw_only=True)
class Deployment:
    """All of it.

    Attributes:
        api: The service behind the load balancer.
        workers: The service that only works; None without one.
        idle_seconds: Of the load balancer: it gives up a request, and closes a connection, after so much
            silence.
        source: Where it was read.
    """

    api: ServiceDefinition
    workers: ServiceDefinition | None
    idle_seconds: float = 60.0
    source: str = "the rehearsal's own model"


MODEL = Deployment(
    api=ServiceDefinition(
        name="api",
        task=TaskDefinition(
            family="api",
            image="loadtest-trio:one",
            environment={"ROLES": "api,worker", "SHUTDOWN_GRACE_SECONDS": "30", "API_DRAIN_SECONDS": "10"},
            secrets=("REDIS_ENDPOINT",),
            stop_seconds=45,
        ),
        desired=2,
        least=2,
        most=4,
        target_group=TargetGroup(),
        policies=(ScalingPolicy(name="cpu", metric="cpu", target=70.0),),
    ),
    workers=ServiceDefinition(
        name="workers",
        task=TaskDefinition(
            family="workers", image="loadtest-trio:one", environment={"ROLES": "worker"}, stop_seconds=45
        ),
        most=4,
        policies=(ScalingPolicy(name="backlog", metric="backlog", target=100.0),),
    ),
)
"""Brief 004's table, for tests of the rehearsal and where Terraform is missing."""
