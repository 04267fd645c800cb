"""`tune --users` in virtual time: the planner that finds rates finds users, and what gave in is named."""

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
from loadtest_trio.users.population import Crowd
from loadtest_trio.users.scenarios import find
from loadtest_trio.users.tally import Recorder
from loadtest_trio.users.target import Target
from loadtest_trio.users.user import Surroundings
from loadtest_trio.users.wire import Origin
from tests.support.job_services import JobService
from tests.support.log_lines import LogLines
from tests.support.users_world import MemoryWire
from tests.unit.users.test_session import Idle


class Known:
    """A target whose CPU is known."""

    def __init__(self, cpu: float) -> None:
        self._cpu = cpu

    async def read(self) -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        return {"cpu_percent": self._cpu}


class Silent:
    """Is told how it goes, and says nothing."""

    def step(self, step: object) -> None: ...

    def finding(self, finding: object) -> None: ...


def site(service: JobService, target: Target) -> Site:
    around = Surroundings(Recorder(), Sleepers(), b"Host: test\r\n", {"jobs": "1"})
    origin = Origin("test", 80, itertools.repeat((0, None)).__next__)
    return Site(origin, around, lambda: MemoryWire(service.answer), target)


@pytest.mark.parametrize(("cpu", "cause"), [(20.0, "its workers"), (99.0, "the target's CPU")])
async def test_users_are_found_and_the_cause_is_named(
    autojump_clock: MockClock, log_lines: LogLines, cpu: float, cause: str
) -> None:
    """Ten workers, 250 ms a job: 40 jobs a second, one a user and second or two. So 40 to 80 users."""
    service = JobService(seconds=0.25, workers=10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(service.run)
        limits = Limits(target_cpu=1000)
        rig = UsersRig(site(service, Known(cpu)), Crowd(find("jobs"), grace=5.0), limits, health=Idle)
        await drive(tune_users(UsersGoal(start=10.0), trio.current_time), rig, Silent())
        nursery.cancel_scope.cancel()
    (verdict,) = log_lines.of("tune_users_verdict")
    assert 30 <= verdict["sustained"] <= 90
    assert verdict["confirmed"]
    assert verdict["failed_at"] > verdict["sustained"]
    assert verdict["bottleneck"] == cause
    stages = log_lines.of("tune_users_stage")
    assert {stage["passed"] for stage in stages} == {True, False}
    assert len({line["step"] for line in log_lines.of("users")}) == rig.stage


async def test_new_users_a_second_are_found(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """In an open model 40 jobs a second are 40 new users a second.

    In eight seconds, a queue that grows by six jobs a second is not yet told from noise.
    """
    service = JobService(seconds=0.25, workers=10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(service.run)
        crowd = Crowd(find("jobs"), grace=5.0)
        rig = UsersRig(site(service, Known(20.0)), crowd, Limits(), open_profile=True, health=Idle)
        goal = UsersGoal(start=10.0, unit="new users a second")
        await drive(tune_users(goal, trio.current_time), rig, Silent())
        nursery.cancel_scope.cancel()
    (verdict,) = log_lines.of("tune_users_verdict")
    assert 30 <= verdict["sustained"] <= 48
    assert verdict["bottleneck"] == "its workers"
