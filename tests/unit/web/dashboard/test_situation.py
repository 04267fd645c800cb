"""How a run is, in words: every rule at its edge."""

from typing import Any

import pytest

from loadtest_trio.web.dashboard.findings import Level, Situation
from loadtest_trio.web.dashboard.situation import Watch

LEDGER = {"created": 100, "processed": 100, "lost": 0, "difference": 0}
STEADY: dict[str, Any] = {
    "event": "metrics",
    "phase": "steady",
    "rate_per_second": 100.4,
    "end_to_end_p99_ms": 45.2,
    "queue_length": 0,
    "messages_processed": 100,
    "errors": 0,
    "dead": 0,
    "cpu_percent": 30.0,
    "cpu_limit": None,
    "ledger": LEDGER,
}
STARTED = {
    "event": "service_started",
    "settings": {"SCHEDULER_MODE": "rate", "PRECONDITION_MIN_OBJECTS": "100"},
}


def after(*lines: dict[str, Any]) -> Situation:
    """Return how things are after a start and some lines."""
    watch = Watch()
    watch.see(STARTED)
    for line in lines:
        watch.see(line)
    return watch.situation


def line(**fields: Any) -> dict[str, Any]:
    """Return a metrics line of a healthy run, changed."""
    return {**STEADY, **fields}


def test_a_healthy_run() -> None:
    """It says what it does, how fast, and that nothing is wrong."""
    found = after(line())
    assert found.level is Level.GOOD
    assert found.headline == "Steady: 100 messages a second; 99 of 100 are done within 45 ms of being due."
    assert found.reasons == ()
    assert found.comfort == "Nothing is wrong: all 100 messages are accounted for."


def test_before_the_first_line() -> None:
    """It is starting, and says so."""
    assert Watch().situation.level is Level.STARTING
    assert after().level is Level.STARTING


def test_filling_the_bucket() -> None:
    """The precondition says how far it is."""
    found = after(line(phase="precondition", objects=64))
    assert found.headline == "Filling the bucket: 64 of 100 objects, 100 messages a second."


def test_an_outage_is_known_at_once_and_ends() -> None:
    """The event begins it, the other one ends it."""
    down = {"event": "backend_unavailable", "backend": "redis", "error": "refused"}
    assert after(line(), down).level is Level.BAD
    assert after(line(), down).reasons == ("Redis does not answer: refused",)
    assert after(line(), down, {"event": "backend_recovered", "backend": "redis"}).level is Level.GOOD


def test_an_outage_whose_end_was_held_back_ends_with_the_next_line() -> None:
    """In a flood the event of the recovery may not be written; the metrics line knows."""
    down = {"event": "backend_unavailable", "backend": "s3", "error": "refused"}
    assert after(line(), down, line(degraded={"s3": "refused"})).level is Level.BAD
    assert after(line(), down, line(degraded={})).level is Level.GOOD


WRONG: dict[str, tuple[dict[str, Any], Level, str]] = {
    "lost": ({"ledger": {**LEDGER, "lost": 3}}, Level.BAD, "Redis lost 3 messages"),
    "missing": ({"ledger": {**LEDGER, "difference": 2}}, Level.BAD, "The ledger misses 2"),
    "strangers": ({"ledger": {**LEDGER, "difference": -2}}, Level.BUSY, "put on the queue by somebody else"),
    "old figures": ({"snapshot_age_seconds": 12.0}, Level.BAD, "12 s old"),
    "stuck": ({"stuck": {"worker": 61.0}}, Level.BAD, "The worker has made no progress for 61 s"),
    "dead": ({"dead": 1}, Level.BUSY, "1 message was given up"),
    "CPU": ({"cpu_percent": 96.0}, Level.BUSY, "The CPU is full"),
    "memory": ({"memory_mb": 950.0, "memory_limit_mb": 1000}, Level.BAD, "Memory is nearly full"),
    "loop": ({"loop_lag_ms": 1500.0}, Level.BUSY, "The event loop was late by 1.5 s"),
    "scheduler": ({"schedule_lag_ms": 2500.0}, Level.BAD, "The scheduler was late by 2.5 s"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said(case: str) -> None:
    """One line is enough for each of these, and a healthy one after it clears what is no loss."""
    fields, level, words = WRONG[case]
    found = after(line(**fields))
    assert found.level is level
    assert len(found.reasons) == 1
    assert words in found.reasons[0]
    assert after(line(**fields), line()).level is Level.GOOD


@pytest.mark.parametrize(
    ("errors", "level"), [(0, Level.GOOD), (1, Level.BUSY), (10, Level.BUSY), (11, Level.BAD)]
)
def test_errors_weigh_by_their_share(errors: int, level: Level) -> None:
    """Some failed attempts of a thousand messages are a notice; more than one in a hundred are wrong."""
    assert after(line(), line(errors=errors, messages_processed=1100)).level is level


def test_errors_of_long_ago_are_past() -> None:
    """The total of errors does not count, what an interval adds does."""
    found = after(line(errors=50), line(errors=50))
    assert found.level is Level.GOOD
    assert "Earlier 50 attempts failed" in found.comfort


USERS = {"event": "users", "users_wanted": 50, "users": 50, "requests_per_second": 480.2, "p99_ms": 12.0}


def test_users_are_told_by_what_they_do() -> None:
    """How many, how fast, and that nothing failed."""
    found = after({**USERS, "requests": 4800, "failures": 0, "jobs": {"finished_per_second": 30.0}})
    assert found.level is Level.GOOD
    assert found.headline == "50 users make 480 requests a second; 99 of 100 answers come within 12 ms."
    assert found.comfort.endswith("and 30 jobs a second are finished.")
    assert after({**USERS, "users": 20}).headline.startswith("20 of 50 users")


def test_what_goes_wrong_for_users_is_said() -> None:
    """Failures by their share, a limited generator as such, a stop condition for good; then the verdict."""
    assert after({**USERS, "requests": 1000, "failures": 5}).level is Level.BUSY
    assert after({**USERS, "requests": 1000, "failures": 50}).level is Level.BAD
    assert "generator is the limit" in after({**USERS, "limited": ["CPU: 99 %"]}).reasons[0]
    stop = {"event": "users_stop_condition", "condition": "errors", "step": 3, "evidence": "2 % failed"}
    assert after(USERS, stop, USERS).reasons == ("Stop condition errors in step 3: 2 % failed",)
    verdict = {"event": "users_verdict", "sentences": ["It takes 40 users.", "Errors end it."]}
    assert after(USERS, stop, verdict).headline == "It takes 40 users. Errors end it."


def test_a_search_is_told_step_by_step() -> None:
    """Overload is what it is about: its lines raise no alarm."""
    stage = {
        "event": "tune_stage",
        "kind": "climb",
        "workers": 10,
        "offered_per_second": 500.0,
        "goodput_per_second": 480.0,
    }
    found = after({"event": "tune_started"}, line(cpu_percent=100.0, messages_withheld=5), stage)
    assert found.level is Level.GOOD
    assert found.headline.endswith("climb, 10 workers, 500 a second offered, 480 done.")
    assert "1,234" in after(stage, {"event": "tune_saturation", "rate": 1234.0}).headline
    assert "Bottleneck: cpu" in after(stage, {"event": "tune_verdict", "bottleneck": "cpu"}).headline


def test_jobs_are_called_jobs() -> None:
    """A service of jobs says so, and counts what waits."""
    found = after(line(jobs={"lanes": 1}, queue_length=7))
    assert found.headline.startswith("Serving jobs: 100 done a second, 7 waiting")
    assert "all 100 jobs" in found.comfort


def test_a_growing_queue_is_saturation() -> None:
    """Three longer queues in a row, and more than passes by itself."""
    grown = [line(queue_length=length) for length in (100, 300, 500, 700)]
    assert after(*grown[:3]).level is Level.GOOD
    assert after(*grown).level is Level.BAD
    assert after(*grown).reasons[0].startswith("Saturated: the queue grows (700 waiting)")
    assert after(*grown, line(queue_length=100)).level is Level.GOOD
    assert after(*(line(queue_length=length) for length in (1, 2, 3, 4))).level is Level.GOOD


def test_withheld_messages_are_saturation() -> None:
    """What was due and not enqueued since the line before."""
    found = after(line(messages_withheld=5), line(messages_withheld=905))
    assert found.level is Level.BAD
    assert "900 due messages were withheld" in found.reasons[0]


def test_saturating_on_purpose_is_no_fault() -> None:
    """In saturate mode a queue that grows to its target is what was asked for."""
    watch = Watch()
    watch.see({"event": "service_started", "settings": {"SCHEDULER_MODE": "saturate"}})
    for length in (100, 300, 500, 700):
        watch.see(line(queue_length=length, cpu_percent=99.0))
    assert watch.situation.level is Level.BUSY
    assert watch.situation.headline.startswith("Saturating: 100 messages a second")


def test_the_worst_comes_first() -> None:
    """What is wrong stands before what is only worth knowing."""
    found = after(line(dead=2, ledger={**LEDGER, "lost": 1}))
    assert [reason.split()[0] for reason in found.reasons] == ["Redis", "2"]


def test_a_crash_stays_said() -> None:
    """A task that crashed is wrong until the end, and the end says how it went."""
    crash = {"event": "task_crashed", "task": "worker", "error": "KeyError: 1"}
    stopped = {"event": "service_stopped", "reason": "the worker crashed", "ledger": LEDGER}
    assert after(line(), crash, line()).level is Level.BAD
    assert after(line(), crash, stopped).headline == (
        "Stopped: the worker crashed. 100 messages created, none lost."
    )
    assert after(line(), stopped).level is Level.ENDED
