"""What pipelines read: errors of any text, and one value for one percentile."""

from collections import Counter

import pytest

from loadtest_trio.metrics.latencies import summary
from loadtest_trio.users.exports import _failure_row
from loadtest_trio.users.tally import Counts, Recorder, RouteCounts, percentile
from loadtest_trio.users.thresholds import Threshold


def test_errors_are_kept_on_one_line_and_can_be_written() -> None:
    recorder = Recorder()
    recorder.error("GET /a: \x1b[2A\n\ud800")
    assert list(recorder.collect().errors) == ["GET /a: \\x1b[2A\\x0a?"]


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("GET /a: disk: full", ("GET", "/a", "disk: full")),
        ("GET /a: b: full", ("GET", "/a: b", "full")),
        ("job: failed", ("", "", "job: failed")),
    ],
)
def test_failures_are_split_behind_their_route(text: str, row: tuple[str, str, str]) -> None:
    """Routes and errors may both hold colons."""
    found = _failure_row(text, 3, ["GET /a", "GET /a: b"])
    assert tuple(found.values()) == (*row, 3)


def test_a_threshold_judges_what_the_table_shows() -> None:
    """Of 60 values one is an outlier: p99 and the maximum are the same in both, to the last digit."""
    counts = {78_848: 59, 1_998_848: 1}
    assert [percentile(counts, rank) for rank in (50, 95, 99, 100)] == list(summary(counts).values())
    seen = Counts({"GET /": RouteCounts(due=Counter(counts))})
    judged = Threshold.parse("http_req_duration: max<2000").judge(seen, 1.0)
    assert judged.value == summary(counts)["max"]
