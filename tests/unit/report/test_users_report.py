"""The chapter on users, from log lines alone."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from loadtest_trio.report import write_report
from loadtest_trio.report.page import write_page
from loadtest_trio.report.users_conditions import NAMES
from loadtest_trio.users.course import Rules
from loadtest_trio.users.profile import steps
from tests.support.job_models import Model, play, silent_stop

_BEGAN = 1_790_000_000.0


def line(event: str, uptime: float, share: str = "1/1", **fields: Any) -> bytes:
    """Return a log line of one generator."""
    at = datetime.fromtimestamp(_BEGAN + uptime, UTC).isoformat()
    head = {
        "timestamp": at,
        "level": "INFO",
        "run_id": f"run-{share}",
        "event": event,
        "uptime_seconds": uptime,
    }
    return orjson.dumps(head | {"share": share} | fields) + b"\n"


def log(model: Model, path: Path, share: str = "1/1") -> None:
    """Write the lines of a run against a model that climbs by 20 users every two minutes."""
    course = play(model, steps("20/2m", 200), Rules(conditions=frozenset(NAMES), recovery=60.0), 1)
    started = {"host": "http://h:80", "scenario": "jobs", "profile": "20 more users every 2m", "options": {}}
    with path.open("wb") as file:
        file.write(line("users_started", 0.0, share, **started))
        for moment in (moment for step in course.steps.steps for moment in step.all):
            jobs = {name: getattr(moment, name) for name in ("submitted", "finished", "open", "statuses")}
            target = {"cpu_percent": moment.target_cpu, "open_fds": moment.fds, "memory_mb": moment.memory_mb}
            same = ("seconds", "step", "settling", "users", "requests", "failures", "p50_ms", "p95_ms")
            fields = {name: getattr(moment, name) for name in same}
            fields |= {"wanted_level": moment.level, "jobs": jobs, "target": target, "limited": []}
            file.write(line("users", moment.at, share, **fields, errors={"GET /: timeout": 1}))
        file.write(line("control_used", 90.0, share, control="users", value="40", before="20"))
        file.write(line("users_stopped", moment.at, share, reason=course.reason))


def test_brief_003s_questions_are_answered(tmp_path: Path) -> None:
    log(silent_stop(100), tmp_path / "users.jsonl")
    report = write_report([tmp_path / "users.jsonl"], tmp_path / "report").read_text()
    assert "The service keeps up with 100 users" in report
    assert "queue: no job has finished for" in report
    assert "What gave in: its workers" in report
    for question in ("steady state", "latency distribution", "optimal", "limits", "recover", "knee"):
        assert question in report
    assert report.count("| kept up |") == 6, "five steps, and the recovery"
    assert "| GET /: timeout |" in report
    assert "| 90.0 s | users | 40 | 20 |" in report
    assert all((tmp_path / "report" / f"users1-{name}.png").exists() for name in ("users", "time"))


def test_a_leak_is_in_the_report(tmp_path: Path) -> None:
    log(Model(capacity=lambda state: state.open, leak=0.05), tmp_path / "users.jsonl")
    report = write_report([tmp_path / "users.jsonl"], tmp_path / "report").read_text()
    assert "The target leaks descriptors" in report


def test_generators_that_share_users_are_one_run(tmp_path: Path) -> None:
    """Both of two generators saw half of the users: together it is what one would have seen."""
    for part in (1, 2):
        log(Model(capacity=lambda state: state.open), tmp_path / f"{part}.jsonl", f"{part}/2")
    report = write_report([tmp_path / "1.jsonl", tmp_path / "2.jsonl"], tmp_path / "report").read_text()
    assert report.count("## Users, run") == 1
    assert "- Generators: 2" in report
    assert "| 1 | 2 | 40 |" in report, "20 users of each"


def test_the_page_fetches_nothing(tmp_path: Path) -> None:
    log(silent_stop(100), tmp_path / "users.jsonl")
    page = write_page(
        write_report([tmp_path / "users.jsonl"], tmp_path / "report"), tmp_path / "r.html"
    ).read_text()
    assert page.count("data:image/png;base64,") == 2
    assert "<table>" in page
    assert 'src="users' not in page
    assert "http://" not in page.replace("http://h:80", "")


def test_lines_cut_short_are_a_report_nevertheless(tmp_path: Path) -> None:
    with (tmp_path / "users.jsonl").open("wb") as file:
        file.write(line("users", 10.0))
        file.write(line("users", 20.0, jobs=None, target="?", histograms=[1], limited=None))
    assert "## Users, run 1" in write_report([tmp_path / "users.jsonl"], tmp_path / "report").read_text()


@pytest.mark.parametrize("odd", ["many", [1], {"a": []}, True], ids=str)
def test_lines_of_another_shape_are_damaged_and_spoil_nothing(tmp_path: Path, odd: Any) -> None:
    """Whatever wrote them: a tool that copies our lines, or an edit by hand."""
    names = "step users requests jobs target errors limited routes conditions limits failed_at".split()  # noqa: SIM905
    with (tmp_path / "users.jsonl").open("wb") as file:
        file.write(line("users", 10.0, step=1))
        for event in ("users_started", "users", "users_routes", "users_stop_condition", "users_limit"):
            file.write(line(event, 20.0, **dict.fromkeys(names, odd)))
    report = write_report([tmp_path / "users.jsonl"], tmp_path / "report").read_text()
    assert "## Users, run 1" in report
    assert "Damaged lines, left out: 5" in report
