"""A deployment that was made with AWS's own API, on moto, is read back."""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.rehearsal.applied import ScalingPolicy, TargetGroup
from tests.rehearsal.read import read_deployment, read_secrets
from tests.support.aws_server import Aws, client

CLUSTER = "c"
Client = Callable[[str], Any]


@pytest.fixture(scope="module")
def aws() -> Iterator[Client]:
    """Make clients of an empty AWS."""
    with Aws(Path(sys.executable), None, None, None).begin() as server:
        yield partial(client, f"http://127.0.0.1:{server.port}")


def balanced(aws: Client) -> str:
    """Make a load balancer with a target group; return the group's ARN."""
    ec2, elb = aws("ec2"), aws("elbv2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"us-east-1{zone}")
        for number, zone in enumerate("ab")
    ]
    names = [each["Subnet"]["SubnetId"] for each in subnets]
    (made,) = elb.create_load_balancer(Name="api", Subnets=names)["LoadBalancers"]
    idle = [{"Key": "idle_timeout.timeout_seconds", "Value": "65"}]
    elb.modify_load_balancer_attributes(LoadBalancerArn=made["LoadBalancerArn"], Attributes=idle)
    (group,) = elb.create_target_group(
        Name="api", Protocol="HTTP", Port=8000, VpcId=vpc, TargetType="ip",
        HealthCheckPath="/api/jobs/health",
        HealthCheckIntervalSeconds=30, HealthCheckTimeoutSeconds=5, HealthyThresholdCount=2,
        UnhealthyThresholdCount=4,
    )["TargetGroups"]  # fmt: skip
    arn = str(group["TargetGroupArn"])
    attributes = [
        {"Key": "deregistration_delay.timeout_seconds", "Value": "40"},
        {"Key": "load_balancing.algorithm.type", "Value": "least_outstanding_requests"},
    ]
    elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=attributes)
    forward = [{"Type": "forward", "TargetGroupArn": arn}]
    elb.create_listener(
        LoadBalancerArn=made["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=forward
    )
    return arn


def serve(aws: Client, name: str, count: int, **service: Any) -> None:
    """Make a task definition and a service of it."""
    ecs = aws("ecs")
    container = {
        "name": "loadtest", "image": f"{name}:one", "command": ["jobs"], "stopTimeout": 45,
        "environment": [{"name": "ROLES", "value": name}],
        "ulimits": [{"name": "nofile", "softLimit": 100, "hardLimit": 200}],
        "secrets": [{"name": "REDIS_ENDPOINT", "valueFrom": aws("secretsmanager").create_secret(
            Name=f"{name}/redis", SecretString="rediss://")["ARN"]}],
    }  # fmt: skip
    ecs.register_task_definition(family=name, cpu="1024", memory="2048", containerDefinitions=[container])
    ecs.create_service(
        cluster=CLUSTER, serviceName=name, taskDefinition=name, desiredCount=count,
        deploymentConfiguration={
            "minimumHealthyPercent": 100, "maximumPercent": 200,
            "deploymentCircuitBreaker": {"enable": True, "rollback": True},
        },
        **service,
    )  # fmt: skip


def test_deployment_is_read_back(aws: Client) -> None:
    """Task definitions, target group, deployment rules and scaling policies are as they were made."""
    aws("ecs").create_cluster(clusterName=CLUSTER)
    with pytest.raises(ValueError, match="no job service"):
        read_deployment(aws, CLUSTER)
    target = {"targetGroupArn": balanced(aws), "containerName": "loadtest", "containerPort": 8000}
    serve(aws, "api", 2, loadBalancers=[target])
    serve(aws, "worker", 1)
    scale = {"ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount"}
    scaling = aws("application-autoscaling")
    scaling.register_scalable_target(
        ResourceId=f"service/{CLUSTER}/api", MinCapacity=2, MaxCapacity=4, **scale
    )
    tracking = {
        "TargetValue": 70.0, "ScaleOutCooldown": 60, "ScaleInCooldown": 300,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
    }  # fmt: skip
    scaling.put_scaling_policy(
        PolicyName="cpu", ResourceId=f"service/{CLUSTER}/api", PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=tracking, **scale,
    )  # fmt: skip
    found = read_deployment(aws, CLUSTER)
    assert found.idle_seconds == 65
    assert found.api.target_group == TargetGroup(
        unhealthy_threshold=4, deregistration_delay=40, algorithm="least_outstanding_requests"
    )
    assert found.api.policies == (ScalingPolicy(name="cpu", metric="cpu", target=70),)
    assert (found.api.desired, found.api.least, found.api.most) == (2, 2, 4)
    assert (found.api.minimum_healthy_percent, found.api.maximum_percent) == (100, 200)
    assert (found.api.task.command, found.api.task.stop_seconds) == (("jobs",), 45)
    assert (dict(found.api.task.environment), found.api.task.vcpu) == ({"ROLES": "api"}, 1)
    assert (found.api.task.open_files, found.api.task.memory_mib) == ((100, 200), 2048)
    assert found.api.task.secrets == {"REDIS_ENDPOINT": "api/redis"}
    assert read_secrets(aws, found.api.task) == {"REDIS_ENDPOINT": "rediss://"}
    assert found.workers is not None
    assert (found.workers.name, found.workers.target_group, found.workers.most) == ("worker", None, 1)
