"""Applies Terraform's module to an AWS on loopback and reads the job service back from it."""

import tempfile
from pathlib import Path

import attrs

from tests.rehearsal.applied import Deployment
from tests.rehearsal.read import read_deployment, read_secrets
from tests.support.aws_deployment import CLUSTER, copy_checkout, job_deployment, terraform_environment

TAG = "one"
"""Of the image; tests/deploy/test_job_lifecycle.py deploys the same, to compare."""


def apply_and_read() -> Deployment:
    """Deploy the job service with ``scripts/deploy``; return what was applied, secrets included.

    Nothing of it is left: the AWS ends, and the copy of the checkout is deleted.

    Raises:
        MissingToolError: Terraform, its provider or the AWS CLI is not on this machine.
        AssertionError: scripts/deploy failed.
    """
    surroundings = terraform_environment()
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as folder:
        checkout = copy_checkout(Path(folder) / "checkout")
        with job_deployment(checkout, surroundings) as jobs:
            jobs.deploy(TAG)
            found = read_deployment(jobs.client, CLUSTER)
            return attrs.evolve(found, secrets=read_secrets(jobs.client, found.api.task))
