"""What pipelines read: a JSON summary, JUnit, CSV files with Locust's columns."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs
import orjson
from junitparser import Failure, JUnitXml, TestCase, TestSuite

from loadtest_trio.metrics.text_lines import on_one_line
from loadtest_trio.users.lines import step_fields
from loadtest_trio.users.session import Outcome
from loadtest_trio.users.tally import RouteCounts, percentile, percentiles

_FAILURES = ("Method", "Name", "Error", "Occurrences")
_PERCENTS = (50, 66, 75, 80, 90, 95, 98, 99, 99.9, 99.99, 100)


def summary(outcome: Outcome) -> dict[str, Any]:
    """Return a run as one JSON object."""
    jobs = outcome.counts.jobs
    return {
        "reason": outcome.reason,
        "seconds": round(outcome.seconds, 3),
        "verdict": outcome.verdict,
        "thresholds": [
            {"threshold": each.threshold.text, "value": each.value, "held": each.held}
            for each in outcome.judged
        ],
        "stop_conditions": [attrs.asdict(each) for found in outcome.breaches.values() for each in found],
        "http_reqs": _route(outcome.counts.total, outcome.seconds),
        "routes": {name: _route(each, outcome.seconds) for name, each in outcome.counts.routes.items()},
        "jobs": {
            **{name: getattr(jobs, name) for name in ("submitted", "finished", "failed", "abandoned")},
            "duration": percentiles(jobs.duration),
            "queued": percentiles(jobs.queued),
        },
        "steps": [step_fields(each) for each in outcome.steps.steps],
        "errors": dict(outcome.counts.errors.most_common()),
    }


def _route(counts: RouteCounts, seconds: float) -> dict[str, Any]:
    return {
        "requests": counts.requests,
        "failures": counts.failures,
        "rate": counts.requests / seconds if seconds else None,
        "duration": percentiles(counts.due),
        "duration_from_sent": percentiles(counts.sent),
        "statuses": {str(status): count for status, count in counts.statuses.items()},
    }


def write_summary(outcome: Outcome, path: Path) -> None:
    """Write the JSON summary."""
    path.write_bytes(orjson.dumps(summary(outcome), option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS))


def write_junit(outcome: Outcome, path: Path) -> None:
    """Write every threshold and stop condition as a test case of a JUnit file."""
    suite = TestSuite("loadtest_trio users")
    for judged in outcome.judged:
        case = TestCase(judged.threshold.text, classname="threshold", time=outcome.seconds)
        if not judged.held:
            case.result = [Failure(str(judged), "threshold")]
        suite.add_testcase(case)
    for found in outcome.breaches.values():
        for breach in found:
            case = TestCase(f"{breach.condition} in step {breach.step}", classname="stop condition")
            case.result = [Failure(breach.evidence, "stop condition")]
            suite.add_testcase(case)
    document = JUnitXml()
    document.add_testsuite(suite)
    document.write(str(path), pretty=True)


def write_csv(outcome: Outcome, prefix: str) -> None:
    """Write ``_stats.csv`` and ``_failures.csv`` with Locust's columns, and ``_steps.csv``."""
    named = [*sorted(outcome.counts.routes.items()), ("Aggregated", outcome.counts.total)]
    _write(f"{prefix}_stats.csv", [_locust_row(name, each, outcome.seconds) for name, each in named])
    errors = outcome.counts.errors.most_common()
    rows = [_failure_row(text, count, outcome.counts.routes) for text, count in errors]
    _write(f"{prefix}_failures.csv", rows, _FAILURES)
    steps = [step_fields(each) for each in outcome.steps.steps]
    _write(f"{prefix}_steps.csv", steps, [] if steps else ["step"])


def _failure_row(text: str, count: int, routes: Iterable[str]) -> dict[str, object]:
    """Split an error into its route and what went wrong, either of which may hold a colon."""
    shown = map(on_one_line, routes)
    route = max((each for each in shown if text.startswith(f"{each}: ")), key=len, default="")
    error = text[len(route) + 2 :] if route else text
    method, _, path = route.partition(" ")
    return dict(zip(_FAILURES, (method, path, error, count), strict=True))


def _locust_row(name: str, counts: RouteCounts, seconds: float) -> dict[str, object]:
    method, _, path = name.partition(" ")
    total = sum(micros * count for micros, count in counts.due.items())
    values = sorted(counts.due)
    return {
        "Type": method if path else "",
        "Name": path or name,
        "Request Count": counts.requests,
        "Failure Count": counts.failures,
        "Median Response Time": percentile(counts.due, 50),
        "Average Response Time": total / counts.requests / 1000 if counts.requests else 0,
        "Min Response Time": values[0] / 1000 if values else 0,
        "Max Response Time": percentile(counts.due, 100) or 0,
        "Requests/s": counts.requests / seconds if seconds else 0,
        "Failures/s": counts.failures / seconds if seconds else 0,
        **{f"{percent:g}%": percentile(counts.due, percent) for percent in _PERCENTS},
    }


def _write(path: str, rows: list[dict[str, Any]], headings: Sequence[str] = ()) -> None:
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, headings or rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
