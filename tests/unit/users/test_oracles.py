"""Services of known behaviour: the right condition, the knee within one step, the right words, by the seed.

Each model has noise; of 100 seeded runs at least 95 have to be right.
"""

from collections.abc import Callable

import pytest

from loadtest_trio.report.users_conditions import (
    ERRORS,
    NAMES,
    QUEUE,
    RESPONSE_TIME,
    TARGET_CPU,
    THROUGHPUT,
    Limits,
    judge_all,
)
from loadtest_trio.report.users_findings import Findings, find
from loadtest_trio.report.users_moments import Moment
from loadtest_trio.report.users_steps import Step
from loadtest_trio.report.users_verdict import sentences
from loadtest_trio.users.course import Course, Rules
from loadtest_trio.users.profile import stages, steps
from tests.support.job_models import (
    Model,
    limited,
    never_recovers,
    play,
    refuses,
    silent_stop,
    slows_down,
)

RULES = Rules(conditions=frozenset(NAMES), recovery=60.0)
WITHOUT_CPU = Rules(conditions=frozenset(NAMES) - {TARGET_CPU}, recovery=60.0)


def findings(course: Course) -> Findings:
    breaches = judge_all(course.steps.steps, course.rules.limits) | course.breaches
    return find(course.steps.steps, breaches, course.rules.limits)


def named(course: Course) -> set[str]:
    return {each.condition for found in course.breaches.values() for each in found}


def right_in_95(check: Callable[[int], bool]) -> None:
    wrong = [seed for seed in range(100) if not check(seed)]
    assert len(wrong) <= 5, f"wrong with the seeds {wrong}"


def knee_within_a_step(course: Course, knee: float, step: float = 40) -> bool:
    found = findings(course).knee
    return found is not None and abs(found.level - knee) <= step


def test_a_limit_of_jobs_a_second_is_found() -> None:
    """180 jobs a second, one a user and second: the knee is at 180 users."""

    def check(seed: int) -> bool:
        course = play(limited(180), steps("40/2m", 600), WITHOUT_CPU, seed)
        return bool(named(course) & {THROUGHPUT, QUEUE}) and knee_within_a_step(course, 180)

    right_in_95(check)


def test_a_busy_cpu_is_named() -> None:
    def check(seed: int) -> bool:
        course = play(limited(180), steps("40/2m", 600), RULES, seed)
        words = " ".join(sentences(findings(course)))
        return TARGET_CPU in named(course) and "the target's CPU" in words and knee_within_a_step(course, 180)

    right_in_95(check)


def test_a_queue_that_stops_silently_is_found() -> None:
    """Brief 003: perfect medians and no error, while the queue has stopped."""

    def check(seed: int) -> bool:
        course = play(silent_stop(100), steps("20/2m", 600), RULES, seed)
        words = " ".join(sentences(findings(course)))
        return (
            named(course) == {QUEUE}
            and knee_within_a_step(course, 100, 20)
            and "its workers" in words
            and "no job has finished" in words
        )

    right_in_95(check)


def test_recovery_after_a_spike_is_timed() -> None:
    """200 jobs wait, 15 a second are worked off until the queue is no longer jammed: in about 10 to 15 s."""
    spike = stages(["1m:80", "2m:80", "0s:200", "1m:200", "0s:40", "2m:40"])

    def check(seed: int) -> bool:
        seen = findings(play(silent_stop(100), spike, Rules(), seed)).recovery
        return seen is not None and seen.seconds is not None and 5 <= seen.seconds <= 25

    right_in_95(check)


def test_after_a_stop_fewer_users_show_whether_it_recovers() -> None:
    def check(seed: int) -> bool:
        seen = findings(play(silent_stop(100), steps("20/2m", 600), RULES, seed)).recovery
        return seen is not None and 45 <= seen.users <= 70 and seen.seconds is not None

    right_in_95(check)


def test_a_service_that_does_not_recover_is_told() -> None:
    def check(seed: int) -> bool:
        course = play(never_recovers(100), steps("20/1m", 400), RULES, seed)
        seen = findings(course).recovery
        return seen is not None and seen.seconds is None and "none finishes" in seen.why_not

    right_in_95(check)


def test_growing_response_times_are_found() -> None:
    def check(seed: int) -> bool:
        course = play(slows_down(120), steps("40/1m", 600), RULES, seed)
        # 6 ms become 16 at 120 (16/6)^(1/3) = 166 users
        return named(course) == {RESPONSE_TIME} and knee_within_a_step(course, 166)

    right_in_95(check)


def test_errors_are_found() -> None:
    def check(seed: int) -> bool:
        course = play(refuses(160), steps("40/1m", 600), RULES, seed)
        return ERRORS in named(course) and knee_within_a_step(course, 120)

    right_in_95(check)


def test_nothing_is_said_of_a_service_without_requests() -> None:
    """A run that was too short, or a service that never answered, is no praise."""
    silent = Step(1, 0.0, [Moment(at=5.0, seconds=5.0, level=10.0)])
    assert sentences(find([silent], {}, Limits()))[0].startswith("Nothing can be said about the service")


def test_a_sound_service_meets_no_condition() -> None:
    def check(seed: int) -> bool:
        course = play(Model(capacity=lambda state: state.open), steps("40/1m", 400), RULES, seed)
        return not course.breaches and "kept up with all 400 users" in sentences(findings(course))[0]

    right_in_95(check)


def test_jobs_that_take_long_are_no_queue_that_stands_still() -> None:
    """Nobody knows yet what a job takes: forty seconds without an end prove nothing."""
    slow = Model(capacity=lambda state: 0.0 if state.second < 40 else state.open)

    def check(seed: int) -> bool:
        return not play(slow, steps("40/30s", 40), RULES, seed).breaches

    right_in_95(check)


def test_a_ramp_is_no_growing_queue() -> None:
    """More users have more open jobs: that is not the queue's doing."""

    def check(seed: int) -> bool:
        course = play(
            Model(capacity=lambda state: 0.7 * state.open), stages(["1m:400", "1m:400"]), RULES, seed
        )
        return not course.breaches

    right_in_95(check)


@pytest.mark.parametrize(("leak", "expected"), [(0.0, False), (0.002, True), (0.05, True)])
def test_a_leak_of_descriptors_is_told_from_connections(leak: float, expected: bool) -> None:
    model = Model(capacity=lambda state: state.open, leak=leak)

    def check(seed: int) -> bool:
        course = play(model, steps("40/2m", 200), RULES, seed)
        leaking = {each.what for each in findings(course).leaks if each.leaks}
        return leaking == ({"descriptors"} if expected else set())

    right_in_95(check)
