"""When the soak of the job service ends, and what its users do."""

from pathlib import Path
from typing import Any, cast

import attrs
import pytest

pytest.importorskip("redis", reason="the embedded extra is not installed")

from benchmarks.process import Child
from benchmarks.soak.jobs import Course, Load


@attrs.define
class Users:
    """A generator that runs, or has ended."""

    running: bool = True


def course(users: Users, unfinished: Any, now: list[float]) -> Course:
    return Course(cast(Child, users), unfinished, lambda: now[0])


def test_service_is_stopped_when_users_have_gone_and_jobs_have_ended() -> None:
    """Not before: a job that is stopped in between would go back to the queue."""
    users, left = Users(), [2, 0]
    how = course(users, lambda: left.pop(0), [0.0])
    assert not how.over()
    users.running = False
    assert [how.over(), how.over()] == [False, True]


def test_jobs_that_do_not_end_are_waited_for_a_minute() -> None:
    """The run ends, and its report says that they are missing."""
    now = [100.0]
    how = course(Users(running=False), lambda: 1, now)
    assert not how.over()
    now[0] = 159.0
    assert not how.over()
    now[0] = 161.0
    assert how.over()


def test_users_arrive_within_half_a_minute(tmp_path: Path) -> None:
    """A large number of users does not arrive at once."""
    command = Load(users=900, minutes=2).command("http://127.0.0.1:1", tmp_path)
    flags = dict(zip(command[4::2], command[5::2], strict=False))
    assert (flags["-u"], flags["-r"], flags["-t"]) == ("900", "30", "120s")
