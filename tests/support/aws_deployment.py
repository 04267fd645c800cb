"""The deployment of this checkout on an AWS on loopback: Terraform and the scripts run on a copy of it.

    copy of the checkout ──► scripts/deploy ──► Terraform, AWS CLI ──► moto, with its gaps mended

Nothing here reaches AWS, and the image is neither built nor pushed.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from loadtest_trio.backends.embedded.ports import LOOPBACK
from tests.support.aws_server import Aws, client

ROOT = Path(__file__).parents[2]
CLUSTER = "loadtest-trio"
"""The default of the variable `name`."""

_FOLDERS = ("terraform", "scripts", "loadtest_trio", "requirements")
_FILES = ("Containerfile", "Containerfile.dockerignore", ".containerignore", ".gitignore", "pyproject.toml")
_UNWANTED = shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfvars", "__pycache__")
_DEPLOY_SECONDS = 580.0
_TERRAFORM_SECONDS = 400.0
_OVERRIDE = """
provider "aws" {
  access_key                  = "testing"
  secret_key                  = "testing"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  s3_use_path_style           = true
}
"""


class MissingToolError(Exception):
    """This machine lacks a program; the message says which, and where it comes from."""


def find_tool(name: str, hint: str) -> str:
    """Return a program's path, from the folder DEPLOY_TOOLS or PATH.

    Args:
        name: Of the program.
        hint: Where it comes from.

    Raises:
        MissingToolError: It is in neither.
    """
    places = (os.environ.get("DEPLOY_TOOLS"), os.environ.get("PATH"))
    found = shutil.which(name, path=os.pathsep.join(filter(None, places)))
    if found is None:
        raise MissingToolError(f"{name} is missing: {hint}")
    return found


def terraform_environment() -> dict[str, str]:
    """Return the environment for Terraform: a provider from this machine, keys that are none, no CLI file.

    Raises:
        MissingToolError: There is no Terraform, or no provider.
    """
    find_tool("terraform", "https://developer.hashicorp.com/terraform/install")
    search = subprocess.run([ROOT / "scripts/find-provider"], capture_output=True, text=True, check=False)
    if search.returncode:
        raise MissingToolError(f"no Terraform provider: {search.stderr.strip()}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_"))}
    return environment | {
        "TF_PLUGIN_DIR": search.stdout.strip(),
        "TF_IN_AUTOMATION": "1",
        "CHECKPOINT_DISABLE": "1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PAGER": "",
    }


def copy_checkout(copy: Path) -> Path:
    """Copy what a deployment is made from into a git repository of its own; return its folder."""
    for name in _FOLDERS:
        shutil.copytree(ROOT / name, copy / name, ignore=_UNWANTED)
    for name in _FILES:
        shutil.copy(ROOT / name, copy / name)
    who = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "a deployment"]):
        subprocess.run(["git", *command], cwd=copy, check=True, timeout=60)
    return copy


def aws_environment(checkout: Path, environment: dict[str, str], endpoint: str) -> dict[str, str]:
    """Make Terraform, the AWS CLI and the scripts of a copy talk to one AWS only; return their environment.

    The image is neither built nor pushed: `podman` is a program that writes down what it was asked.

    Args:
        checkout: The copy.
        environment: For Terraform.
        endpoint: Of the AWS.

    Raises:
        MissingToolError: There is no AWS CLI.
    """
    find_tool("aws", "scripts/prove-deploy installs it")
    (checkout / "terraform/moto_override.tf").write_text(_OVERRIDE)
    programs = checkout.parent / f"{checkout.name}-bin"
    programs.mkdir(exist_ok=True)
    stand_in = programs / "podman"
    calls = f'printf "%s\\n" "$*" >>"{programs}/podman-calls"'
    stand_in.write_text(f'#!/bin/bash\n{calls}\n[ "$1" != login ] || cat >/dev/null\n')
    stand_in.chmod(0o755)
    path = [str(programs), os.environ.get("DEPLOY_TOOLS", ""), environment["PATH"]]
    return environment | {"AWS_ENDPOINT_URL": endpoint, "PATH": os.pathsep.join(filter(None, path))}


@attrs.frozen
class JobDeployment:
    """The job service, in an AWS of its own.

    Attributes:
        checkout: The copy whose scripts deploy it.
        environment: Of the scripts.
        endpoint: Of the AWS.
        certificate: ARN of the load balancer's certificate.
        client: Makes botocore clients of the AWS.
    """

    checkout: Path
    environment: dict[str, str]
    endpoint: str
    certificate: str
    client: Callable[..., Any]

    def script(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of the scripts with the job service's variables."""
        variables = ["--", "-var", "service=jobs", "-var", f"certificate_arn={self.certificate}"]
        return subprocess.run(
            [str(self.checkout / "scripts" / name), *arguments, *variables],
            cwd=self.checkout, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False, timeout=_DEPLOY_SECONDS,
        )  # fmt: skip

    def deploy(self, tag: str) -> str:
        """Deploy an image; return what the script said.

        Raises:
            AssertionError: It failed.
        """
        result = self.script("deploy", "--yes", "--tag", tag)
        assert result.returncode == 0, result.stderr[-3000:]
        return result.stderr

    def terraform(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run terraform."""
        return subprocess.run(
            ["terraform", f"-chdir={self.checkout / 'terraform'}", *arguments],
            env=self.environment, capture_output=True, text=True, check=False, timeout=_TERRAFORM_SECONDS,
        )  # fmt: skip

    def service(self, kind: str) -> dict[str, Any]:
        """Return what ECS says about a service."""
        name = f"{CLUSTER}-{kind}"
        (found,) = self.client("ecs").describe_services(cluster=CLUSTER, services=[name])["services"]
        return dict(found)


@contextmanager
def job_deployment(checkout: Path, environment: dict[str, str]) -> Iterator[JobDeployment]:
    """Begin an empty AWS with a certificate in it, for a copy of the checkout; nothing is deployed yet.

    Args:
        checkout: The copy, without a state.
        environment: For Terraform.

    Raises:
        MissingToolError: There is no AWS CLI.
    """
    with Aws(Path(sys.executable), None, None, None).begin() as server:
        endpoint = f"http://{LOOPBACK}:{server.port}"
        make_client = partial(client, endpoint)
        certificate = make_client("acm").request_certificate(DomainName="jobs.example.com")["CertificateArn"]
        surroundings = aws_environment(checkout, environment, endpoint)
        yield JobDeployment(checkout, surroundings, endpoint, certificate, make_client)
