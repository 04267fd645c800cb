"""`tune --users` in virtual time: the planner finds the number of users and names the bottleneck."""

import itertools
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from loadtest_trio.report.users_conditions import Limits
from loadtest_trio.tune.plan.loop import drive
from loadtest_trio.tune.plan.users import UsersGoal, tune_users
from loadtest_trio.tune.rig.users import UsersRig
from loadtest_trio.users.clock import Sleepers
from loadtest_trio.users.launch import Site
from loadtest_trio.users.origin import Origin
from loadtest_trio.users.population import Crowd
from loadtest_trio.users.scenarios import find
from loadtest_trio.users.tally import Recorder
from loadtest_trio.users.target import Target
from loadtest_trio.users.user import Surroundings
from tests.support.job_services import JobService
from tests.support.log_lines import LogLines
from tests.support.users_world import MemoryWire
from tests.unit.users.test_session import Idle


class KnownTarget:
    """A target whose CPU usage is known."""

    def __init__(self, cpu: float) -> None:
        self._cpu = cpu

    async def read(self) -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        return {"cpu_percent": self._cpu}


class SilentProgress:
    """Shows nothing."""

    def step(self, step: object) -> None: ...

    def event(self, event: object) -> None: ...


def site(service: JobService, target: Target) -> Site:
    around = Surroundings(Recorder(), Sleepers(), b"Host: test\r\n", {"jobs": "1"})
    origin = Origin("test", 80, itertools.repeat([(0, None)]).__next__)
    return Site(origin, around, lambda: MemoryWire(service.answer), target)


@pytest.mark.parametrize(("cpu", "cause"), [(20.0, "its workers"), (99.0, "the target's CPU")])
async def test_sustained_users_and_bottleneck_are_found(
    autojump_clock: MockClock, log_lines: LogLines, cpu: float, cause: str
) -> None:
    """Ten workers at 250 ms per job do 40 jobs/s, one per user every one or two seconds: 40 to 80 users."""
    service = JobService(seconds=0.25, workers=10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(service.run)
        limits = Limits(target_cpu=1000)
        rig = UsersRig(site(service, KnownTarget(cpu)), Crowd(find("jobs"), grace=5.0), limits, health=Idle)
        await drive(tune_users(UsersGoal(start=10.0), trio.current_time), rig, SilentProgress())
        nursery.cancel_scope.cancel()
    (verdict,) = log_lines.of("tune_users_verdict")
    assert 30 <= verdict["sustained"] <= 90
    assert verdict["confirmed"]
    assert verdict["failed_at"] > verdict["sustained"]
    assert verdict["bottleneck"] == cause
    stages = log_lines.of("tune_users_stage")
    assert {stage["passed"] for stage in stages} == {True, False}
    assert len({line["step"] for line in log_lines.of("users")}) == rig.stage


async def test_sustained_arrival_rate_is_found(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """In an open model 40 jobs per second are 40 new users per second.

    Within eight seconds, a queue that grows by six jobs per second cannot yet be told from noise.
    """
    service = JobService(seconds=0.25, workers=10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(service.run)
        crowd = Crowd(find("jobs"), grace=5.0)
        rig = UsersRig(site(service, KnownTarget(20.0)), crowd, Limits(), open_profile=True, health=Idle)
        goal = UsersGoal(start=10.0, unit="new users a second")
        await drive(tune_users(goal, trio.current_time), rig, SilentProgress())
        nursery.cancel_scope.cancel()
    (verdict,) = log_lines.of("tune_users_verdict")
    assert 30 <= verdict["sustained"] <= 48
    assert verdict["bottleneck"] == "its workers"
