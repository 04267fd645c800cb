"""The built-in stories do what the briefs say; own ones are read from a file."""

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from loadtest_trio.errors import ConfigurationError
from loadtest_trio.users.scenarios import BUILT_IN, find
from loadtest_trio.users.user import Response
from tests.support.job_services import JobService
from tests.support.users_world import surroundings, user


async def test_jobs_creates_three_and_polls_each_every_second(autojump_clock: MockClock) -> None:
    """Brief 001: of three jobs of 2.5 s each, the polls at 1, 2 and 3 s see the end of none, none and all."""
    service = JobService(seconds=2.5)
    async with surroundings() as around, trio.open_nursery() as nursery:
        nursery.start_soon(service.run)
        someone = user(around, service.answer)
        await find("jobs").choose(someone)(someone)
        counts = around.recorder.collect()
        nursery.cancel_scope.cancel()
    assert counts.routes["POST /api/jobs"].requests == 3
    assert counts.routes["GET /api/jobs/{id}"].requests == 9
    assert (counts.jobs.submitted, counts.jobs.finished) == (3, 3)
    assert 3.0 <= trio.current_time() < 3.1


async def test_tasks_polls_until_final_and_takes_the_result(autojump_clock: MockClock) -> None:
    service = JobService(seconds=0.5)
    async with surroundings() as around, trio.open_nursery() as nursery:
        nursery.start_soon(service.run)
        await find("tasks").stories[0](user(around, service.answer))
        counts = around.recorder.collect()
        nursery.cancel_scope.cancel()
    assert {name: each.requests for name, each in counts.routes.items()} == {
        "POST /tasks/submissions": 1,
        "GET /tasks/submissions/{id}": 1,
        "GET /tasks/{id}": 1,
    }


async def test_a_failed_task_is_a_failure_although_the_answer_is_200(autojump_clock: MockClock) -> None:
    async def answer(method: str, target: str, body: bytes) -> tuple[int, object]:
        return 200, {"id": 1, "status": "FAILED"}

    async with surroundings() as around:
        await find("tasks").stories[0](user(around, answer))
        counts = around.recorder.collect()
    assert counts.routes["GET /tasks/submissions/{id}"].failures == 1
    assert counts.routes["GET /tasks/{id}"].failures == 1
    assert counts.jobs.failed == 1


async def test_http_fetch_is_chosen_five_times_as_often_as_factorial() -> None:
    async def answer(method: str, target: str, body: bytes) -> tuple[int, object]:
        return 200, None

    scenario = find("tasks")
    async with surroundings() as around:
        someone = user(around, answer, 1)
        chosen = [getattr(scenario.choose(someone), "__name__", "") for _ in range(6000)]
    assert 4.5 < chosen.count("http_fetch") / chosen.count("factorial") < 5.5


async def test_enqueue_tells_the_user_whose_work_was_pulled_by_another(autojump_clock: MockClock) -> None:
    done: list[int] = []
    numbers = iter(range(100))

    async def answer(method: str, target: str, body: bytes) -> tuple[int, object]:
        if method == "PUT":
            assert (target, body) == ("/enqueue?iterations=10", b"data=Hello")
            done.append(next(numbers))
            return 200, {"id": done[-1]}
        pulled, done[:] = done[:], []
        return 200, [{"id": number, "result": "…"} for number in pulled]

    async with surroundings() as around:
        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(find("enqueue").stories[0], user(around, answer, number))
        counts = around.recorder.collect()
    assert (counts.jobs.submitted, counts.jobs.finished, counts.jobs.abandoned) == (3, 3, 0)
    assert trio.current_time() < 2.5


async def test_a_refused_submission_is_waited_for_as_long_as_asked(autojump_clock: MockClock) -> None:
    from loadtest_trio.users.scenarios.polling import refused
    from loadtest_trio.users.tally import Recorder, Route
    from loadtest_trio.users.wire import Reply

    async def answer(*_: object) -> tuple[int, object]:
        return 200, None

    async with surroundings() as around:
        response = Response(Reply(429, [(b"retry-after", b"7")], b""), "POST /", Recorder(), Route())
        await refused(user(around, answer), response)
        assert trio.current_time() == 7


def test_every_built_in_scenario_has_a_story() -> None:
    assert all(find(name).stories for name in BUILT_IN)


def test_an_own_scenario_is_read_with_its_weights(tmp_path: Path) -> None:
    path = tmp_path / "shop.py"
    path.write_text(
        "from loadtest_trio.users.scenario import scenario\n"
        "@scenario(weight=5)\nasync def browse(user): ...\n"
        "@scenario()\nasync def buy(user): ...\n"
        "async def helper(user): ...\n"
    )
    found = find(str(path))
    assert (found.name, found.weights) == ("shop", [5, 1.0])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 +", "SyntaxError"),
        ("raise KeyError('x')", "KeyError"),
        ("async def story(user): ...", "@scenario"),
    ],
)
def test_a_broken_scenario_file_says_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        find(str(path))


def test_an_unknown_scenario_names_those_that_exist() -> None:
    with pytest.raises(ConfigurationError, match="jobs, tasks, enqueue"):
        find("nonsense")
