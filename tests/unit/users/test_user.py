"""A user's timing: what is due when, and what a stall of the server shows. All in virtual time."""

import pytest
import trio
from trio.testing import MockClock

from loadtest_trio.users.tally import Recorder, percentiles
from loadtest_trio.users.user import User
from loadtest_trio.users.wire import Reply
from tests.support.users_world import MemoryWire, surroundings, user


async def instant(method: str, target: str, body: bytes) -> tuple[int, object]:
    return 200, {"target": target, "body": body.decode()}


async def test_routes_are_named_by_their_template(autojump_clock: MockClock) -> None:
    async with surroundings() as around:
        someone = user(around, instant)
        for number in range(3):
            response = await someone.get("/api/jobs/{id}", id=f"a/{number}")
        assert response.json()["target"] == "/api/jobs/a%2F2"
        counts = around.recorder.collect()
    assert {name: each.requests for name, each in counts.routes.items()} == {"GET /api/jobs/{id}": 3}


async def test_bodies_are_json_or_a_form(autojump_clock: MockClock) -> None:
    async with surroundings() as around:
        someone = user(around, instant)
        assert (await someone.post("/", json={"n": 1})).json()["body"] == '{"n":1}'
        assert (await someone.put("/", data="data=Hello")).json()["body"] == "data=Hello"


@pytest.mark.parametrize(("status", "failed"), [(200, 0), (304, 0), (404, 1), (429, 1), (503, 1), (0, 1)])
async def test_statuses_from_400_and_no_reply_are_failures(
    autojump_clock: MockClock, status: int, failed: int
) -> None:
    async def answer(*_: object) -> tuple[int, object]:
        return status, None

    async with surroundings() as around:
        assert (await user(around, answer).get("/")).ok is not bool(failed)
        counts = around.recorder.collect()
    assert counts.total.failures == failed
    assert counts.errors.total() == failed


async def test_an_expected_status_is_no_failure(autojump_clock: MockClock) -> None:
    async def answer(*_: object) -> tuple[int, object]:
        return 404, None

    async with surroundings() as around:
        assert (await user(around, answer).get("/", expect=(404,))).ok


async def test_a_reply_can_be_called_a_failure_once(autojump_clock: MockClock) -> None:
    async with surroundings() as around:
        response = await user(around, instant).get("/tasks/{id}", id=1)
        response.fail("the task FAILED")
        response.fail("again")
        counts = around.recorder.collect()
    assert (counts.total.requests, counts.total.failures) == (1, 1)
    assert counts.errors == {"GET /tasks/{id}: the task FAILED": 1}


async def test_a_stall_is_seen_by_every_poll_that_was_due(autojump_clock: MockClock) -> None:
    """Each poll that was due in a stall shows it, as in an open model.

    Polls are due at 1, 2, …, 20 s; the server stalls from 10 to 12 s.
    By hand: the poll of 10 s takes 2 s; those of 11 and 12 were due while it waited, and take 1 and 0 s.
    """

    async def answer(*_: object) -> tuple[int, object]:
        if 10 <= trio.current_time() < 12:
            await trio.sleep_until(12)
        return 200, None

    async with surroundings() as around:
        someone = user(around, answer)
        for _ in range(20):
            await someone.wait(1.0)
            await someone.get("/")
        total = around.recorder.collect().total
    seconds = {round(micros / 1e6, 1): count for micros, count in total.due.items() if micros > 1000}
    assert seconds == {2.0: 1, 1.0: 1}
    sent = {round(micros / 1e6, 1): count for micros, count in total.sent.items() if micros > 1000}
    assert sent == {2.0: 1}, "measured from when it was sent, the stall shows once: coordinated omission"


async def test_a_request_after_a_reply_is_due_at_once(autojump_clock: MockClock) -> None:
    async def slow(*_: object) -> tuple[int, object]:
        await trio.sleep(0.5)
        return 200, None

    async with surroundings() as around:
        someone = user(around, slow)
        await someone.wait(1.0)
        await someone.get("/first")
        await someone.get("/second")
        routes = around.recorder.collect().routes
    assert {percentiles(each.due)["p50_ms"] for each in routes.values()} == {501.759}


async def test_polls_too_far_behind_are_skipped_and_counted(autojump_clock: MockClock) -> None:
    async def outage(*_: object) -> tuple[int, object]:
        if trio.current_time() < 60:
            await trio.sleep_until(60)
        return 200, None

    async with surroundings() as around:
        someone = user(around, outage)
        for _ in range(3):
            await someone.wait(1.0)
            await someone.get("/")
        assert around.recorder.collect().skipped == 58


async def test_thinking_begins_with_the_reply(autojump_clock: MockClock) -> None:
    async with surroundings() as around:
        someone = user(around, instant)
        await trio.sleep(100)
        await someone.think(3, 5)
        assert 103 <= trio.current_time() <= 105


async def test_a_header_of_the_users_own_goes_with_every_further_request(autojump_clock: MockClock) -> None:
    sent: list[bytes] = []

    class Wire(MemoryWire):
        async def exchange(self, method: str, target: bytes, headers: bytes, body: bytes) -> Reply:
            sent.append(headers)
            return await super().exchange(method, target, headers, body)

    async with surroundings() as around:
        someone = User(0, Wire(instant), around, trio.current_time(), 0)
        await someone.get("/")
        someone.set_header("Authorization", "Bearer x")
        await someone.get("/", headers={"Accept": "text/plain"})
    assert sent == [b"Host: test\r\n", b"Host: test\r\nAuthorization: Bearer x\r\nAccept: text/plain\r\n"]


async def test_options_have_the_type_of_their_default(autojump_clock: MockClock) -> None:
    async with surroundings(jobs="5", poll="0.5") as around:
        someone = user(around, instant)
        assert (someone.option("jobs", 3), someone.option("poll", 1.0)) == (5, 0.5)
        assert someone.option("type", "sleep") == "sleep"


async def test_jobs_are_followed_from_submission_to_end(autojump_clock: MockClock) -> None:
    async with surroundings() as around:
        someone, recorder = user(around, instant), around.recorder
        job = someone.submitted(await someone.post("/api/jobs"), 7)
        assert recorder.statuses == {"queued": 1}
        await trio.sleep(2)
        assert not someone.saw(job, "RUNNING", await someone.get("/"))
        assert recorder.statuses == {"running": 1}
        await trio.sleep(1)
        assert someone.saw(job, "COMPLETED", await someone.get("/"))
        counts = recorder.collect().jobs
    assert recorder.jobs_open == 0
    assert (counts.submitted, counts.finished, counts.failed) == (1, 1, 0)
    assert percentiles(counts.duration)["p50_ms"] == pytest.approx(3000, rel=0.01)
    assert percentiles(counts.queued)["p50_ms"] == pytest.approx(2000, rel=0.01)


async def test_a_user_who_leaves_abandons_its_jobs(autojump_clock: MockClock) -> None:
    async with surroundings() as around:
        someone = user(around, instant)
        someone.submitted(await someone.post("/api/jobs"), 1)
        someone.close()
        assert around.recorder.jobs_open == 0
        assert around.recorder.collect().jobs.abandoned == 1


def test_routes_and_errors_are_bounded() -> None:
    recorder = Recorder()
    for number in range(1000):
        recorder.route(f"GET /{number}").record(200, 0.1, 0.1, failed=False)
        recorder.error(f"oops {number}")
    counts = recorder.collect()
    assert len(counts.routes) <= 61
    assert counts.total.requests == 1000
    assert len(counts.errors) <= 41
    assert counts.errors.total() == 1000


def test_counts_add_up_over_intervals() -> None:
    recorder = Recorder()
    whole = recorder.collect()
    for number in range(10):
        recorder.route("GET /").record(200, number, number, failed=number == 3)
        whole.add(recorder.collect())
    assert (whole.total.requests, whole.total.failures, whole.total.due.total()) == (10, 1, 10)
