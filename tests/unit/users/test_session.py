"""Whole runs in virtual time: real users, a service in memory, the lines, the decisions."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from loadtest_trio.report.users_conditions import NAMES
from loadtest_trio.report.users_steps import read_steps
from loadtest_trio.users.clock import Sleepers
from loadtest_trio.users.course import Rules
from loadtest_trio.users.population import Crowd
from loadtest_trio.users.profile import Profile, Share, arriving, constant, stages, steps
from loadtest_trio.users.scenario import Scenario
from loadtest_trio.users.scenarios import find
from loadtest_trio.users.session import Outcome, Run, Session
from loadtest_trio.users.tally import Counts, Recorder
from loadtest_trio.users.thresholds import Threshold
from loadtest_trio.users.user import Surroundings, User
from tests.support.job_services import JobService
from tests.support.log_lines import LogLines
from tests.support.users_world import Answer, MemoryWire, Nothing


class Idle:
    """A generator that is never the limit: in virtual time its real CPU says nothing."""

    async def probe(self) -> None:
        """See `Health.probe`."""

    def read(self, counts: Counts) -> dict[str, Any]:
        return {"cpu_percent": 10.0, "lag_p95_ms": 0.0}


async def play(
    profile: Profile,
    answer: Answer,
    scenario: Scenario | None = None,
    *,
    share: Share | None = None,
    **rules: Any,
) -> Outcome:
    """Run users against a service in memory."""
    crowd = Crowd(scenario or find("jobs"), share=share or Share(), grace=5.0)
    around = Surroundings(Recorder(), Sleepers(), b"Host: test\r\n")
    run = Run(profile, crowd, Rules(**rules), interval=2.0)
    session = Session(run, around, lambda: MemoryWire(answer), Nothing(), health=Idle())
    return await session.run()


async def with_service(profile: Profile, service: JobService, name: str = "jobs", **rules: Any) -> Outcome:
    """Run users against a job service, which ends with them."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(service.run)
        outcome = await play(profile, service.answer, find(name), **rules)
        nursery.cancel_scope.cancel()
    return outcome


async def test_a_run_of_jobs_is_counted_to_the_last_one(
    autojump_clock: MockClock, log_lines: LogLines
) -> None:
    """20 users, three jobs each, polled every second until done, again and again for 30 s."""
    service = JobService()
    outcome = await with_service(constant(20, 20, 30), service)
    jobs = outcome.counts.jobs
    assert outcome.reason == "the profile is complete"
    assert jobs.submitted == len(service.statuses) == jobs.finished > 500
    assert (jobs.failed, jobs.abandoned, service.open) == (0, 0, 0)
    assert set(outcome.counts.routes) == {"POST /api/jobs", "GET /api/jobs/{id}"}
    lines = log_lines.of("users")
    assert sum(line["requests"] for line in lines) == outcome.counts.total.requests
    assert {line["users"] for line in lines if not line["settling"]} == {20}
    assert outcome.verdict[0].startswith("The service kept up with all 20 users")


async def test_a_queue_that_is_long_and_level_is_said(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """20 users keep 60 jobs waiting for one worker: nothing grows or fails, and it is the limit."""
    outcome = await with_service(constant(20, 20, 120), JobService(seconds=0.5, workers=1))
    assert outcome.verdict[0].startswith("The service kept up with all 20 users")
    assert "But its jobs waited: half of them" in outcome.verdict[0]
    assert "Its limit is higher" not in outcome.verdict[0]


async def test_a_rate_beyond_all_bounds_is_withheld_at_once(
    autojump_clock: MockClock, log_lines: LogLines
) -> None:
    """A million new users a second cost no time each: those beyond the most are counted together."""
    crowd = Crowd(find("jobs"), grace=1.0, most=10)
    around = Surroundings(Recorder(), Sleepers(), b"Host: test\r\n")
    service = JobService()
    run = Run(arriving(1_000_000, 3.0), crowd, Rules(), interval=1.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(service.run)
        wire = lambda: MemoryWire(service.answer)  # noqa: E731
        outcome = await Session(run, around, wire, Nothing(), health=Idle()).run()
        nursery.cancel_scope.cancel()
    assert 2_900_000 < outcome.counts.withheld <= 3_000_001
    assert outcome.counts.sequences + outcome.counts.withheld <= 3_000_001


async def test_the_report_reads_from_the_lines_what_was_seen_live(
    autojump_clock: MockClock, log_lines: LogLines
) -> None:
    outcome = await with_service(stages(["20s:10", "20s:10", "20s:30"]), JobService())
    again = read_steps(log_lines.of("users")).steps
    for live, read in zip(outcome.steps.steps, again, strict=True):
        assert (read.number, read.rate, read.p95_ms) == (live.number, live.rate, live.p95_ms)
        assert read.moments == live.moments


async def test_users_follow_the_stages_up_and_down(autojump_clock: MockClock, log_lines: LogLines) -> None:
    await with_service(stages(["10s:20", "10s:20", "0s:60", "10s:60", "0s:5", "20s:5"]), JobService())
    users = {round(line["uptime_seconds"]): line["users"] for line in log_lines.of("users")}
    assert (users[10], users[20], users[30], users[50]) == (20, 20, 60, 5)


async def test_leaving_users_end_their_stories(autojump_clock: MockClock) -> None:
    ended: list[int] = []

    async def story(user: User) -> None:
        await user.think(3)
        ended.append(user.number)

    async def answer(*_: object) -> tuple[int, object]:
        return 200, None

    await play(constant(10, 100, 4), answer, Scenario("own", [story], [1.0]))
    assert sorted(ended) == sorted([*range(10), *range(10)]), "the second story ends after the run does"


async def test_requests_of_leaving_users_are_in_the_lines(
    autojump_clock: MockClock, log_lines: LogLines
) -> None:
    """All fail, and are answered after the last step: the report reads of them, and no step is charged."""

    async def story(user: User) -> None:
        await user.get("/slow")

    async def answer(*_: object) -> tuple[int, object]:
        await trio.sleep(6)
        return 500, None

    rate = Threshold.parse("http_reqs: rate>1.8")
    outcome = await play(constant(10, 1000, 4), answer, Scenario("own", [story], [1.0]), thresholds=(rate,))
    (line,) = [line for line in log_lines.of("users") if line["requests"]]
    assert (line["phase"], line["requests"], line["failures"]) == ("leaving", 10, 10)
    assert [line["routes"]["GET /slow"]["requests"] for line in log_lines.of("users_routes")] == [10]
    assert read_steps(log_lines.of("users")).steps[-1].total("requests") == 0
    assert not outcome.held, "ten requests in six seconds, not in four"


async def test_a_story_that_does_not_end_is_cut_after_its_grace(autojump_clock: MockClock) -> None:
    async def story(user: User) -> None:
        await trio.sleep_forever()

    async def answer(*_: object) -> tuple[int, object]:
        return 200, None

    outcome = await play(constant(3, 10, 4), answer, Scenario("own", [story], [1.0]))
    assert 8.5 < outcome.seconds < 9.5


async def test_an_open_profile_admits_users_however_slow_the_service_is(autojump_clock: MockClock) -> None:
    async def slow(*_: object) -> tuple[int, object]:
        await trio.sleep(3)
        return 200, None

    async def story(user: User) -> None:
        await user.get("/")

    outcome = await play(arriving(5.0, 20.0), slow, Scenario("own", [story], [1.0]))
    assert outcome.counts.sequences == 100


async def test_stages_of_rates_admit_users_in_straight_lines(
    autojump_clock: MockClock, log_lines: LogLines
) -> None:
    """From 0 to 10 a second, 10 a second, then 30; each step's users are those of its area."""

    async def slow(*_: object) -> tuple[int, object]:
        await trio.sleep(3)
        return 200, None

    async def story(user: User) -> None:
        began.append(trio.current_time() - start)
        await user.get("/")

    began: list[float] = []
    start = trio.current_time()
    profile = stages(["10s:10", "10s:10", "0s:30", "10s:30"], rates=True)
    outcome = await play(profile, slow, Scenario("own", [story], [1.0]))
    assert outcome.counts.sequences == 450
    arrived = [sum(1 for at in began if low <= at < low + 10) for low in (0, 10, 20)]
    assert arrived == pytest.approx([50, 100, 300], abs=2)
    due = [profile.arrival_time(number) for number in range(450)]
    assert max(late - at for late, at in zip(began, due, strict=True)) < 0.05
    assert {line["step"] for line in log_lines.of("users_step")} == {1, 2, 3}


async def test_shares_together_are_the_whole(autojump_clock: MockClock) -> None:
    async def story(user: User) -> None:
        numbers.append(user.number)
        await user.think(100)

    async def answer(*_: object) -> tuple[int, object]:
        return 200, None

    numbers: list[int] = []
    for part in (1, 2, 3, 4):
        await play(constant(10, 10, 3), answer, Scenario("own", [story], [1.0]), share=Share(part, 4))
    assert sorted(numbers) == list(range(10))


async def test_a_silent_stop_is_found_by_real_users(autojump_clock: MockClock, log_lines: LogLines) -> None:
    """The workers stand still from 60 open jobs on, for good; statuses are told as fast as ever."""
    service = JobService(seconds=0.5, workers=100, jammed=lambda waiting: waiting >= 60)
    profile = steps("8/40s", 80)
    outcome = await with_service(profile, service, conditions=frozenset(NAMES), recovery=40.0)
    assert outcome.reason == "stop condition: queue"
    assert outcome.findings.knee is not None
    jammed = profile.at(service.jammed_since).step
    assert outcome.findings.knee.level == profile.levels()[jammed - 1]
    (stopped,) = log_lines.of("users_stop_condition")
    assert stopped["condition"] == "queue"
    assert "no job has finished" in stopped["evidence"]
    assert max(line["p95_ms"] for line in log_lines.of("users")) < 10, "while the latency is perfect"
    assert outcome.findings.recovery is not None
    assert outcome.findings.recovery.seconds is None


async def test_a_limit_is_found_by_real_users(autojump_clock: MockClock) -> None:
    """Ten workers, 200 ms a job: 50 jobs a second; a user submits one a second or so."""
    service = JobService(seconds=0.2, workers=10)
    around = {"conditions": frozenset(NAMES), "recovery": 0.0}
    outcome = await with_service(steps("10/40s", 120), service, "tasks", **around)
    assert outcome.findings.knee is not None
    assert 40 <= outcome.findings.knee.level <= 60
    assert {each.condition for found in outcome.breaches.values() for each in found} & {"throughput", "queue"}


@pytest.mark.parametrize(("limit", "held"), [(10, True), (2, False)])
async def test_thresholds_are_judged_at_the_end(autojump_clock: MockClock, limit: int, held: bool) -> None:
    threshold = Threshold.parse(f"http_req_duration: p(95)<{limit}")
    outcome = await with_service(constant(5, 5, 10), JobService(), thresholds=(threshold,))
    assert outcome.held is held


async def test_a_crossed_threshold_aborts_after_the_delay(autojump_clock: MockClock) -> None:
    threshold = Threshold.parse("http_req_duration: p(95)<1")
    outcome = await with_service(constant(5, 5, 100), JobService(), thresholds=(threshold,), abort_after=20.0)
    assert outcome.reason.startswith("threshold crossed")
    assert 20 <= outcome.steps.steps[-1].all[-1].at <= 22


async def test_a_dead_service_is_asked_once_a_second(autojump_clock: MockClock) -> None:
    async def dead(*_: object) -> tuple[int, object]:
        return 0, None

    outcome = await play(constant(10, 10, 20), dead)
    total = outcome.counts.total
    assert total.failures == total.requests
    assert total.requests <= 10 * 3 * 22


async def test_a_broken_scenario_is_counted_and_told(autojump_clock: MockClock, log_lines: LogLines) -> None:
    async def story(user: User) -> None:
        raise KeyError("oops")

    async def answer(*_: object) -> tuple[int, object]:
        return 200, None

    outcome = await play(constant(2, 2, 5), answer, Scenario("own", [story], [1.0]))
    assert outcome.counts.crashed == outcome.counts.sequences > 5
    assert "KeyError" in log_lines.of("users_scenario_failed")[0]["error"]


async def test_lines_stay_under_16_kib(autojump_clock: MockClock, log_lines: LogLines) -> None:
    async def story(user: User) -> None:
        for number in range(80):
            await user.get(f"/a/rather/long/route/of/a/service/number/{number}")
        await user.think(0.5)

    async def varied(method: str, target: str, body: bytes) -> tuple[int, object]:
        await trio.sleep(0.001 * (len(log_lines.text) % 977))
        return 200, None

    await play(constant(30, 30, 10), varied, Scenario("own", [story], [1.0]))
    lengths = [len(line) for line in log_lines.text.splitlines()]
    assert max(lengths) < 16_384
    assert len(log_lines.of("users_routes")) == len(log_lines.of("users"))
