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
UNIX = "basename bash cat date dirname env git grep head id mktemp mv rm sed sort tail wc"
Script = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH with Unix and Python, but neither terraform nor aws nor podman."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in UNIX.split():
        (folder / name).symlink_to(shutil.which(name) or f"/usr/bin/{name}")
    (folder / "python3").symlink_to(sys.executable)
    fake(folder, "sleep")  # nobody waits here
    return folder


def fake(tools: Path, name: str, body: str = "exit 0") -> None:
    """Put a program onto that PATH which writes down its arguments and then does as told."""
    program = tools / name
    program.write_text(f'#!/bin/bash\nprintf "%s\\n" "{name} $*" >>"{tools}/calls"\n{body}\n')
    program.chmod(0o755)


@pytest.fixture
def script(tools: Path) -> Script:
    """Run one of the scripts with that PATH and nothing on standard input."""

    def run(name: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(ROOT / "scripts" / name), *arguments],
            env={"PATH": str(tools), "HOME": str(tools), **environ}, cwd=tools, stdin=subprocess.DEVNULL,
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
def test_missing_python_is_named(script: Script, tools: Path, name: str) -> None:
    """Each of them reads JSON or times with python3, and says so before it begins."""
    (tools / "python3").unlink()
    for program in ("terraform", "aws", "podman"):
        fake(tools, program)
    result = script(name, *([] if name == "collect" else ["--yes"]))
    assert result.returncode == 1
    assert f"{name}: needs python3:" in result.stderr
    assert calls(tools) == []


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
        "destroy": ["terraform plan -destroy"],
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
    assert "--build-arg REQUIREMENTS=runtime" in result.stderr


def test_an_image_that_can_tune_is_another_image(script: Script) -> None:
    """What tune needs is put into the image only when asked for, under a tag of its own."""
    result = script("deploy", "--dry-run", "--tag", "v1", "--with-tune")
    assert "-var image_tag=v1-tune" in result.stderr
    assert "--build-arg REQUIREMENTS=report" in result.stderr


@pytest.mark.parametrize("name", ["deploy", "destroy"])
def test_without_terminal_and_yes_nothing_is_changed(script: Script, tools: Path, name: str) -> None:
    """Nobody there to ask means no."""
    shown = json.dumps(PLAN)
    fake(tools, "terraform", terraform(shown))
    fake(tools, "aws", "exit 0")
    fake(tools, "podman")
    result = script(name)
    assert result.returncode == 1
    assert "use --yes" in result.stderr
    assert not [call for call in calls(tools) if " apply" in call or " destroy" in call or "push" in call]


VARIABLES = {"cpu_architecture": "ARM64", "image_tag": "v1", "region": "eu-west-1", "name": "mine"}
PLAN: dict[str, Any] = {
    "variables": {name: {"value": value} for name, value in VARIABLES.items()},
    "resource_changes": [
        {"address": "aws_vpc.a", "change": {"actions": ["create"]}},
        {"address": "aws_vpc.b", "change": {"actions": ["create"]}},
        {"address": "aws_vpc.c", "change": {"actions": ["delete", "create"]}},
        {"address": "aws_vpc.d", "change": {"actions": ["delete"]}},
        {"address": "aws_vpc.e", "change": {"actions": ["no-op"]}},
    ],
    "planned_values": {
        "outputs": {
            "prices_as_of": {"value": "2025-06-01, us-east-1"},
            "cost_usd_a_day": {"value": {"fargate": 1.18, "redis": None, "s3_requests": None}},
        }
    },
}


def test_plan_summary_says_changes_and_prices(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For the script where and what; then what changes, what is lost, every price or why there is none."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(PLAN)))
    runpy.run_path(str(ROOT / "scripts/plan_summary.py"), run_name="__main__")
    for_script, changes, *rest = capsys.readouterr().out.splitlines()
    assert for_script == "linux/arm64 v1-arm64 eu-west-1 mine"
    assert changes == "plan: 2 to create, 1 to delete, 1 to replace"
    assert rest == [
        "  deletes aws_vpc.d",
        "  replaces aws_vpc.c",
        "estimate a day, at prices of 2025-06-01, us-east-1:",
        "  fargate       $    1.18",
        "  redis         unknown: not in prices.json",
        "  s3_requests   unknown: in saturate mode the rate is what one vCPU can do",
        "  the whole run unknown: a part of it is",
    ]


def test_plan_summary_of_jobs_says_a_month_and_what_scaling_can_add(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A service without an end has its cost a month, with the fewest tasks and with the most."""
    outputs = PLAN["planned_values"]["outputs"] | {
        "cost_usd_a_day": {"value": {"fargate": 3.55, "load_balancer": 0.97}},
        "cost_usd_a_run": {"value": 137.48},
        "cost_usd_a_run_at_most": {"value": 317.85},
    }
    monkeypatch.setattr(
        sys, "stdin", io.StringIO(json.dumps(PLAN | {"planned_values": {"outputs": outputs}}))
    )
    runpy.run_path(str(ROOT / "scripts/plan_summary.py"), run_name="__main__")
    assert capsys.readouterr().out.splitlines()[-4:] == [
        "  fargate       $    3.55",
        "  load_balancer $    0.97",
        "  a month       $  137.48",
        "    at most     $  317.85",
    ]


def test_collect_refuses_a_time_that_is_none(script: Script, tools: Path) -> None:
    """A wrong time is told, and nothing is read."""
    fake(tools, "terraform", "echo value")
    fake(tools, "aws")
    result = script("collect", "--since", "yesterday")
    assert result.returncode == 1
    assert "not an RFC 3339 time: yesterday" in result.stderr
    assert not [call for call in calls(tools) if "filter-log-events" in call]


REPOSITORY = "1.dkr.ecr.eu-west-1.amazonaws.com/mine"
ANSWERS = {
    "output -raw repository_url": REPOSITORY,
    "output -raw": "value",
    "output -json services": '{"main": "mine"}',
    "output -json task_definitions": '{"mine": "arn:task:2"}',
    "state list": "aws_vpc.this",
}


def terraform(shown: str = "", **answers: str) -> str:
    """Return the body of a terraform that answers as if something were deployed."""
    wanted = {"show": shown, **ANSWERS, **answers}
    return "\n".join(
        f"""case "$*" in *"{asked}"*) echo '{said}'; exit ;; esac""" for asked, said in wanted.items()
    )


def aws(*deployments: str, tasks: str = "") -> str:
    """Return the body of an aws that tells of tasks, and of one deployment after the other."""
    told = "\n".join(f'  {n}) echo "{said}" ;;' for n, said in enumerate(deployments, 1))
    return f"""case "$*" in
*list-tasks*) echo "{tasks}" ;;
*describe-services*) case $(grep -c describe-services "$(dirname "$0")/calls") in
{told}
esac ;;
esac"""


@pytest.fixture
def deploy(script: Script, tools: Path) -> Script:
    """Run deploy --yes where it is deployed already, with an aws of the given body."""

    def run(body: str, **environ: str) -> subprocess.CompletedProcess[str]:
        fake(tools, "terraform", terraform(json.dumps(PLAN)))
        fake(tools, "podman")
        fake(tools, "aws", body)
        return script("deploy", "--yes", "--tag", "v1", **environ)

    return run


STARTING = "ecs-svc/2\tarn:task:2\tIN_PROGRESS\t0\t1\tin progress"
HEALTHY = "ecs-svc/2\tarn:task:2\tCOMPLETED\t1\t1\tcompleted"


def test_deploy_waits_until_the_task_is_healthy(deploy: Script) -> None:
    """Success is what ECS calls completed, with every wanted task running."""
    result = deploy(aws(STARTING, HEALTHY))
    assert result.returncode == 0, result.stderr
    assert f"running {REPOSITORY}:v1-arm64, healthy" in result.stderr


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ("ecs-svc/2\tarn:task:2\tFAILED\t0\t1\ttasks failed to start", "mine failed: tasks failed to start"),
        ("ecs-svc/3\tarn:task:1\tIN_PROGRESS\t0\t1\trolling back", "mine was rolled back to arn:task:1"),
        ("ecs-svc/3\tarn:task:2\tCOMPLETED\t1\t1\trolled back", "mine was rolled back to arn:task:2"),
    ],
    ids=["failed", "rolled back to the image before", "rolled back to the same image"],
)
def test_deploy_fails_when_the_task_never_gets_healthy(deploy: Script, last: str, said: str) -> None:
    """A service that is steady again because ECS went back to the old task is no success."""
    result = deploy(aws(STARTING, last))
    assert result.returncode == 1
    assert said in result.stderr
    assert "aws logs tail" in result.stderr
    assert ", healthy" not in result.stderr


def test_deploy_gives_up_waiting(deploy: Script) -> None:
    """A task that is neither healthy nor given up does not hold the script for ever."""
    result = deploy(aws(STARTING), ROLLOUT_MINUTES="0")
    assert result.returncode == 1
    assert "mine is not healthy after 0 minutes (0 of 1 tasks run, IN_PROGRESS: in progress)" in result.stderr


def test_deploy_applies_the_plan_it_showed(deploy: Script, tools: Path) -> None:
    """Where nothing runs, nothing changes between question and apply: one plan, and that one applied."""
    assert deploy(aws(HEALTHY)).returncode == 0
    plans = [call for call in calls(tools) if " plan " in call]
    (apply,) = [call for call in calls(tools) if " apply " in call]
    (out,) = [part.removeprefix("-out=") for part in plans[0].split() if part.startswith("-out=")]
    assert len(plans) == 1
    assert apply.endswith(f"apply -input=false {out}")
    assert not Path(out).exists(), "it holds secrets"


def test_deploy_drains_what_runs_before_it_applies(deploy: Script, tools: Path) -> None:
    """No task of a run is left when the next one starts: two schedulers never overlap."""
    assert deploy(aws(HEALTHY, tasks="arn:a\tarn:b")).returncode == 0
    made = calls(tools)
    order = ["--desired-count 0", "wait tasks-stopped", " plan ", " apply "]
    places = [max(n for n, call in enumerate(made) if part in call) for part in order]
    assert places == sorted(places)
    assert made[places[1]].endswith("--tasks arn:a arn:b")


def test_deploy_stops_when_the_old_task_does_not(deploy: Script, tools: Path) -> None:
    """A task that does not end is told, and nothing is applied beside it."""
    result = deploy('case "$*" in *list-tasks*) echo arn:a ;; *wait*) exit 255 ;; esac')
    assert result.returncode == 1
    assert "the tasks of mine do not stop" in result.stderr
    assert not [call for call in calls(tools) if " apply " in call]


@pytest.mark.parametrize("name", ["deploy", "destroy"])
def test_another_place_than_the_deployed_is_refused(script: Script, tools: Path, name: str) -> None:
    """Variables of another region or name than the state's change nothing, and both are told."""
    elsewhere = PLAN | {"variables": PLAN["variables"] | {"name": {"value": "other"}}}
    fake(tools, "terraform", terraform(json.dumps(elsewhere)))
    for program in ("aws", "podman"):
        fake(tools, program)
    result = script(name, "--yes")
    assert result.returncode == 1
    assert "is mine in eu-west-1, but the variables say other in eu-west-1" in result.stderr
    assert not [call for call in calls(tools) if " apply" in call]


def test_destroy_takes_region_and_name_from_the_state(script: Script, tools: Path) -> None:
    """Nobody has to remember with which variables it was deployed; what will be lost is told."""
    fake(tools, "terraform", terraform(json.dumps(PLAN)))
    fake(tools, "aws")
    result = script("destroy", "--yes")
    assert result.returncode == 0, result.stderr
    (plan,) = [call for call in calls(tools) if " plan " in call]
    assert "-destroy -var region=eu-west-1 -var name=mine" in plan
    assert "costs nothing; what is not collected (scripts/collect) is lost" in result.stderr


@pytest.mark.parametrize(
    ("said", "code", "told"),
    [
        ("No state file was found!", 0, "nothing is deployed"),
        ("Error: no access to the backend", 1, "cannot read the state"),
    ],
)
def test_destroy_tells_no_state_from_no_answer(
    script: Script, tools: Path, said: str, code: int, told: str
) -> None:
    """Only a state that is really empty is called so: anything else may still cost."""
    fake(tools, "terraform", f'case "$*" in *"state list"*) echo "{said}" >&2; exit 1 ;; esac')
    fake(tools, "aws")
    result = script("destroy", "--yes")
    assert (result.returncode, told in result.stderr) == (code, True)


def test_collect_says_when_nothing_is_deployed(script: Script, tools: Path) -> None:
    """Without any output Terraform prints a warning and succeeds: that is no log group."""
    fake(tools, "terraform", terraform(**{"output -raw": "Warning: No outputs found"}))
    fake(tools, "aws")
    result = script("collect")
    assert result.returncode == 1
    assert "nothing is deployed from this folder" in result.stderr


def test_collect_initialises_terraform_and_says_what_it_does(script: Script, tools: Path) -> None:
    """It works in a fresh checkout with a shared state, and tells what it reads, where to, for how much."""
    fake(tools, "terraform", terraform())
    fake(tools, "aws", 'case "$*" in *filter-log-events*) echo "{}" ;; esac')
    result = script("collect", "--since", "2025-06-01T12:00:00Z", "--output", "run.jsonl")
    assert result.returncode == 0, result.stderr
    made = calls(tools)
    assert next(n for n, call in enumerate(made) if " init " in call) < next(
        n for n, call in enumerate(made) if " output " in call
    )
    assert "changes nothing and costs nothing" in result.stderr
