"""The task definition says every setting of the service, with its own default or a stated reason."""

from typing import Any

from loadtest_trio.settings import SETTINGS, load

# What the infrastructure decides, and why it is not the default (terraform/settings.tf, service.tf).
STATED = {
    "S3_BUCKET": "loadtest-trio-123456789012-us-east-1",
    "RUN_DURATION_SECONDS": "0",  # ECS starts an exited task again; the schedule ends the run
    "METRICS_FORMAT": "emf",  # CloudWatch makes metrics of the lines
}
FROM_SECRETS = {"REDIS_ENDPOINT"}


def environment_of(container: dict[str, Any]) -> dict[str, str]:
    """Return a container definition's variables."""
    return {entry["name"]: entry["value"] for entry in container["environment"]}


def test_every_setting_is_in_the_task_definition(container: dict[str, Any]) -> None:
    """No setting is missing, and none is made up."""
    secrets = {entry["name"] for entry in container["secrets"]}
    assert secrets == FROM_SECRETS
    assert set(environment_of(container)) | secrets == {info.name for info in SETTINGS}


def test_defaults_are_those_of_the_service(container: dict[str, Any]) -> None:
    """Load what the task is given: every value is the service's default, but for the stated ones."""
    given = environment_of(container) | {"REDIS_ENDPOINT": "rediss://:token@example.com:6379/0"}
    deployed = load(given).settings
    plain = load({"REDIS_ENDPOINT": given["REDIS_ENDPOINT"], "S3_BUCKET": STATED["S3_BUCKET"]}).settings
    differing = {
        info.name: info.shown(getattr(deployed, info.name.lower()))
        for info in SETTINGS
        if getattr(deployed, info.name.lower()) != getattr(plain, info.name.lower())
    }
    assert differing == {name: value for name, value in STATED.items() if name != "S3_BUCKET"}
    assert deployed.s3_bucket == STATED["S3_BUCKET"]


def test_secrets_are_in_secrets_manager(container: dict[str, Any]) -> None:
    """Settings that may carry a password reach the task through Secrets Manager, or are empty."""
    environment = environment_of(container)
    assert {info.name for info in SETTINGS if info.secret and environment.get(info.name)} == set()


def test_task_outlives_its_grace_period(container: dict[str, Any]) -> None:
    """ECS kills later than the service gives up, and no later than Fargate allows."""
    grace = float(environment_of(container)["SHUTDOWN_GRACE_SECONDS"])
    assert grace + 10 <= container["stopTimeout"] <= 120
