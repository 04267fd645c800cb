"""The log: flat JSON that is always valid, text for people, floods that are counted."""

import io
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger

from loadtest_trio.metrics import logs
from loadtest_trio.metrics.logs import FloodGuard
from tests.support.log_lines import LogLines, caught_log


@pytest.fixture
def text() -> Iterator[io.StringIO]:
    """The log in its readable form, caught."""
    stream = io.StringIO()
    logs.configure(stream, json=False)
    yield stream
    logger.remove()


def test_a_line_is_flat_json(log_lines: LogLines) -> None:
    """Each event is one line: timestamp (UTC, ISO 8601), level, event, and its fields beside them."""
    logs.event("something", "WARNING", key="a/b", count=3, nested={"p99": 1.5})
    (line,) = log_lines.all()
    assert datetime.fromisoformat(line.pop("timestamp")).utcoffset() == timedelta(0)
    assert (line.pop("level"), line.pop("event")) == ("WARNING", "something")
    assert len(line.pop("run_id")) == 16
    assert line == {"key": "a/b", "count": 3, "nested": {"p99": 1.5}}
    assert log_lines.text.count("\n") == 1


def test_a_long_text_is_cut(log_lines: LogLines) -> None:
    """A key or an error from anywhere cannot make a line of megabytes."""
    logs.event("something", error="x" * 5_000_000, count=10**30)
    (line,) = log_lines.all()
    assert len(line["error"]) == 10_001


def test_lower_levels_are_not_written(log_lines: LogLines) -> None:
    """Less severe lines than asked for are not written, and can be saved building."""
    logs.event("detail", "DEBUG")
    assert log_lines.all() == []
    assert not logs.debug_enabled()
    with caught_log("DEBUG") as lines:
        assert logs.debug_enabled()
        logs.event("detail", "DEBUG")
        assert [line["event"] for line in lines.all()] == ["detail"]


any_text = st.text(st.characters())


@given(any_text, any_text)
def test_any_text_is_one_line(name: str, value: str) -> None:
    """Braces, line breaks, control characters and lone surrogates neither raise nor break the line."""
    with caught_log() as lines:
        logs.event(name, error=value)
    (line,) = [orjson.loads(line) for line in lines.text.split("\n")[:-1]]
    assert line["error"] == value.encode(errors="replace").decode()


def test_odd_values_are_written(log_lines: LogLines) -> None:
    """What JSON has no form for is written as text; a number of any size is written."""
    logs.event("odd", raw=b"x", number_keys={1: 2})
    logs.event("odd", raw=b"x", number_keys={1: 2}, huge=2**70)
    for line in log_lines.all():
        assert line["raw"] == "b'x'"
        assert line["number_keys"] == {"1": 2}
    assert f":{2**70}" in log_lines.text
    logs.event("odd", error="\ud800", share=float("nan"), most=[float("inf")], least={"a": -float("inf")})
    line = log_lines.all()[-1]
    assert (line["share"], line["most"], line["least"]) == (None, [None], {"a": None})


def test_text_is_readable(text: io.StringIO) -> None:
    """On a terminal a line has the time, the level, words and fields; nested fields are left to JSON."""
    logs.event("service_started", "INFO", health="http://x", settings={"a": 1}, machine={})
    line = text.getvalue()
    assert line[8:] == " INFO    service started health=http://x\n"


def test_text_survives_braces(text: io.StringIO) -> None:
    """Braces in a field are no format, and a lone surrogate is replaced."""
    logs.event("odd", error="{0} {name} <red> \ud800")
    assert text.getvalue().endswith("odd error={0} {name} <red> ?\n")


def test_text_moves_no_cursor(text: io.StringIO) -> None:
    """A key that anybody may have named neither hides lines of a terminal nor forges one."""
    logs.event("odd", key="a\x1b[2A\rFAKE\x9b2A\x7f", error="b\r\n\x1b[2Ac")
    shown = [line[17:] for line in text.getvalue().splitlines()]
    assert shown == [r"odd key=a\x1b[2A\x0dFAKE\x9b2A\x7f", "error:", r"b\x0d", r"\x1b[2Ac"]


def test_a_flood_is_held_back_and_counted(log_lines: LogLines) -> None:
    """The first five of a kind are written, the rest counted and summarised; then it starts anew."""
    for i in range(12):
        logs.failure("operation_failed", "READ 503", number=i)
    logs.failure("operation_failed", "PUT 500", number=99)
    assert [line["number"] for line in log_lines.all()] == [0, 1, 2, 3, 4, 99]
    logs.summarise_floods()
    assert [(line["kind"], line["held_back"]) for line in log_lines.of("failures_summarised")] == [
        ("READ 503", 7)
    ]
    logs.summarise_floods()
    logs.failure("operation_failed", "READ 503", number=100)
    assert len(log_lines.of("failures_summarised")) == 1
    assert log_lines.all()[-1]["number"] == 100


@given(st.lists(st.sampled_from("abcd") | st.text(max_size=2), max_size=100))
def test_no_failure_is_dropped_silently(kinds: list[str]) -> None:
    """What was written plus what was held back is everything."""
    guard = FloodGuard()
    written = sum(guard.admit(kind) for kind in kinds)
    assert written + sum(guard.summarise().values()) == len(kinds)
    assert guard.summarise() == {}


def test_kinds_are_bounded() -> None:
    """Ten thousand kinds of failure take the room of a thousand, and none is lost count of."""
    guard = FloodGuard()
    written = sum(guard.admit(f"kind {i}") for i in range(10_000))
    held_back = guard.summarise()
    assert len(held_back) == 1
    assert written + held_back["other"] == 10_000
    assert written < 1010


METRICS: dict[str, Any] = {
    "uptime_seconds": 10.0,
    "phase": "steady",
    "rate_per_second": 99.9,
    "queue_length": 0,
    "in_flight": 1,
    "delayed": 2,
    "dead": 3,
    "errors": 8,
    "end_to_end_p99_ms": None,
    "cpu_percent": 50.0,
    "memory_mb": 60.0,
}
HUGE: dict[str, Any] = {
    "phase": "precondition",
    "rate_per_second": 123_456.7,
    "end_to_end_p99_ms": 3_600_000.0,
    "queue_length": 12_345_678,
    "in_flight": 4096,
    "delayed": 99_999,
    "dead": 1_234_567,
    "errors": 9_999_999_999,
    "cpu_percent": 400.0,
    "memory_mb": 123_456.0,
}


def test_metrics_as_text(text: io.StringIO) -> None:
    """The metrics line has a short form for people; a figure that is not known is a dash."""
    logs.event("metrics", **METRICS)
    said = "steady 100/s | p99 – | queue 0 | in flight 1 | delayed 2 | dead 3 | errors 8 | CPU 50 % | 60 MB"
    assert "".join(line[17:] + " " for line in text.getvalue().splitlines()).strip() == said


def test_text_fits_a_hundred_columns(text: io.StringIO) -> None:
    """However large the figures and however long the fields; what does not fit goes on, indented."""
    logs.event("metrics", **METRICS)
    logs.event("metrics", **HUGE)
    logs.event(
        "service_started",
        health="http://127.0.0.1:8080/health",
        dashboard="http://127.0.0.1:8080/",
        score=2.5,
    )
    logs.event("operation_failed", "WARNING", key="k" * 300, error="word " * 80, operation="READ")
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= 100
    begun = [line for line in lines if line[0].isdigit()]
    assert len(begun) == 4
    assert all(line.startswith(" " * 17) for line in lines if line not in begun)
    assert "".join(line.strip() for line in lines).count("k") >= 300


def test_a_traceback_keeps_its_lines(text: io.StringIO) -> None:
    """It stands below its event, line by line."""
    logs.event("task_crashed", "ERROR", task="worker", traceback="Traceback:\n  File x\nKeyError: 1")
    shown = [line[17:] for line in text.getvalue().splitlines()]
    assert shown == ["task crashed task=worker", "traceback:", "Traceback:", "  File x", "KeyError: 1"]
