"""What the rehearsal reads of a deployment: task definitions, target group, services, scaling policies."""

from collections.abc import Mapping

import attrs


@attrs.frozen(kw_only=True)
class ContainerCheck:
    """How ECS finds out, inside the container, that a task must be replaced.

    Attributes:
        command: That is run there; exit code 0 is healthy.
        interval: Seconds between two checks.
        timeout: Seconds that one may take.
        retries: Failures in a row that make the task unhealthy.
        start_seconds: Failures so soon after the start do not count.
    """

    command: tuple[str, ...]
    interval: float = 30.0
    timeout: float = 5.0
    retries: int = 3
    start_seconds: float = 0.0


@attrs.frozen(kw_only=True)
class TaskDefinition:
    """What ECS runs as one task.

    Attributes:
        family: Its name.
        revision: Counts the task definitions of a family.
        image: The container image; a new one is what a deployment rolls out.
        command: What follows the image's entry point, ``python -m loadtest_trio``.
        environment: Variables of the container.
        secrets: Variable -> name of the secret that it comes from.
        stop_seconds: From SIGTERM to SIGKILL.
        check: Of the container; None without one.
        open_files: Soft and hard limit of open files; None for the host's.
        vcpu: Of the task.
        memory_mib: Of the task.
        execution_role: Name of the role that reads the secrets.
        task_role: Name of the role that the container's calls of AWS are made with.
    """

    family: str
    revision: int = 1
    image: str = ""
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = attrs.field(factory=dict)
    secrets: Mapping[str, str] = attrs.field(factory=dict)
    stop_seconds: float = 30.0
    check: ContainerCheck | None = None
    open_files: tuple[int, int] | None = None
    vcpu: float = 1.0
    memory_mib: int = 2048
    execution_role: str = ""
    task_role: str = ""


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
        algorithm: ``round_robin`` or ``least_outstanding_requests``.
    """

    path: str = "/api/jobs/health"
    interval: float = 30.0
    timeout: float = 5.0
    healthy_threshold: int = 2
    unhealthy_threshold: int = 3
    deregistration_delay: float = 30.0
    algorithm: str = "round_robin"


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
        secrets: Variable -> the secret's value, as far as it was read; in no file.
    """

    api: ServiceDefinition
    workers: ServiceDefinition | None
    idle_seconds: float = 60.0
    source: str = attrs.field(default="made by hand", eq=False)
    secrets: Mapping[str, str] = attrs.field(factory=dict, eq=False, repr=False)
