"""Profiles are pure functions of time; shares add up."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest_trio.errors import ConfigurationError
from loadtest_trio.users.durations import seconds, short
from loadtest_trio.users.profile import Profile, Share, arriving, constant, held, stages, steps


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("30s", 30), ("10m", 600), ("1h30m", 5400), ("500ms", 0.5), ("1.5s", 1.5)],
)
def test_durations_are_read_as_locust_and_k6_write_them(text: str, expected: float) -> None:
    assert seconds(text, "-t") == expected


@pytest.mark.parametrize("text", ["", "soon", "10x", "m10", "5m oops", "-5", "-1s", "nan"])
def test_a_bad_duration_names_the_flag(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--run-time"):
        seconds(text, "--run-time")


@pytest.mark.parametrize("text", ["10m", "1.5s", "2h", "90s"])
def test_durations_are_written_as_they_are_read(text: str) -> None:
    assert seconds(short(seconds(text, "-t")), "-t") == seconds(text, "-t")


def test_constant_users_arrive_at_the_spawn_rate_and_stay() -> None:
    profile = constant(500, 50, 60)
    assert [profile.at(t).level for t in (0, 5, 10, 59)] == [0, 250, 500, 500]
    assert [profile.at(t).settling for t in (0, 9.9, 10, 59)] == [True, True, False, False]
    assert profile.seconds == 60


def test_a_run_shorter_than_its_ramp_never_has_all_users() -> None:
    assert constant(500, 10, 5).peak == 50


def test_stages_are_straight_lines_and_jumps() -> None:
    profile = stages(["10s:100", "0s:300", "20s:300", "0s:50", "10s:50"])
    assert [profile.at(t).level for t in (5, 10, 29, 30, 39, 100)] == [50, 300, 300, 50, 50, 50]
    assert [profile.at(t).step for t in (5, 10, 30)] == [1, 2, 3]


def test_steps_add_users_and_settle_first() -> None:
    profile = steps("40/10m", 100)
    assert profile.levels() == {1: 40, 2: 80, 3: 100}
    assert profile.at(29).settling
    assert not profile.at(30).settling
    assert (profile.at(615).level, profile.at(1799).level) == (60, 100)
    assert profile.stepped


def test_steps_arrive_at_the_spawn_rate_where_one_is_given() -> None:
    assert steps("40/10m", 80, spawn_rate=4).at(5).level == 20


@pytest.mark.parametrize(
    "bad", ["40", "40/", "x/10m", "0/10m", "40/0s", "9" * 400 + "/10m", "9" * 5000 + "/10m"]
)
def test_a_bad_step_is_refused(bad: str) -> None:
    with pytest.raises(ConfigurationError, match="--step"):
        steps(bad, inf)


def test_steps_without_end_are_refused() -> None:
    """A million steps would be a million segments to look through at every look."""
    assert len(steps("1/10s", 1000).levels()) == 1000
    with pytest.raises(ConfigurationError, match="1,000 steps at most"):
        steps("1/10s", 1_000_000)


@pytest.mark.parametrize(
    "bad", [["30s"], ["30s:many"], ["0s:10"], [":10"], ["30s:" + "9" * 400], ["30s:1000001"]]
)
def test_a_bad_stage_is_refused(bad: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="--stage"):
        stages(bad)


def test_arrivals_of_an_open_profile_never_drift() -> None:
    profile = arriving(3.0, 100.0)
    assert profile.arrivals(10) == pytest.approx(30)
    assert profile.arrival_time(30) == pytest.approx(10)
    assert profile.arrival_time(300) == inf


def test_stages_of_rates_are_an_open_profile() -> None:
    profile = stages(["10s:10", "10s:10", "0s:0.5", "20s:0.5"], rates=True)
    assert profile.open
    assert [profile.arrivals(at) for at in (5, 10, 20, 40)] == pytest.approx([12.5, 50, 150, 160])


@pytest.mark.parametrize("bad", [["30s"], ["30s:.5"], ["30s:-1"], ["0s:10"]])
def test_a_bad_stage_of_rates_is_refused(bad: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="--rate-stage"):
        stages(bad, rates=True)


@given(st.floats(0, 50), st.floats(0, 50), st.integers(0, 400))
def test_arrival_times_invert_arrivals(begin: float, end: float, count: int) -> None:
    from loadtest_trio.users.profile import Segment

    profile = Profile((Segment(20.0, begin, end, 1),), open=True)
    due = profile.arrival_time(count)
    if due < 20.0:
        assert profile.arrivals(due) == pytest.approx(count, abs=1e-3)


@given(st.integers(0, 10_000), st.integers(1, 16))
def test_shares_add_up_to_all_users(count: int, parts: int) -> None:
    assert sum(Share(part, parts).of(count) for part in range(1, parts + 1)) == count


def test_shares_number_every_user_once() -> None:
    numbers = [Share(part, 3).number(own) for part in (1, 2, 3) for own in range(Share(part, 3).of(10))]
    assert sorted(numbers) == list(range(10))


@pytest.mark.parametrize("bad", ["", "2", "0/4", "5/4", "a/b", "1/" + "9" * 5000])
def test_a_bad_share_is_refused(bad: str) -> None:
    with pytest.raises(ConfigurationError, match="--share"):
        Share.parse(bad)


def test_a_held_level_settles_from_the_level_before() -> None:
    profile = held(60, 20, 7, was=200, settling=4)
    assert [profile.at(t).level for t in (0, 2, 4, 19)] == [200, 130, 60, 60]
    assert profile.at(5).step == 7
