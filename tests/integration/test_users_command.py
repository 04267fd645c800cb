"""The command against a real server on loopback: lines, tables, exports, report, exit codes."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from junitparser import JUnitXml

from tests.support.job_api import JobApi, serve

ROOT = Path(__file__).parents[2]


def users(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command and wait for it."""
    command = [sys.executable, "-m", "loadtest_trio", "users", *arguments]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_short_run_ends_with_table_verdict_report_and_exports(tmp_path: Path) -> None:
    with serve(JobApi(polls_until_done=2)) as api:
        done = users(
            "-H", api.url, "-u", "10", "-r", "50", "-t", "4s", "--threshold", "http_req_duration: p(95)<5000",
            "--summary-export", "s.json", "--junit", "j.xml", "--csv", "x", "--html", "r.html",
            "-P", "poll=0.2",
            cwd=tmp_path,
        )  # fmt: skip
        submitted = len(api.submissions)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    events = {line["event"] for line in lines}
    assert events >= {
        "users_started",
        "users",
        "users_routes",
        "users_step",
        "users_verdict",
        "users_stopped",
    }
    assert "The service kept up with all 10 users" in done.stderr
    assert "GET /api/jobs/{id}" in done.stderr
    summary = json.loads((tmp_path / "s.json").read_text())
    assert summary["jobs"]["submitted"] == summary["jobs"]["finished"] == submitted > 30
    assert summary["routes"]["POST /api/jobs"]["requests"] == submitted
    (suite,) = JUnitXml.fromfile(str(tmp_path / "j.xml"))
    assert (suite.tests, suite.failures) == (1, 0)
    with (tmp_path / "x_stats.csv").open() as file:
        rows = {row["Name"]: row for row in csv.DictReader(file)}
    assert int(rows["Aggregated"]["Request Count"]) == summary["http_reqs"]["requests"]
    report = (tmp_path / "users-report" / "REPORT.md").read_text()
    assert "### Steps" in report
    assert (tmp_path / "users-report" / "users1-time.png").stat().st_size > 10_000
    assert "data:image/png;base64," in (tmp_path / "r.html").read_text()


def test_a_crossed_threshold_is_exit_code_99(tmp_path: Path) -> None:
    with serve(JobApi()) as api:
        done = users(
            "-H", api.url, "-u", "3", "-t", "60s", "--threshold", "http_req_duration: max<0.001",
            "--abort-on-fail", "--abort-delay", "2s", "--junit", "j.xml", "--output", "none",
            cwd=tmp_path,
        )  # fmt: skip
    assert done.returncode == 99, done.stderr
    assert "crossed: http_req_duration: max<0.001" in done.stderr
    (suite,) = JUnitXml.fromfile(str(tmp_path / "j.xml"))
    assert suite.failures == 1
    assert not (tmp_path / "users-report").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_lets_the_users_end_their_stories(tmp_path: Path, number: signal.Signals) -> None:
    with serve(JobApi()) as api:
        command = [sys.executable, "-m", "loadtest_trio", "users", "-H", api.url, "-u", "5", "-r", "50"]
        process = subprocess.Popen(
            command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
        )
        deadline = time.monotonic() + 20
        while len(api.submissions) < 15 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    stopped = [line for line in map(json.loads, output.splitlines()) if line["event"] == "users_stopped"]
    assert stopped[0]["reason"] == f"signal {number.name}"
    assert stopped[0]["jobs_submitted"] == stopped[0]["jobs_finished"]


@pytest.mark.parametrize(
    "flags",
    [
        ["--stage", "30s"],
        ["--step", "40"],
        ["-t", "soon"],
        ["-t", "0s"],
        ["-u", "0"],
        ["--share", "5/4"],
        ["--stop-on", "boredom"],
        ["-P", "jobs"],
        ["--spawn-rate", "nan"],
        ["--rate", "inf"],
        ["--users", "1000000000"],
        ["--header", "Content-Length: 5"],
        ["--csv", "no/folder"],
        ["--threshold", "fast"],
        ["--stage", "1s:1", "--rate", "4"],
    ],
)
def test_a_bad_flag_is_one_line_and_exit_code_2(tmp_path: Path, flags: list[str]) -> None:
    done = users("-H", "http://127.0.0.1:1", *flags, cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert flags[-2 if len(flags) < 4 else 2] in done.stderr


def test_reports_of_generators_that_share_users_are_merged(tmp_path: Path) -> None:
    with serve(JobApi()) as api:
        generators = [
            subprocess.Popen(
                [
                    sys.executable, "-m", "loadtest_trio", "users", "-H", api.url, "-u", "10", "-r", "50",
                    "-t", "3s", "--share", f"{part}/2", "--output", f"part{part}",
                ],
                cwd=tmp_path,
                env={"PYTHONPATH": str(ROOT)},
                stdout=subprocess.DEVNULL,
            )
            for part in (1, 2)
        ]  # fmt: skip
        assert [each.wait(60) for each in generators] == [0, 0]
        submitted = len(api.submissions)
    command = [sys.executable, "-m", "loadtest_trio", "report", "part1", "part2", "--output", "merged"]
    subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, check=True, capture_output=True)
    report = (tmp_path / "merged" / "REPORT.md").read_text()
    assert report.count("## Users, run") == 1
    assert "- Generators: 2" in report
    assert f"| POST /api/jobs | {submitted} |" in report


def test_a_terminal_gets_a_live_table(tmp_path: Path) -> None:
    """Lines go to the file alone; the table is drawn anew, and the end stays."""
    controller, terminal = os.openpty()
    with serve(JobApi()) as api:
        command = [
            sys.executable, "-m", "loadtest_trio", "users", "-H", api.url, "-u", "5", "-r", "50", "-t", "3s",
        ]  # fmt: skip
        environment = {"PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "140", "LINES": "40"}
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdin=terminal, stdout=terminal, stderr=terminal
        )
        os.close(terminal)
        shown = b""
        try:
            while part := os.read(controller, 65536):
                shown += part
        except OSError:  # the other end is closed
            pass
        assert process.wait(30) == 0
    os.close(controller)
    text = shown.decode()
    assert "5 of 5 users" in text
    assert text.count("GET /api/jobs/{id}") >= 3
    assert '"event"' not in text
    assert "The service kept up with all 5 users" in text
    assert (tmp_path / "users-report" / "users.jsonl").stat().st_size > 1000
