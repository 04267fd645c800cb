"""Reads a deployment back from AWS: what was applied, not what Terraform's files say."""

from collections.abc import Callable
from typing import Any

from tests.rehearsal.applied import (
    ContainerCheck,
    Deployment,
    ScalingPolicy,
    ServiceDefinition,
    TargetGroup,
    TaskDefinition,
)

MakeClient = Callable[[str], Any]
"""Returns a botocore client of an AWS service, such as ``ecs``."""

_CPU_UNITS = 1024.0
_SECRET_SUFFIX = "-123456"
"""The length of what Secrets Manager adds to a secret's name in its ARN: a dash and six random characters."""


def read_deployment(client: MakeClient, cluster: str) -> Deployment:
    """Return the job service of a cluster: the service with a target group, and the one without.

    Args:
        client: Makes clients.
        cluster: Its name.

    Raises:
        ValueError: There is no such service, or its containers are checked by a shell.
    """
    ecs = client("ecs")
    arns = ecs.list_services(cluster=cluster)["serviceArns"]
    found = ecs.describe_services(cluster=cluster, services=arns)["services"] if arns else []
    services = [_service(client, cluster, each) for each in found]
    served = [each for each in services if each.target_group]
    others = [each for each in services if not each.target_group]
    if len(served) != 1 or len(others) > 1:
        names = ", ".join(each.name for each in services) or "no services"
        raise ValueError(f"cluster {cluster} is no job service: {names}")
    return Deployment(
        api=served[0],
        workers=others[0] if others else None,
        idle_seconds=_idle_seconds(client("elbv2")),
        source="what Terraform applied",
    )


def read_secrets(client: MakeClient, task: TaskDefinition) -> dict[str, str]:
    """Return the values of a task's secrets, by the variable's name."""
    manager = client("secretsmanager")
    return {
        variable: str(manager.get_secret_value(SecretId=secret)["SecretString"])
        for variable, secret in task.secrets.items()
    }


def _service(client: MakeClient, cluster: str, service: dict[str, Any]) -> ServiceDefinition:
    configuration = service.get("deploymentConfiguration", {})
    breaker = configuration.get("deploymentCircuitBreaker", {})
    balancers = service.get("loadBalancers", [])
    least, most, policies = _scaling(client("application-autoscaling"), cluster, service["serviceName"])
    return ServiceDefinition(
        name=service["serviceName"],
        task=_task(client("ecs"), service["taskDefinition"]),
        desired=service["desiredCount"],
        least=least or service["desiredCount"],
        most=most or service["desiredCount"],
        minimum_healthy_percent=configuration.get("minimumHealthyPercent", 100),
        maximum_percent=configuration.get("maximumPercent", 200),
        rolls_back=bool(breaker.get("enable") and breaker.get("rollback")),
        health_grace=float(service.get("healthCheckGracePeriodSeconds") or 0),
        target_group=_target_group(client("elbv2"), balancers[0]["targetGroupArn"]) if balancers else None,
        policies=tuple(policies),
    )


def _task(ecs: Any, arn: str) -> TaskDefinition:
    task = ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
    (container,) = task["containerDefinitions"]
    limits = {each["name"]: each for each in container.get("ulimits", [])}
    files = limits.get("nofile")
    return TaskDefinition(
        family=task["family"],
        revision=task["revision"],
        image=container["image"],
        command=tuple(container.get("command") or ()),
        environment={each["name"]: each["value"] for each in container["environment"]},
        secrets={each["name"]: _secret_name(each["valueFrom"]) for each in container.get("secrets", [])},
        stop_seconds=float(container.get("stopTimeout", 30)),
        check=_check(container["healthCheck"]) if "healthCheck" in container else None,
        open_files=(files["softLimit"], files["hardLimit"]) if files else None,
        vcpu=int(task["cpu"]) / _CPU_UNITS,
        memory_mib=int(task["memory"]),
        execution_role=task.get("executionRoleArn", "").rpartition("/")[2],
        task_role=task.get("taskRoleArn", "").rpartition("/")[2],
    )


def _check(check: dict[str, Any]) -> ContainerCheck:
    kind, *command = check["command"]
    if kind != "CMD":
        raise ValueError(f"the container's check is run by a shell: {check['command']}")
    return ContainerCheck(
        command=tuple(command),
        interval=float(check["interval"]),
        timeout=float(check["timeout"]),
        retries=check["retries"],
        start_seconds=float(check.get("startPeriod") or 0),
    )


def _secret_name(arn: str) -> str:
    return arn.partition(":secret:")[2][: -len(_SECRET_SUFFIX)]


def _target_group(elb: Any, arn: str) -> TargetGroup:
    (group,) = elb.describe_target_groups(TargetGroupArns=[arn])["TargetGroups"]
    attributes = _attributes(elb.describe_target_group_attributes(TargetGroupArn=arn))
    return TargetGroup(
        path=group["HealthCheckPath"],
        interval=float(group["HealthCheckIntervalSeconds"]),
        timeout=float(group["HealthCheckTimeoutSeconds"]),
        healthy_threshold=group["HealthyThresholdCount"],
        unhealthy_threshold=group["UnhealthyThresholdCount"],
        deregistration_delay=float(attributes["deregistration_delay.timeout_seconds"]),
        algorithm=attributes.get("load_balancing.algorithm.type", "round_robin"),
    )


def _idle_seconds(elb: Any) -> float:
    (balancer,) = elb.describe_load_balancers()["LoadBalancers"]
    found = elb.describe_load_balancer_attributes(LoadBalancerArn=balancer["LoadBalancerArn"])
    return float(_attributes(found)["idle_timeout.timeout_seconds"])


def _attributes(answer: dict[str, Any]) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in answer["Attributes"]}


def _scaling(scaling: Any, cluster: str, service: str) -> tuple[int, int, list[ScalingPolicy]]:
    asked = {"ServiceNamespace": "ecs", "ResourceId": f"service/{cluster}/{service}"}
    everything = {"ServiceNamespace": "ecs", "ResourceIds": [asked["ResourceId"]]}
    targets = scaling.describe_scalable_targets(**everything)["ScalableTargets"]
    if not targets:
        return 0, 0, []
    found = scaling.describe_scaling_policies(**asked)["ScalingPolicies"]
    policies = [_policy(each) for each in found if each["PolicyType"] == "TargetTrackingScaling"]
    return targets[0]["MinCapacity"], targets[0]["MaxCapacity"], policies


def _policy(policy: dict[str, Any]) -> ScalingPolicy:
    tracking = policy["TargetTrackingScalingPolicyConfiguration"]
    predefined = tracking.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
    return ScalingPolicy(
        name=policy["PolicyName"],
        metric="cpu" if predefined == "ECSServiceAverageCPUUtilization" else "backlog",
        target=float(tracking["TargetValue"]),
        out_cooldown=float(tracking.get("ScaleOutCooldown", 0)),
        in_cooldown=float(tracking.get("ScaleInCooldown", 0)),
    )
