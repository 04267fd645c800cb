"""The linters: checkov on the module, hadolint on the Containerfile, shellcheck on the scripts."""

import json
import os
import re
import subprocess
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FindTool = Callable[[str, str], str]
INSTALL = "pip install it somewhere and put that folder into DEPLOY_TOOLS; scripts/prove-deploy does"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a linter in the checkout, with its own packages only."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300
    )


def test_checkov_finds_nothing_but_what_is_skipped(find_tool: FindTool) -> None:
    """Every check passes but the listed ones, and there are checks at all."""
    config = "terraform/checkov.yaml"
    result = run(find_tool("checkov", INSTALL), "--config-file", config, "--output", "json")
    assert result.returncode == 0, result.stdout + result.stderr
    summary = json.loads(result.stdout)["summary"]
    assert (summary["failed"], summary["parsing_errors"]) == (0, 0)
    assert summary["passed"] > 100


def test_every_skipped_check_has_a_reason() -> None:
    """No check is left out without saying why."""
    lines = (ROOT / "terraform/checkov.yaml").read_text().partition("skip-check:\n")[2].splitlines()
    assert lines
    assert all(re.fullmatch(r"  - CKV2?_AWS_\d+ +# \S.{10,}", line) for line in lines)


def test_hadolint_has_nothing_to_say(find_tool: FindTool) -> None:
    """The Containerfile follows the rules for such files."""
    result = run(find_tool("hadolint", INSTALL), "Containerfile")
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    "script",
    ["deploy", "collect", "destroy", "container-base", "find-provider", "prove-deploy", "lib.sh"],
)
def test_shellcheck_has_nothing_to_say(find_tool: FindTool, script: str) -> None:
    """The deployment's scripts are free of shellcheck's findings."""
    result = run(find_tool("shellcheck", "Debian package shellcheck"), "-x", f"scripts/{script}")
    assert result.returncode == 0, result.stdout


IGNORED = (
    ".venv",
    ".git",
    "terraform/terraform.tfstate",
    "benchmarks",
    "reports",
    "tests",
    "loadtest_trio/__pycache__",
)


def test_docker_and_podman_leave_out_the_same() -> None:
    """Docker looks for the one name, podman for the other: two files, one content, and no link."""
    ours, docker = ROOT / ".containerignore", ROOT / "Containerfile.dockerignore"
    assert not docker.is_symlink()
    assert docker.read_text() == ours.read_text()


@pytest.mark.parametrize("path", IGNORED)
def test_the_build_never_sees(path: str) -> None:
    """Only what the image is made of is sent to the builder: the last pattern that matches decides."""
    rows = [row for row in (ROOT / ".containerignore").read_text().splitlines() if row and row[0] != "#"]
    names = [path, *map(str, Path(path).parents)]
    verdict = False
    for row in rows:
        pattern = row.removeprefix("!").removeprefix("**/")
        if any(fnmatch(name, pattern) or fnmatch(Path(name).name, pattern) for name in names):
            verdict = not row.startswith("!")
    assert verdict
