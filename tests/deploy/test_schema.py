"""Without the provider: the module against a committed subset of the provider's schema."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.provider_schema import faults, subset

ROOT = Path(__file__).parents[2]
COMMITTED = Path(__file__).with_name("provider_schema.json")
AWS = "registry.terraform.io/hashicorp/aws"

hcl2 = pytest.importorskip("hcl2", reason="python-hcl2 is missing: pip install python-hcl2")


@pytest.fixture(scope="module")
def module() -> list[dict[str, Any]]:
    """The module's files, parsed."""
    return [hcl2.loads(path.read_text()) for path in sorted((ROOT / "terraform").glob("*.tf"))]


def test_module_says_what_the_provider_knows(module: list[dict[str, Any]]) -> None:
    """No argument or block is unknown to the provider, and no required one is missing."""
    assert list(faults(json.loads(COMMITTED.read_text()), module)) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('resource "aws_ecs_cluster" "x" {\n  nmae = "x"\n}', "resource aws_ecs_cluster.x: nmae is unknown"),
        ('resource "aws_ecs_cluster" "x" {}', "resource aws_ecs_cluster.x: name is missing"),
        ('resource "aws_ecs_clutter" "x" {}', "resource aws_ecs_clutter: unknown type"),
        (
            'resource "aws_ecs_cluster" "x" {\n  name = "x"\n  setting {\n    name = "y"\n  }\n}',
            "resource aws_ecs_cluster.x.setting: value is missing",
        ),
        (
            'resource "aws_ecs_cluster" "x" {\n  name = "x"\n  dynamic "setting" {\n    for_each = []\n'
            '    content {\n      name = "y"\n      value = "z"\n      valeu = "z"\n    }\n  }\n}',
            "resource aws_ecs_cluster.x.setting: valeu is unknown",
        ),
    ],
)
def test_mistakes_are_found(text: str, fault: str) -> None:
    """The check is able to fail: unknown and missing names, in blocks and dynamic blocks too."""
    assert fault in list(faults(json.loads(COMMITTED.read_text()), [hcl2.loads(text + "\n")]))


def test_committed_subset_is_the_providers(
    module: list[dict[str, Any]], provider_schemas: dict[str, Any]
) -> None:
    """The subset is what the provider on this machine says; UPDATE_PROVIDER_SCHEMA=1 writes it anew."""
    wanted = subset(provider_schemas[AWS], module)
    if os.environ.get("UPDATE_PROVIDER_SCHEMA"):
        COMMITTED.write_text(json.dumps(wanted, separators=(",", ":"), sort_keys=True) + "\n")
    assert json.loads(COMMITTED.read_text()) == wanted
