"""Users by hand: another number, another spawn rate, the end, while a run is under way."""

from math import inf

import pytest
import trio
from trio.testing import MockClock

from loadtest_trio.users.clock import Sleepers
from loadtest_trio.users.course import Rules
from loadtest_trio.users.population import Crowd
from loadtest_trio.users.profile import arriving, constant, stages
from loadtest_trio.users.scenarios import find
from loadtest_trio.users.session import Run, Session
from loadtest_trio.users.steering import Steering, steered
from loadtest_trio.users.tally import Recorder
from loadtest_trio.users.user import Surroundings
from tests.support.job_services import JobService
from tests.support.log_lines import LogLines
from tests.support.users_world import MemoryWire, Nothing
from tests.unit.users.test_session import Idle


def test_the_profile_goes_on_from_where_it_is() -> None:
    """A ramp from the present level, then the rest of the time, as the next step; the whole stays as long."""
    profile = steered(constant(20, 10, 60), 30, users=80, spawn_rate=6)
    assert [(each.seconds, each.begin, each.end, each.step) for each in profile.segments] == [
        (10, 20, 80, 2),
        (20, 80, 80, 2),
    ]
    down = steered(constant(20, 10, inf), 30, users=5, spawn_rate=5)
    assert [(each.seconds, each.end) for each in down.segments] == [(3, 5), (inf, 5)]
    assert steered(constant(20, 10, 60), 59, users=5000, spawn_rate=1).seconds == pytest.approx(1)


def session_of(service: JobService, profile: object) -> Session:
    """Return a session that has not begun."""
    run = Run(profile, Crowd(find("jobs"), grace=5.0), Rules(), interval=2.0)  # type: ignore[arg-type]
    around = Surroundings(Recorder(), Sleepers(), b"Host: test\r\n")
    return Session(run, around, lambda: MemoryWire(service.answer), Nothing(), health=Idle())


async def test_users_follow_a_person(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """More, then fewer, each a step of its own; then the end, when users have finished their stories."""
    service = JobService()
    session = session_of(service, constant(10, 10, inf))
    steering = Steering(10, 10, session.steer, session.stop)

    async def person() -> None:
        await trio.sleep(20.5)
        steering.set_users("40")
        await trio.sleep(20)
        steering.set_spawn_rate("100")
        steering.set_users("5")
        await trio.sleep(20)
        steering.end()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(service.run)
        nursery.start_soon(person)
        outcome = await session.run()
        nursery.cancel_scope.cancel()
    lines = log_lines.of("users")
    wanted = {line["uptime_seconds"] // 20.5: line["users_wanted"] for line in lines}  # the last of each
    assert (wanted[0], wanted[1], wanted[2]) == (10, 40, 5)
    assert {line["step"] for line in lines} >= {1, 2, 4}
    assert outcome.counts.jobs.submitted == outcome.counts.jobs.finished


async def test_some_runs_are_left_alone(autojump_clock: MockClock) -> None:
    """An open profile has no number of users; before users run there is nothing to steer."""
    with pytest.raises(ValueError, match="open profile"):
        session_of(JobService(), arriving(5, 60)).steer(10, 10)
    with pytest.raises(ValueError, match="have not begun"):
        Steering(10, 1).set_users("20")


@pytest.mark.parametrize("text", ["0", "-1", "nan", "many", "1e9", ""])
async def test_what_cannot_be_is_refused(text: str) -> None:
    """And changes nothing."""
    session = session_of(JobService(), stages(["10s:10"]))
    steering = Steering(10, 1, session.steer)
    for ask in (steering.set_users, steering.set_spawn_rate):
        with pytest.raises(ValueError, match="a number from"):
            ask(text)
    assert (steering.users, steering.spawn_rate) == (10, 1)
