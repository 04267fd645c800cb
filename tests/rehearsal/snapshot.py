"""What an apply of Terraform's module gave, kept as JSON for machines without Terraform.

A test of the deployment (tests/deploy/test_job_lifecycle.py) compares it with a fresh apply, and
``scripts/rehearse --update-snapshot`` writes it anew.
"""

import json
from pathlib import Path
from typing import Any

import attrs

from tests.rehearsal.applied import (
    ContainerCheck,
    Deployment,
    ScalingPolicy,
    ServiceDefinition,
    TargetGroup,
    TaskDefinition,
)

SNAPSHOT = Path(__file__).with_name("applied.json")
_UNWRITTEN = ("source", "secrets")


def as_json(deployment: Deployment) -> dict[str, Any]:
    """Return a deployment as JSON's types, without where it was read and without its secrets' values."""
    written = attrs.asdict(deployment)
    kept = {name: value for name, value in written.items() if name not in _UNWRITTEN}
    return dict(json.loads(json.dumps(kept)))


def write_snapshot(deployment: Deployment, path: Path = SNAPSHOT) -> None:
    """Write a deployment to a file."""
    path.write_text(json.dumps(as_json(deployment), indent=1, sort_keys=True) + "\n")


def load_snapshot(path: Path = SNAPSHOT) -> Deployment:
    """Return the deployment of a file."""
    content = json.loads(path.read_text())
    workers = content["workers"]
    return Deployment(
        api=_service(content["api"]),
        workers=_service(workers) if workers else None,
        idle_seconds=content["idle_seconds"],
        source="the snapshot of an earlier apply",
    )


def _service(content: dict[str, Any]) -> ServiceDefinition:
    group = content["target_group"]
    parts = {
        "task": _task(content["task"]),
        "target_group": TargetGroup(**group) if group else None,
        "policies": tuple(ScalingPolicy(**each) for each in content["policies"]),
    }
    return ServiceDefinition(**{**content, **parts})


def _task(content: dict[str, Any]) -> TaskDefinition:
    files, check = content["open_files"], content["check"]
    parts = {
        "command": tuple(content["command"]),
        "open_files": tuple(files) if files else None,
        "check": ContainerCheck(**{**check, "command": tuple(check["command"])}) if check else None,
    }
    return TaskDefinition(**{**content, **parts})
