"""No log line is longer than a container runtime keeps whole, and nothing is lost by that."""

from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest_trio.jobs.message import Message, Operation
from loadtest_trio.metrics import emf, logs
from loadtest_trio.metrics.collecting import collect
from loadtest_trio.metrics.counters import Metrics
from loadtest_trio.metrics.line_limit import LONGEST_LINE_BYTES
from loadtest_trio.report.details import join_details
from tests.support.log_lines import LogLines, caught_log

SPLIT_BY_RUNTIMES = 16_384
HEADER = {"timestamp", "level", "run_id", "event", "line_id"}


def written(**fields: Any) -> tuple[list[bytes], dict[str, Any]]:
    """Log one event; return its lines as bytes, and its fields put together again."""
    with caught_log() as log:
        logs.event("something", **fields)
    raw = log.text.encode().splitlines(keepends=True)
    (line,) = join_details(map(orjson.loads, raw))
    return raw, {name: value for name, value in line.items() if name not in HEADER}


def busy_interval(rng: Random, kinds: int) -> Metrics:
    """Metrics of an interval with latencies as a network makes them: spread over four decades."""
    metrics = Metrics()
    for operation in Operation:
        for _ in range(3000):
            due, waited, worked = rng.uniform(0, 10), rng.lognormvariate(-3, 2), rng.lognormvariate(-3, 1.5)
            message = Message("id", operation, "key", created_at=1e9 + due)
            metrics.handled(message, started=1e9 + due + waited, ended=1e9 + due + waited + worked)
    for kind in range(kinds):
        for _ in range(3000):
            metrics.observe_s3(f"GET{kind}", rng.lognormvariate(-3, 1.5), 200_000, None)
            metrics.observe_redis(f"call{kind}", rng.lognormvariate(-6, 2), 10, None)
    for _ in range(3000):
        metrics.observe_first_byte(rng.lognormvariate(-4, 1.5))
        metrics.enqueue_wait.record(rng.lognormvariate(-6, 2))
        metrics.settle_wait.record(rng.lognormvariate(-6, 2))
    return metrics


@pytest.mark.parametrize("kinds", [6, 60])
def test_metrics_lines_of_a_busy_network_service_stay_below_16_kib(log_lines: LogLines, kinds: int) -> None:
    """With every histogram full, job types by the dozen and CloudWatch's header, each line fits."""
    shares = {str(operation): 25.0 for operation in Operation}
    measured = collect(busy_interval(Random(1), kinds), shares)
    jobs = {f"type-{n}": {"queued": n, "ended_ms": {"p50": 1.25, "p99": 17.5}} for n in range(20 * kinds)}
    numbers = dict.fromkeys(emf.UNITS, 12345.678)
    header = emf.header(numbers, namespace="loadtest_trio", service="x" * 100, role="main", unix_seconds=1e9)
    logs.event("metrics", **(measured | numbers | header), jobs=jobs)
    lengths = [len(line) for line in log_lines.text.encode().splitlines(keepends=True)]
    assert max(lengths) <= LONGEST_LINE_BYTES < SPLIT_BY_RUNTIMES
    assert len(lengths) >= 2
    first = orjson.loads(log_lines.text.splitlines()[0])
    assert first["_aws"] == header["_aws"], "CloudWatch finds the numbers on the line that declares them"
    assert numbers.items() <= first.items()
    (line,) = log_lines.all()
    assert line["histograms"] == measured["histograms"]
    assert line["by_operation"] == measured["by_operation"]
    assert line["jobs"] == jobs


def test_histograms_are_always_on_details_lines() -> None:
    """A short line has the same form as a long one."""
    raw, fields = written(histograms={"end_to_end_ms": "HIST"}, rate=1)
    first, second = map(orjson.loads, raw)
    assert (first["event"], first["rate"], "histograms" in first) == ("something", 1, False)
    assert (second["event"], second["of"], second["part"]) == ("details", "something", 1)
    assert first["line_id"] == second["line_id"]
    assert fields == {"histograms": {"end_to_end_ms": "HIST"}, "rate": 1}


def test_a_short_line_has_no_number() -> None:
    """Only a line that has details needs one."""
    assert "line_id" not in orjson.loads(written(a=1)[0][0])


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**50), 2**50) | st.text('aé😀"\\\n', max_size=400),
    lambda inner: (
        st.lists(inner, max_size=30) | st.dictionaries(st.text("ab.", max_size=9), inner, max_size=9)
    ),
    max_leaves=60,
)


@given(st.dictionaries(st.sampled_from("abcdefgh"), values), st.integers(1, 40))
def test_any_fields_come_back_whole(fields: dict[str, Any], times: int) -> None:
    """Objects, lists and texts of any form and size: every line fits, and together they say the same."""
    fields = {f"{name}{n}": value for name, value in fields.items() for n in range(times)}
    raw, joined = written(**fields)
    assert max(map(len, raw)) <= LONGEST_LINE_BYTES
    assert joined == fields


@pytest.mark.parametrize("text", ["x" * 10_000_000, "😀" * 9_999, "\0" * 9_999])
def test_a_text_longer_than_a_line_is_cut(text: str) -> None:
    """Alone, inside an object, and inside a list; what stands beside it is kept."""
    raw, fields = written(error=text, inside={"a": [text, 1], "b": 2}, count=3)
    assert max(map(len, raw)) <= LONGEST_LINE_BYTES
    assert fields["count"] == 3
    assert (fields["inside"]["a"][1], fields["inside"]["b"]) == (1, 2)
    assert fields["error"].endswith("…")
    assert len(fields["error"]) > 1000


def test_details_of_another_run_are_not_mixed_in() -> None:
    """Two processes number their lines alike; their run_id keeps them apart."""
    first, second = written(histograms={"a": "1"})[0], written(histograms={"b": "2"})[0]
    joined = join_details(map(orjson.loads, (second[1], first[0], second[0], first[1])))
    assert [line["histograms"] for line in joined] == [{"a": "1"}, {"b": "2"}]


def test_details_without_their_line_are_dropped() -> None:
    """They are no line of their own."""
    assert join_details([orjson.loads(written(histograms={"a": "1"})[0][1])]) == []
