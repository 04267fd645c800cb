"""The parts of the rehearsal, by themselves."""

import json
from pathlib import Path

import attrs
import pytest

from loadtest_trio.settings import SETTINGS
from tests.rehearsal.applied import ScalingPolicy, TargetGroup
from tests.rehearsal.autoscaling import IN_MINUTES, MINUTE, OUT_MINUTES, TargetTracking
from tests.rehearsal.balancer import Health, Logged, Target
from tests.rehearsal.outcome import Outcome, markdown, picture
from tests.rehearsal.overrides import checked
from tests.rehearsal.snapshot import load_snapshot, write_snapshot

CPU = ScalingPolicy(name="cpu", metric="cpu", target=70, out_cooldown=60, in_cooldown=300)


def play(rule: TargetTracking, loads: list[float], tasks: int = 2) -> list[int]:
    """Return the tasks after each minute, if so many tasks' worth of CPU is asked for in it."""
    counts = []
    for minute, load in enumerate(loads):
        tasks = rule.observe(minute * MINUTE, min(100.0, 100 * load / tasks), tasks)
        counts.append(tasks)
    return counts


def test_brief_004_scales_from_two_tasks_to_four_and_back() -> None:
    """Its CPU figures ask for a third task at 86 % of two, a fourth at 99 % of three, then for two."""
    counts = play(TargetTracking(CPU, 2, 4), [*[1.72] * 10, *[2.98] * 10, *[0.4] * 40])
    assert counts[OUT_MINUTES - 1] == counts[9] == 3
    assert counts[10 + OUT_MINUTES - 1] == counts[19] == 4
    assert counts[20 + IN_MINUTES - 2] == 4
    assert counts[-1] == 2
    assert max(counts) == 4


def test_one_busy_minute_starts_no_task() -> None:
    """Three in a row are needed."""
    assert set(play(TargetTracking(CPU, 2, 4), [1.9, 1.9, 1.0] * 10)) == {2}


def test_cooldowns_hold_scaling_back() -> None:
    """A second scale-out waits for the cooldown, and so does a scale-in."""
    slow = attrs.evolve(CPU, out_cooldown=600, in_cooldown=3000)
    out = play(TargetTracking(slow, 2, 8), [2.0] * 3 + [9.0] * 20)
    assert out[2] == 3
    assert out[3:12] == [3] * 9
    assert out[12] > 3
    back = play(TargetTracking(slow, 2, 8), [2.0] * 3 + [0.1] * 60)
    assert back.index(2, 3) == 2 + 3000 / MINUTE


def test_load_near_the_target_leaves_the_tasks_alone() -> None:
    """Between 90 % of the target and the target nothing happens."""
    assert set(play(TargetTracking(CPU, 2, 4), [0.65 * 3] * 60, tasks=3)) == {3}


def test_target_changes_its_state_by_the_thresholds() -> None:
    """A new target needs one success, a healthy one three failures, an unhealthy one two successes."""
    target, group = Target(1), TargetGroup()
    seen = []
    for good in (False, True, False, False, True, False, False, False, True, True):
        target.judge(good, group)
        seen.append(target.health)
    healthy, unhealthy = Health.HEALTHY, Health.UNHEALTHY
    assert seen == [Health.INITIAL, *[healthy] * 6, unhealthy, unhealthy, healthy]


def test_target_that_is_never_healthy_becomes_unhealthy() -> None:
    """ECS replaces it then, after the grace period."""
    target, group = Target(1), TargetGroup()
    for health in (Health.INITIAL, Health.INITIAL, Health.UNHEALTHY):
        target.judge(False, group)
        assert target.health is health


def test_access_log_tells_the_target() -> None:
    """A request that no target was asked for has port 0."""
    row = {"at": 2.5, "id": "x", "method": "GET", "path": "/", "status": 503, "target": "", "seconds": 0.1}
    line = json.dumps({**row, "group": "0", "client": "c"})
    assert Logged.parse(line) == Logged(2.5, 0.1, "x", "GET", "/", 503, 0, "0", "c")
    row["target"] = "127.0.0.1:81"
    assert Logged.parse(json.dumps({**row, "group": "0", "client": "c"})).port == 81


def test_page_marks_broken_claims() -> None:
    """A claim that does not hold is not to be overlooked."""
    outcome = Outcome("x", "Scene x")
    outcome.claim("it works", False, "it did not")
    assert "| it works | **no** | it did not |" in markdown([outcome], "Heading", ["Here."])


def test_picture_shows_when_something_was() -> None:
    """The highest bar is the most; nothing is a dot; what is outside counts at the edge."""
    shown = picture([0.0, 0.1, 0.2, 0.3, 30.5, 61.0], 0.0, 60.0)
    assert shown == "█" + "·" * 29 + "▂" + "·" * 28 + "▂"
    assert picture([], 0.0, 1.0) == "·" * 60


def test_snapshot_knows_every_setting() -> None:
    """A setting that is new in the service and in Terraform is to be in the snapshot too."""
    deployment = load_snapshot()
    assert deployment.workers is not None
    for service in (deployment.api, deployment.workers):
        names = {*service.task.environment, *service.task.secrets}
        assert names == {info.name for info in SETTINGS}, "scripts/rehearse --update-snapshot"


def test_snapshot_survives_its_file(tmp_path: Path) -> None:
    """What is written is read again, but no secret and no source."""
    deployment = attrs.evolve(load_snapshot(), secrets={"API_TOKEN": "t0ken"}, source="an apply")
    write_snapshot(deployment, tmp_path / "x.json")
    assert "t0ken" not in (tmp_path / "x.json").read_text()
    found = load_snapshot(tmp_path / "x.json")
    assert found == deployment
    assert not found.secrets


def test_only_listed_variables_are_overridden() -> None:
    """What differs from the deployment stands in the printed list, or the task is not started."""
    assert checked({"API_PORT": "1"}) == {"API_PORT": "1"}
    with pytest.raises(AssertionError, match="API_DRAIN_SECONDS"):
        checked({"API_DRAIN_SECONDS": "10"})
