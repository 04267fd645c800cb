"""The built-in stories do what the briefs say; own ones are read from a file."""

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from loadtest_trio.errors import ConfigurationError
from loadtest_trio.users.response import Response
from loadtest_trio.users.scenarios import BUILT_IN, find
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


@pytest.mark.parametrize(
    ("asked", "seconds", "wrong"),
    [
        ("7", 7, "after the wait"),
        ("", 1, "no Retry-After"),
        ("soon", 1, "no Retry-After"),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0, "after the wait"),
        ("Fri, 06 Nov 2999 08:49:37 GMT", 60, ""),
        ("900", 60, ""),
    ],
)
async def test_a_refused_submission_is_waited_for_as_long_as_asked(
    asked: str, seconds: float, wrong: str, autojump_clock: MockClock
) -> None:
    """Retry-After is a number of seconds or a date."""
    from loadtest_trio.users.scenarios.polling import refused
    from loadtest_trio.users.tally import Recorder, Route
    from loadtest_trio.users.wire import Reply

    async def answer(*_: object) -> tuple[int, object]:
        return 200, None

    async with surroundings() as around:
        reply = Reply(429, [(b"retry-after", asked.encode())] if asked else [], b"")
        said = await refused(user(around, answer), Response(reply, "POST /", Recorder(), Route()))
        assert trio.current_time() == seconds
    assert wrong in said
    assert bool(wrong) == bool(said)


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


@pytest.mark.parametrize("content", [None, [], "html", {}, {"id": None}, {"id": {}}, {"id": ""}, {"id": [1]}])
@pytest.mark.parametrize("name", BUILT_IN)
async def test_an_answer_without_a_job_is_a_failure(
    name: str, content: object, autojump_clock: MockClock
) -> None:
    """A page that answers 200 to everything is no service that keeps up."""

    async def answer(*_: object) -> tuple[int, object]:
        return 202, content

    async with surroundings(jobs="1", patience="3") as around:
        someone = user(around, answer)
        await find(name).stories[0](someone)
        counts = around.recorder.collect()
    assert counts.total.failures == counts.total.requests == 1
    assert "no id of a job in the answer" in next(iter(counts.errors))
    assert someone.failed


@pytest.mark.parametrize("content", [[], {"status": ""}, {"id": 1}, 7])
async def test_an_answer_without_a_status_is_a_failure(content: object, autojump_clock: MockClock) -> None:
    """So is a poll that says nothing; the user gives up when its patience ends."""

    async def answer(method: str, *_: object) -> tuple[int, object]:
        return (202, {"id": 1}) if method == "POST" else (200, content)

    async with surroundings(jobs="1", patience="3") as around:
        await find("jobs").stories[0](user(around, answer))
        counts = around.recorder.collect()
    assert (counts.routes["GET /api/jobs/{id}"].failures, counts.jobs.abandoned) == (3, 1)


@pytest.mark.parametrize("pulled", [None, {}, [1], [None], ["id"]])
async def test_pulled_work_of_another_shape_is_a_failure(pulled: object, autojump_clock: MockClock) -> None:
    async def answer(method: str, *_: object) -> tuple[int, object]:
        return 200, {"id": 1} if method == "PUT" else pulled

    async with surroundings(patience="2") as around:
        await find("enqueue").stories[0](user(around, answer))
        counts = around.recorder.collect()
    assert counts.routes["POST /pullCompleted?top={top}"].failures == 2
    assert counts.crashed == 0


async def test_odd_times_of_a_job_are_left_out(autojump_clock: MockClock) -> None:
    """Their difference may be no number that can be counted."""

    async def answer(method: str, *_: object) -> tuple[int, object]:
        times = {"submittedAt": -1e308, "startedAt": 1e308}
        return (202, {"id": 1}) if method == "POST" else (200, {"status": "COMPLETED", **times})

    async with surroundings(jobs="1") as around:
        await find("jobs").stories[0](user(around, answer))
        counts = around.recorder.collect()
    assert counts.jobs.finished == 1


@pytest.mark.parametrize("poll", ["0", "0.001"])
async def test_patience_is_a_time(poll: str, autojump_clock: MockClock) -> None:
    """It ends also where polls come without a pause."""
    service = JobService(seconds=1000)
    async with surroundings(jobs="1", patience="1", poll=poll) as around, trio.open_nursery() as nursery:
        nursery.start_soon(service.run)
        await find("jobs").stories[0](user(around, service.answer))
        nursery.cancel_scope.cancel()
    assert trio.current_time() < 1.1


@pytest.mark.parametrize(
    "options",
    [
        {"jobs": "many"},
        {"jobs": "-1"},
        {"poll": "nan"},
        {"patience": "inf"},
        {"clients": "²"},
        {"jobs": "9" * 5000},
        {"payload": "{"},
    ],
)
async def test_a_bad_option_names_itself(options: dict[str, str]) -> None:
    """It is a fault of the command line and ends the run, instead of failing every story."""
    async with surroundings(**options) as around:
        with pytest.raises(ConfigurationError, match=f"-P.*{next(iter(options))}=") as caught:
            await find("jobs").stories[0](user(around, JobService().answer))
    assert len(str(caught.value)) < 10_000


async def test_the_data_of_enqueue_is_a_form(autojump_clock: MockClock) -> None:
    """Signs of the form in it stand for themselves."""
    bodies: list[bytes] = []

    async def answer(method: str, target: str, body: bytes) -> tuple[int, object]:
        bodies.append(body)
        return 503, None

    async with surroundings(data="a&b=100%") as around:
        await find("enqueue").stories[0](user(around, answer))
    assert bodies == [b"data=a%26b%3D100%25"]


@pytest.mark.parametrize(("clients", "failures"), [("0", 2), ("1", 0)])
async def test_a_service_that_refuses_everything_fails(
    clients: str, failures: int, autojump_clock: MockClock
) -> None:
    """One 429 is the client's own doing; after the wait that it asked for, another is the service's."""

    async def answer(*_: object) -> tuple[int, object]:
        return 429, None

    async with surroundings(clients=clients) as around:
        await find("jobs").stories[0](user(around, answer))
        counts = around.recorder.collect()
    assert (counts.total.requests, counts.total.failures) == (3, failures)
