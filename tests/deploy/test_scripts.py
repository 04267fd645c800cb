"""deploy, collect and destroy: what they print without doing, and when they refuse."""

import io
import json
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ["deploy", "collect", "destroy"]
UNIX = "basename bash cat date dirname env git grep head id mktemp mv rm sed sleep sort tail wc"
Script = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH with Unix and Python, but neither terraform nor aws nor podman."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in UNIX.split():
        (folder / name).symlink_to(shutil.which(name) or f"/usr/bin/{name}")
    (folder / "python3").symlink_to(sys.executable)
    return folder


def fake(tools: Path, name: str, body: str = "exit 0") -> None:
    """Put a program onto that PATH which writes down its arguments and then does as told."""
    program = tools / name
    program.write_text(f'#!/bin/bash\nprintf "%s\\n" "{name} $*" >>"{tools}/calls"\n{body}\n')
    program.chmod(0o755)


@pytest.fixture
def script(tools: Path) -> Script:
    """Run one of the scripts with that PATH and nothing on standard input."""

    def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(ROOT / "scripts" / name), *arguments],
            env={"PATH": str(tools), "HOME": str(tools)}, cwd=tools, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    return run


def calls(tools: Path) -> list[str]:
    """Return what the fake programs were called with."""
    log = tools / "calls"
    return log.read_text().splitlines() if log.exists() else []


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_is_the_usage(script: Script, name: str) -> None:
    """--help prints what the script does and its arguments."""
    result = script(name, "--help")
    assert result.returncode == 0
    assert f"usage: scripts/{name}" in result.stdout


@pytest.mark.parametrize("name", SCRIPTS)
def test_unknown_argument_is_refused(script: Script, name: str) -> None:
    """A typing error in an argument stops everything."""
    result = script(name, "--yess")
    assert result.returncode == 1
    assert "unknown argument --yess" in result.stderr


@pytest.mark.parametrize("name", SCRIPTS)
def test_missing_tool_is_named_with_where_to_get_it(script: Script, name: str) -> None:
    """Without terraform nothing begins, and the message says where it is to be had."""
    result = script(name, *([] if name == "collect" else ["--yes"]))
    assert result.returncode == 1
    assert f"{name}: needs terraform:" in result.stderr


@pytest.mark.parametrize("name", SCRIPTS)
def test_missing_credentials_are_refused(script: Script, tools: Path, name: str) -> None:
    """Without usable credentials nothing is planned, applied or destroyed."""
    for program in ("terraform", "podman"):
        fake(tools, program)
    fake(tools, "aws", "exit 255")
    result = script(name, *([] if name == "collect" else ["--yes"]))
    assert result.returncode == 1
    assert "no usable AWS credentials" in result.stderr
    assert calls(tools) == ["aws sts get-caller-identity --region us-east-1"]


@pytest.mark.parametrize("name", SCRIPTS)
def test_dry_run_prints_and_runs_nothing(script: Script, tools: Path, name: str) -> None:
    """--dry-run says every command, names what is missing, and starts no program."""
    for program in ("terraform", "podman"):
        fake(tools, program)
    result = script(name, "--dry-run")
    assert result.returncode == 0, result.stderr
    assert "missing: aws" in result.stderr
    assert calls(tools) == []
    expected = {
        "deploy": ["terraform plan", "apply", "podman build", "get-login-password", "podman push"],
        "collect": ["aws logs filter-log-events"],
        "destroy": ["destroy"],
    }[name]
    for command in expected:
        assert command in result.stderr


def test_dry_run_of_deploy_carries_tag_and_variables(script: Script) -> None:
    """The tag and what stands behind -- reach every terraform command."""
    result = script("deploy", "--dry-run", "--tag", "v1", "--", "-var", "memory_mib=4096")
    applies = [line for line in result.stderr.splitlines() if "terraform" in line and " apply " in line]
    assert len(applies) == 2
    assert all("-var memory_mib=4096 -var image_tag=v1 -var run_id=" in line for line in applies)
    assert "--format docker" in result.stderr, "the OCI format would lose the health check"


@pytest.mark.parametrize("name", ["deploy", "destroy"])
def test_without_terminal_and_yes_nothing_is_changed(script: Script, tools: Path, name: str) -> None:
    """Nobody there to ask means no."""
    shown = json.dumps(PLAN)
    body = f"""case "$*" in *show*) echo '{shown}' ;; *"state list"*) echo aws_vpc.this ;; esac"""
    fake(tools, "terraform", body)
    fake(tools, "aws", "exit 0")
    fake(tools, "podman")
    result = script(name)
    assert result.returncode == 1
    assert "use --yes" in result.stderr
    assert not [call for call in calls(tools) if " apply" in call or " destroy" in call or "push" in call]


PLAN: dict[str, Any] = {
    "variables": {"cpu_architecture": {"value": "ARM64"}},
    "resource_changes": [
        {"change": {"actions": ["create"]}},
        {"change": {"actions": ["create"]}},
        {"change": {"actions": ["delete", "create"]}},
        {"change": {"actions": ["no-op"]}},
    ],
    "planned_values": {
        "outputs": {
            "prices_as_of": {"value": "2025-06-01, us-east-1"},
            "cost_usd_a_day": {"value": {"fargate": 1.18, "redis": None}},
        }
    },
}


def test_plan_summary_says_changes_and_prices(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The platform for the script, then the changes and every price; an unknown price is called unknown."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(PLAN)))
    runpy.run_path(str(ROOT / "scripts/plan_summary.py"), run_name="__main__")
    platform, changes, *costs = capsys.readouterr().out.splitlines()
    assert platform == "linux/arm64"
    assert changes == "plan: 2 to create, 1 to replace"
    assert costs == [
        "estimate a day, at prices of 2025-06-01, us-east-1:",
        "  fargate       $    1.18",
        "  redis         unknown: not in prices.json",
        "  the whole run unknown: not in prices.json",
    ]


def test_collect_refuses_a_time_that_is_none(script: Script, tools: Path) -> None:
    """A wrong time is told, and nothing is read."""
    fake(tools, "terraform", "echo value")
    fake(tools, "aws")
    result = script("collect", "--since", "yesterday")
    assert result.returncode == 1
    assert "not an RFC 3339 time: yesterday" in result.stderr
    assert not [call for call in calls(tools) if "filter-log-events" in call]
