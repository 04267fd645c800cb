"""The linters: checkov on the module, hadolint on the Containerfile, shellcheck on the scripts."""

import json
import os
import re
import subprocess
from collections.abc import Callable
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
