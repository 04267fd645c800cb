"""The life of the job service through the scripts, against moto: deploy, second plan, rolling, destroy."""

import json

import pytest

from tests.rehearsal.read import read_deployment
from tests.rehearsal.snapshot import load_snapshot
from tests.support.aws_deployment import CLUSTER, JobDeployment

pytestmark = pytest.mark.deploy_slow
BUCKET = "loadtest-trio-123456789012-us-east-1"


def test_deploy_names_address_and_token(jobs: JobDeployment, deployed_jobs: str) -> None:
    """The month's cost comes first; at the end stand the API's address and where its token is."""
    assert deployed_jobs.index("a month") < deployed_jobs.index("Creating...")
    assert "job API      https://" in deployed_jobs
    assert "--secret-id loadtest-trio/api-token" in deployed_jobs
    secrets = jobs.client("secretsmanager")
    token = secrets.get_secret_value(SecretId="loadtest-trio/api-token")["SecretString"]
    assert len(token) == 64
    assert token not in deployed_jobs
    assert token not in (jobs.checkout / "terraform/terraform.tfstate").read_text()


def test_api_stands_behind_the_load_balancer(jobs: JobDeployment, deployed_jobs: str) -> None:
    """The service registers its API port with the target group that the HTTPS listener forwards to."""
    elb = jobs.client("elbv2")
    (balancer,) = elb.describe_load_balancers()["LoadBalancers"]
    (listener,) = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    (group,) = elb.describe_target_groups()["TargetGroups"]
    assert (listener["Protocol"], listener["Port"]) == ("HTTPS", 443)
    assert listener["DefaultActions"][0]["TargetGroupArn"] == group["TargetGroupArn"]
    assert (group["HealthCheckPath"], group["HealthCheckIntervalSeconds"]) == ("/api/jobs/health", 30)
    (attached,) = jobs.service("api")["loadBalancers"]
    assert attached["targetGroupArn"] == group["TargetGroupArn"]
    assert (attached["containerName"], attached["containerPort"]) == ("loadtest", 8000)
    assert len(balancer["AvailabilityZones"]) == 2


def test_scaling_is_registered(jobs: JobDeployment, deployed_jobs: str) -> None:
    """Both services are scalable within their bounds, each by its own policy."""
    scaling = jobs.client("application-autoscaling")
    targets = scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]
    bounds = {row["ResourceId"]: (row["MinCapacity"], row["MaxCapacity"]) for row in targets}
    prefix = f"service/{CLUSTER}/{CLUSTER}"
    assert bounds == {f"{prefix}-api": (2, 4), f"{prefix}-workers": (1, 4)}
    policies = scaling.describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"]
    assert {row["ResourceId"]: row["PolicyName"] for row in policies} == {
        f"{prefix}-api": f"{CLUSTER}-api-cpu",
        f"{prefix}-workers": f"{CLUSTER}-workers-backlog",
    }


def test_rehearsal_plays_what_is_applied(jobs: JobDeployment, deployed_jobs: str) -> None:
    """Where there is no Terraform the rehearsal plays a snapshot: it is as a fresh apply."""
    assert read_deployment(jobs.client, CLUSTER) == load_snapshot(), "scripts/rehearse --update-snapshot"


def test_second_plan_has_no_changes(jobs: JobDeployment, deployed_jobs: str) -> None:
    """What was applied is what is wanted."""
    state = json.loads((jobs.checkout / "terraform/terraform.tfstate").read_text())
    (run,) = [row for row in state["resources"] if (row["type"], row["name"]) == ("terraform_data", "run")]
    run_id = run["instances"][0]["attributes"]["triggers_replace"]["value"][0]
    variables = {"image_tag": "one", "run_id": run_id, "service": "jobs", "certificate_arn": jobs.certificate}
    options = [option for name, value in variables.items() for option in ("-var", f"{name}={value}")]
    result = jobs.terraform("plan", "-input=false", "-detailed-exitcode", "-no-color", *options)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr


def test_new_image_rolls_and_leaves_the_number_of_tasks_to_scaling(
    jobs: JobDeployment, deployed_jobs: str
) -> None:
    """Both services move to the new image; nothing is stopped first, and three tasks stay three."""
    jobs.client("ecs").update_service(cluster=CLUSTER, service=f"{CLUSTER}-api", desiredCount=3)
    result = jobs.script("deploy", "--yes", "--tag", "two")
    assert result.returncode == 0, result.stderr[-3000:]
    assert "stopping the tasks" not in result.stderr
    ecs = jobs.client("ecs")
    for kind, wanted in (("api", 3), ("workers", 1)):
        service = jobs.service(kind)
        task = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
        assert task["containerDefinitions"][0]["image"].endswith(":two-amd64")
        assert service["desiredCount"] == wanted
        assert service["deploymentConfiguration"]["minimumHealthyPercent"] == 100
        assert service["deploymentConfiguration"]["deploymentCircuitBreaker"] == {
            "enable": True,
            "rollback": True,
        }


def test_destroy_leaves_nothing(jobs: JobDeployment, deployed_jobs: str) -> None:
    """Load balancer, targets, scaling, alarms, secrets, Redis, bucket and network: all gone."""
    jobs.client("s3").delete_bucket_policy(Bucket=BUCKET)  # moto is here without TLS
    result = jobs.script("destroy", "--yes")
    assert result.returncode == 0, result.stderr[-3000:]
    elb, ec2 = jobs.client("elbv2"), jobs.client("ec2")
    assert elb.describe_load_balancers()["LoadBalancers"] == []
    assert elb.describe_target_groups()["TargetGroups"] == []
    scaling = jobs.client("application-autoscaling")
    assert scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"] == []
    assert scaling.describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"] == []
    assert jobs.client("cloudwatch").describe_alarms()["MetricAlarms"] == []
    assert jobs.client("secretsmanager").list_secrets()["SecretList"] == []
    assert jobs.client("elasticache").describe_replication_groups()["ReplicationGroups"] == []
    assert jobs.client("s3").list_buckets()["Buckets"] == []
    assert jobs.client("iam").list_roles()["Roles"] == []
    assert [vpc for vpc in ec2.describe_vpcs()["Vpcs"] if not vpc["IsDefault"]] == []
