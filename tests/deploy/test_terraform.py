"""The Terraform module: formatted, valid, right where `validate` is blind, and documented as it is.

What is applied here is applied against mocks: these are claims about the module, not about AWS.
"""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loadtest_trio.cli.preflight.cost import CostInputs, predict
from loadtest_trio.cli.preflight.prices import load_prices
from loadtest_trio.metrics.emf import UNITS
from loadtest_trio.settings import load

ROOT = Path(__file__).parents[2]
Terraform = Callable[..., subprocess.CompletedProcess[str]]
Mocked = dict[str, dict[str, Any]]


def statements(mocked: Mocked, document: str) -> dict[str, tuple[list[str], list[str]]]:
    """Return a policy document as sid -> (actions, resources)."""
    rows = mocked[f"data.aws_iam_policy_document.{document}"]["statement"]
    return {row["sid"]: (row["actions"], row["resources"]) for row in rows}


def test_files_are_formatted(find_tool: Callable[[str, str], str]) -> None:
    """`terraform fmt` would change nothing."""
    program = find_tool("terraform", "https://developer.hashicorp.com/terraform/install")
    command = [program, f"-chdir={ROOT / 'terraform'}", "fmt", "-check", "-recursive", "-diff"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stdout


def test_module_is_valid(terraform: Terraform) -> None:
    """The real provider's schema accepts every block and argument."""
    report = json.loads(terraform("validate", "-json").stdout)
    assert report["valid"], report["diagnostics"]
    assert report["diagnostics"] == [], "a deprecated argument is a failure of tomorrow"


def test_assertions_hold_against_mocks(terraform_test: list[dict[str, Any]]) -> None:
    """Every run of `terraform test` passes, and none was forgotten."""
    outcomes = {
        (event["@testfile"], event["@testrun"]): event["test_run"]["status"]
        for event in terraform_test
        if event["type"] == "test_run" and event["test_run"].get("progress") == "complete"
    }
    said = [event["@message"] for event in terraform_test if event["type"] == "diagnostic"]
    assert set(outcomes.values()) == {"pass"}, (outcomes, said)
    written = sum(
        path.read_text().count('\nrun "') for path in (ROOT / "terraform/tests").glob("*.tftest.hcl")
    )
    assert len(outcomes) == written


def test_task_may_do_what_the_service_does_and_no_more(mocked: Mocked) -> None:
    """The task role: three object actions under the prefix, the list of the prefix, nothing else."""
    bucket = "arn:aws:s3:::loadtest-trio-123456789012-us-east-1"
    assert statements(mocked, "task") == {
        "Objects": (["s3:DeleteObject", "s3:GetObject", "s3:PutObject"], [f"{bucket}/loadtest/*"]),
        "ListPrefix": (["s3:ListBucket"], [bucket]),
    }
    listing = mocked["data.aws_iam_policy_document.task"]["statement"][1]
    assert listing["condition"] == [{"test": "StringLike", "variable": "s3:prefix", "values": ["loadtest/*"]}]


def test_execution_role_reads_one_repository_and_one_secret(mocked: Mocked) -> None:
    """Only the registry's login, which knows no resource, is for everything."""
    found = statements(mocked, "execution")
    assert {sid for sid, (_, resources) in found.items() if "*" in resources} == {"RegistryLogin"}
    assert found["RegistryLogin"][0] == ["ecr:GetAuthorizationToken"]
    assert found["ReadSecrets"][0] == ["secretsmanager:GetSecretValue"]
    assert found["WriteLogs"] == (
        ["logs:CreateLogStream", "logs:PutLogEvents"],
        ["arn:aws:logs:us-east-1:123456789012:log-group:/ecs/loadtest-trio:*"],
    )


def test_schedule_may_stop_this_service_only(mocked: Mocked) -> None:
    """The schedule's role cannot touch another service."""
    service = "arn:aws:ecs:us-east-1:123456789012:service/loadtest-trio/loadtest-trio"
    assert statements(mocked, "stop") == {"StopServices": (["ecs:UpdateService"], [service])}


@pytest.mark.parametrize(
    ("document", "service"),
    [("ecs_tasks", "ecs-tasks.amazonaws.com"), ("scheduler", "scheduler.amazonaws.com")],
)
def test_roles_are_assumed_from_this_account_only(mocked: Mocked, document: str, service: str) -> None:
    """A role trusts one service, and that only on behalf of this account (confused deputy)."""
    (statement,) = mocked[f"data.aws_iam_policy_document.{document}"]["statement"]
    assert statement["principals"] == [{"type": "Service", "identifiers": [service]}]
    conditions = {row["variable"]: row["values"] for row in statement["condition"]}
    assert conditions["aws:SourceAccount"] == ["123456789012"]


def test_ec2_takes_every_description() -> None:
    """Groups and rules are described in the characters that EC2 allows: no apostrophe, for one.

    Source: Amazon EC2 API Reference, CreateSecurityGroup. Neither `validate` nor moto knows it.
    """
    source = "".join(path.read_text() for path in (ROOT / "terraform").glob("*.tf"))
    blocks = re.findall(r'^resource "aws_(?:vpc_)?security_group\w*" .*?^}', source, re.MULTILINE | re.DOTALL)
    found = [re.findall(r'^  description += +"(.*)"$', block, re.MULTILINE) for block in blocks]
    assert len(blocks) == 14
    assert all(len(descriptions) == 1 for descriptions in found), "a literal each, so that it can be checked"
    for (text,) in found:
        assert re.fullmatch(r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{1,255}", text), text


def test_nothing_reaches_the_task(mocked: Mocked) -> None:
    """No rule lets anybody in to the task, and Redis hears the task only."""
    inward = {name for name in mocked if name.startswith("aws_vpc_security_group_ingress_rule.")}
    assert inward == {
        "aws_vpc_security_group_ingress_rule.redis_from_task",
        "aws_vpc_security_group_ingress_rule.endpoints_from_task[0]",
    }
    task = mocked["aws_security_group.task"]["id"]
    assert {mocked[name]["referenced_security_group_id"] for name in inward} == {task}
    assert all(mocked[name]["security_group_id"] != task for name in inward)


def test_private_task_talks_to_no_address_outside(mocked: Mocked) -> None:
    """Every way out of a private task names a group or S3's prefix list, no address range."""
    outward = [values for name, values in mocked.items() if "_egress_rule." in name]
    assert len(outward) == 3
    assert all(rule["cidr_ipv4"] is None and rule["cidr_ipv6"] is None for rule in outward)


def test_dashboard_and_alarms_name_metrics_that_exist(mocked: Mocked) -> None:
    """Every metric on the dashboard and in an alarm is one that the service embeds in its lines."""
    widgets = json.loads(mocked["aws_cloudwatch_dashboard.this"]["dashboard_body"])["widgets"]
    shown = {tuple(metric) for widget in widgets for metric in widget["properties"]["metrics"]}
    dimensions = ("service", "loadtest", "role", "main")
    assert shown == {("loadtest_trio", name, *dimensions) for name in UNITS}
    alarms = [values for name, values in mocked.items() if name.startswith("aws_cloudwatch_metric_alarm.")]
    metrics = [query["metric"][0] for row in alarms for query in row["metric_query"] if query["metric"]]
    assert all(metric["dimensions"] == {"service": "loadtest", "role": "main"} for metric in metrics)
    assert {metric["metric_name"] for metric in metrics} == {
        "rate_per_second", "queue_length", "errors", "dead", "end_to_end_p99_ms", "cpu_percent", "memory_mb",
    }  # fmt: skip


def test_prices_are_dated_and_used(mocked: Mocked) -> None:
    """The table says when and where it is from, and each of its prices enters the sum or the reasoning."""
    prices = load_prices()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", prices["as_of"])
    source = "".join(path.read_text() for path in (ROOT / "terraform").glob("*.tf"))
    unused = {name for name in prices if f"prices.{name}" not in source}
    # Described only, in network.tf and costs.tf: what is not built, and what is too small to count.
    assert unused == {"note", "nat_gateway_hour", "nat_gateway_gb", "log_ingest_gb"}


def test_estimate_agrees_with_preflight(default_state: dict[str, Any]) -> None:
    """Terraform's estimate before the deployment and preflight's after it are the same sums."""
    estimate = default_state["outputs"]["cost_usd_a_day"]["value"]
    settings = load({"REDIS_ENDPOINT": "redis://localhost", "S3_BUCKET": "bucket"}).settings
    predicted = predict(settings, CostInputs(rate=100.0, seconds=86_400.0), load_prices())

    def usd(*services: str) -> float:
        return sum(each.usd or 0.0 for each in predicted if each.service in services and each.unit != "GB")

    assert estimate["fargate"] == pytest.approx(usd("Fargate"), abs=0.01)
    assert estimate["network"] == pytest.approx(usd("VPC"), abs=0.01)
    assert estimate["redis"] == pytest.approx(usd("ElastiCache"), abs=0.01)
    assert estimate["observability"] == pytest.approx(usd("CloudWatch", "Secrets Manager"), abs=0.01)
    assert estimate["s3_requests"] == pytest.approx(usd("S3"), abs=0.02), "preflight also counts the LISTs"


def test_documented_costs_are_the_estimate(default_state: dict[str, Any]) -> None:
    """The chapter's table of a day's costs is what Terraform computes for the defaults."""
    estimate = default_state["outputs"]["cost_usd_a_day"]["value"]
    chapter = (ROOT / "docs/deployment.md").read_text()
    rows = dict(re.findall(r"^\| ([\w ]+) \| \$([\d.]+) \|", chapter, re.MULTILINE))
    documented = {part.lower().replace(" ", "_"): float(usd) for part, usd in rows.items()}
    assert documented == estimate


def test_every_variable_is_documented() -> None:
    """The deployment chapter names each variable with its default, and no other; the script sets two."""
    source = "".join(path.read_text() for path in (ROOT / "terraform").glob("variables*.tf"))
    chapter = (ROOT / "docs/deployment.md").read_text()
    blocks = re.findall(r'^variable "(\w+)" {\n(.*?)^}', source, re.MULTILINE | re.DOTALL)
    defaults = {name: re.search(r"^  default += (.*)$", block, re.MULTILINE) for name, block in blocks}
    declared = {name: found[1].strip('"') if found else None for name, found in defaults.items()}
    set_by_script = dict.fromkeys(("image_tag", "run_id"), "set by `scripts/deploy`")
    documented = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", chapter, re.MULTILINE))
    assert documented == {name: f"`{default}`" for name, default in declared.items()} | set_by_script
