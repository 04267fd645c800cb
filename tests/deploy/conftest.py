"""What the deployment's proofs share: Terraform with a provider, a mended moto, who may run the slow ones.

Nothing here reaches AWS. A tool that is missing skips the tests that need it, with the reason printed.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from loadtest_trio.backends.embedded import RedisServer, S3Server
from loadtest_trio.backends.embedded.ports import LOOPBACK, free_ports
from tests.rehearsal.apply import TAG
from tests.support import aws_deployment, podman
from tests.support.aws_deployment import JobDeployment, MissingToolError, job_deployment
from tests.support.aws_server import Aws, client
from tests.support.fargate import FargateTask, MakeClient, secrets_of, task_of
from tests.support.podman import AUTHORITY_INSIDE
from tests.support.tls import certificates

ROOT = Path(__file__).parents[2]
DEBIAN_REDIS = Path("/usr/bin/redis-server")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker of the proofs that take minutes."""
    config.addinivalue_line("markers", "deploy_slow: takes minutes or root; run by scripts/prove-deploy")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the slow proofs out, loudly, unless -m names them; destroy last what others look at."""
    items.sort(key=lambda item: item.name == "test_destroy_leaves_nothing")
    if "deploy_slow" in (config.option.markexpr or ""):
        return
    for item in items:
        if item.get_closest_marker("deploy_slow"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: scripts/prove-deploy runs it"))


def tool(name: str, hint: str) -> str:
    """Return a program's path, from the folder DEPLOY_TOOLS or PATH; skip the test without it."""
    try:
        return aws_deployment.find_tool(name, hint)
    except MissingToolError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def find_tool() -> Callable[[str, str], str]:
    """`tool`, for tests."""
    return tool


@pytest.fixture(scope="session")
def terraform_environment() -> dict[str, str]:
    """The environment for Terraform: a provider from this machine, keys that are none, no stale CLI file."""
    try:
        return aws_deployment.terraform_environment()
    except MissingToolError as error:
        pytest.skip(f"NO TERRAFORM, only the schema subset is checked: {error}")


Terraform = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a deployment is made from, in a git repository of its own."""
    return aws_deployment.copy_checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="session")
def terraform(checkout: Path, terraform_environment: dict[str, str]) -> Terraform:
    """A function that runs terraform in the initialised copy and returns the finished process."""

    def run(*arguments: str, seconds: float = 600) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["terraform", f"-chdir={checkout / 'terraform'}", *arguments],
            env=terraform_environment, capture_output=True, text=True, check=False, timeout=seconds,
        )  # fmt: skip

    plugins = terraform_environment["TF_PLUGIN_DIR"]
    init = run("init", "-backend=false", "-input=false", "-no-color", f"-plugin-dir={plugins}")
    assert init.returncode == 0, init.stderr
    return run


@pytest.fixture(scope="session")
def terraform_test(terraform: Terraform, checkout: Path) -> list[dict[str, Any]]:
    """The events of a whole `terraform test` against mocks, with two states: of `defaults` and of `jobs`.

    Only their files are run verbosely, and only those are parsed: each has the provider's schema, 15 MB.
    """
    files = sorted(path.name for path in (checkout / "terraform/tests").glob("*.tftest.hcl"))
    shown = ("defaults.tftest.hcl", "jobs.tftest.hcl")
    others = [f"-filter=tests/{name}" for name in files if name not in shown]
    filters = [f"-filter=tests/{name}" for name in shown]
    verbose = terraform("test", "-json", "-verbose", *filters).stdout.splitlines()
    states = ('"@testrun":"defaults"', '"@testrun":"jobs"')
    wanted = [row for row in verbose if '"test_state"' not in row or any(run in row for run in states)]
    return [json.loads(row) for row in [*wanted, *terraform("test", "-json", *others).stdout.splitlines()]]


@pytest.fixture(scope="session")
def default_state(terraform_test: list[dict[str, Any]]) -> dict[str, Any]:
    """The state after the run `defaults`: resources, outputs, the provider's schemas."""
    return state_after("defaults", terraform_test)


@pytest.fixture(scope="session")
def job_state(terraform_test: list[dict[str, Any]]) -> dict[str, Any]:
    """The same after the run `jobs`: the job service as it stands when nobody says more than needed."""
    return state_after("jobs", terraform_test)


def state_after(run: str, events: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the state after one run of `terraform test`."""
    (event,) = [each for each in events if each["type"] == "test_state" and each["@testrun"] == run]
    return dict(event["test_state"])


@pytest.fixture(scope="session")
def provider_schemas(default_state: dict[str, Any]) -> dict[str, Any]:
    """Provider -> schemas, as `terraform providers schema` would say."""
    return dict(default_state["provider_schemas"])


@pytest.fixture(scope="session")
def mocked(default_state: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Address -> values of every resource and data source, as applied with the defaults against mocks."""
    return {row["address"]: row["values"] for row in default_state["root_module"]["resources"]}


@pytest.fixture(scope="session")
def container(mocked: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The container definition of the main task."""
    definitions = json.loads(mocked['aws_ecs_task_definition.this["main"]']["container_definitions"])
    assert len(definitions) == 1
    return dict(definitions[0])


@pytest.fixture(scope="session")
def aws_endpoint() -> Iterator[str]:
    """The address of an empty AWS."""
    with Aws(Path(sys.executable), None, None, None).begin() as server:
        yield f"http://{LOOPBACK}:{server.port}"


@pytest.fixture(scope="session")
def aws_environment(
    checkout: Path, terraform_environment: dict[str, str], aws_endpoint: str
) -> dict[str, str]:
    """The environment in which Terraform, the AWS CLI and the scripts of the copy talk to that AWS only."""
    try:
        return aws_deployment.aws_environment(checkout, terraform_environment, aws_endpoint)
    except MissingToolError as error:
        pytest.skip(str(error))


Script = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def aws_script(checkout: Path, aws_environment: dict[str, str]) -> Script:
    """A function that runs one of the copy's scripts against that AWS."""

    def run(name: str, *arguments: str, seconds: float = 500) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(checkout / "scripts" / name), *arguments],
            cwd=checkout, env=aws_environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False, timeout=seconds,
        )  # fmt: skip

    return run


@pytest.fixture(scope="session")
def deployed(aws_script: Script) -> str:
    """What `scripts/deploy` said when it created everything there."""
    result = aws_script("deploy", "--yes", "--tag", "one")
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stderr


@pytest.fixture(scope="session")
def aws_client(aws_endpoint: str) -> Callable[..., Any]:
    """Make botocore clients for that AWS: ``aws_client("ecs")``."""
    return partial(client, aws_endpoint)


@pytest.fixture(scope="session")
def jobs(
    checkout: Path, terraform_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[JobDeployment]:
    """Another copy of the checkout, without its state, and an empty AWS for the job service."""
    copy = tmp_path_factory.mktemp("jobs") / "checkout"
    shutil.copytree(checkout, copy, ignore=shutil.ignore_patterns("*.tfstate*"), symlinks=True)
    try:
        with job_deployment(copy, terraform_environment) as deployment:
            yield deployment
    except MissingToolError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def deployed_jobs(jobs: JobDeployment) -> str:
    """What `scripts/deploy` said when it created the job service there."""
    return jobs.deploy(TAG)


@pytest.fixture(scope="session")
def strict_aws() -> Iterator[tuple[str, Path]]:
    """Another empty AWS, whose permissions can be switched on, and its log of requests."""
    with Aws(Path(sys.executable), None, None, None).begin() as server:
        yield f"http://{LOOPBACK}:{server.port}", server.folder / "server.log"


@pytest.fixture(scope="session")
def strict_client(strict_aws: tuple[str, Path]) -> Callable[..., Any]:
    """Make botocore clients for the strict AWS: ``strict_client("s3", **keys)``."""
    return partial(client, strict_aws[0])


@pytest.fixture(scope="session")
def image() -> str:
    """The real image, built on the official base, or on a stand-in made from Debian's packages."""
    if os.geteuid() != 0:
        pytest.skip("the container runs as on Fargate only where this is root (scripts/prove-deploy)")
    for name in ("podman", "runc"):
        tool(name, f"Debian package {name}; scripts/prove-deploy installs it")
    base = subprocess.run([ROOT / "scripts/container-base"], capture_output=True, text=True, check=False)
    if base.returncode:
        pytest.skip(f"no base image: {base.stderr.strip()}")
    podman.build(ROOT, "localhost/loadtest-trio:proof", REVISION="proof")
    return "localhost/loadtest-trio:proof"


@pytest.fixture
def tls_redis(tmp_path: Path) -> Iterator[Callable[..., tuple[str, Path]]]:
    """Start Debian's Redis with TLS: ``tls_redis(password)`` gives its address and the authority's file.

    With ``replicas=1`` it has a replica, which follows it without TLS.
    """
    if not DEBIAN_REDIS.exists():
        pytest.skip(f"{DEBIAN_REDIS} is missing: apt-get install redis-server")
    with ExitStack() as servers:

        def start(password: str | None = None, replicas: int = 0) -> tuple[str, Path]:
            directives, authority = certificates(tmp_path)
            (port,) = free_ports(1)
            more = {"tls-port": str(port), "repl-diskless-sync-delay": "0"}
            server = RedisServer.start(binary=DEBIAN_REDIS, password=password, directives=directives | more)
            servers.enter_context(server)
            for _ in range(replicas):
                follow = {"replicaof": f"{LOOPBACK} {server.port}", "masterauth": server.password}
                servers.enter_context(RedisServer.start(binary=DEBIAN_REDIS, directives=follow))
            inside = f"ssl_ca_certs={AUTHORITY_INSIDE}"
            return f"rediss://:{server.password}@localhost:{port}/0?{inside}", authority

        yield start


@pytest.fixture
def run_task(
    image: str, bucket: str, s3_server: S3Server, tls_redis: Callable[..., tuple[str, Path]]
) -> Iterator[Callable[..., FargateTask]]:
    """Run a service's task: ``run_task(make_client, "loadtest-trio", replicas=1, HEALTH_PORT="1")``."""
    with ExitStack() as tasks:

        def run(make_client: MakeClient, service: str, replicas: int = 0, **local: str) -> FargateTask:
            task = task_of(make_client, service)
            secrets = secrets_of(make_client, task)
            url, authority = tls_redis(urlsplit(secrets["REDIS_ENDPOINT"]).password, replicas)
            here = {"REDIS_ENDPOINT": url, "S3_ENDPOINT_URL": s3_server.endpoint_url, "S3_BUCKET": bucket}
            keys = {"AccessKeyId": s3_server.access_key, "SecretAccessKey": s3_server.secret_key}
            return tasks.enter_context(FargateTask(task, image, secrets | local | here, keys, authority))

        yield run
