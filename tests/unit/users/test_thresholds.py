"""Thresholds are read as k6 writes them, and judged by what was counted."""

import pytest

from loadtest_trio.errors import ConfigurationError
from loadtest_trio.users.tally import Counts, Recorder
from loadtest_trio.users.thresholds import Threshold


@pytest.fixture
def counts() -> Counts:
    """100 requests of 1 to 100 ms on one route, of which five failed; ten of 1 s on another; four jobs."""
    recorder = Recorder()
    for number in range(1, 101):
        recorder.route("GET /a").record(200, number / 1000, number / 2000, failed=number <= 5)
    for _ in range(10):
        recorder.route("GET /b").record(200, 1.0, 1.0, failed=False)
    for seconds in (1, 2, 3, 4):
        recorder.jobs.finished += 1
        recorder.duration.record(seconds)
    recorder.jobs.failed = 1
    return recorder.collect()


@pytest.mark.parametrize(
    ("text", "value", "held"),
    [
        ("http_req_duration{GET /a}: p(95)<200", 95, True),
        ("http_req_duration{GET /a}: p(95)<90", 95, False),
        ("http_req_duration{GET /a}: med<=51", 50, True),
        ("http_req_duration{GET /a}: avg<50", 50.5, False),
        ("http_req_duration: max<500", 998, False),
        ("http_req_sent{GET /a}: p(95)<50", 47.5, True),
        ("http_req_failed: rate<0.05", 5 / 110, True),
        ("http_req_failed{GET /a}: rate<0.05", 0.05, False),
        ("http_req_failed: count==5", 5, True),
        ("http_reqs: rate>10", 11, True),
        ("job_duration: p(50)<3000", 2000, True),
        ("job_failed: rate<0.2", 0.25, False),
        ("jobs: rate>=0.4", 0.4, True),
    ],
)
def test_thresholds_are_judged(counts: Counts, text: str, value: float, held: bool) -> None:
    judged = Threshold.parse(text).judge(counts, 10.0)
    assert judged.value == pytest.approx(value, rel=0.01)
    assert judged.held is held
    assert text in str(judged)


def test_nothing_measured_is_not_held() -> None:
    judged = Threshold.parse("job_duration: p(95)<200").judge(Counts(), 10.0)
    assert (judged.value, judged.held) == (None, False)
    assert "nothing was measured" in str(judged)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http_req_duration",
        "http_req_duration: p95<200",
        "http_req_duration: rate<1",
        "http_req_failed: p(95)<1",
        "http_req_durations: p(95)<1",
        "job_duration{GET /a}: p(95)<1",
        "http_req_duration: p(95)<fast",
        "http_req_duration: p(0)<1",
        "http_req_duration: p(101)<1",
    ],
)
def test_a_bad_threshold_names_the_flag(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--threshold"):
        Threshold.parse(text)
