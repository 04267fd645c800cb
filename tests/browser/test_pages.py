"""Pages other than the running service's: simulated users, a replay, an interactive report."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import orjson
import pytest

from loadtest_trio.report import write_report
from loadtest_trio.report.interactive import write_interactive
from tests.support.browser import Page
from tests.support.service_process import ROOT, ServiceProcess
from tests.unit.report.conftest import run_lines

RATES = [100, 120, 80, 100, 110, 90, 100, 100]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The log of a finished run."""
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in run_lines(RATES)))
    return path


def points(page: Page, selector: str) -> int:
    """Return how many points the plot has that a selector finds."""
    script = "return document.querySelector(arguments[0])?.data?.[0]?.x?.length ?? 0"
    return int(page.run(script, selector))


def has_points(page: Page, selector: str, least: int) -> bool:
    """Tell whether the plot that a selector finds has so many points."""
    return points(page, selector) >= least


def test_users_are_watched_and_steered(page: Page) -> None:
    """The page says how many users do what; a person asks for more, and they come."""
    arguments = ("-u", "5", "-r", "10", "-t", "120s", "--interval", "1s", "--headless", "--output", "none")
    with ServiceProcess("users", *arguments, "--dashboard-port", "0", environ={}) as users:
        deadline = time.monotonic() + 40
        while not (found := re.search(r"dashboard: (\S+)", users.complaints)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert found, users.complaints
        page.resize(1280, 5000)
        page.open(found[1])
        page.wait(lambda: page.text("#headline").startswith("5 users make "), 40)
        for chart in ("Response time", "Requests by route", "Response time by route"):
            page.wait(partial(has_points, page, f"[data-chart='{chart}'] .plot", 3))
        page.run("document.getElementById('controls').open = true")
        page.fill("#knob-users", "20")
        page.click("[data-control='users']")
        page.wait(lambda: page.text("#headline").startswith("20 users make "))
        assert page.accessibility_faults() == []
        users.wait_for("control_used", lambda line: (line["control"], line["value"]) == ("users", "20"))


def test_the_latest_jobs_are_a_click_away(page: Page) -> None:
    """Whoever submitted them; a job's life is unfolded from the list."""
    environ = {"LOG_INTERVAL_SECONDS": "1", "HEALTH_PORT": "0", "API_PORT": "0"}
    with ServiceProcess("jobs", "--embedded", environ=environ) as service:
        started = service.wait_for("service_started")
        ids = []
        for name in ("alice", "bob"):
            body, headers = {"type": "sleep", "payload": {"ms": 0}}, {"X-Client-Id": name}
            answer = httpx.post(f"{started['api']}/api/jobs", json=body, headers=headers)
            ids.append(answer.json()["id"])
        page.errors()
        page.resize(1280, 5000)
        page.open(str(started["dashboard"]))
        page.wait(lambda: page.run("return document.getElementById('latest-jobs') !== null"))
        page.click("#latest-jobs")
        page.wait(lambda: ids[0] in page.text("#lookup"))
        shown = page.text("#lookup")
        assert shown.index(ids[1]) < shown.index(ids[0])
        assert page.accessibility_faults() == []
        assert page.errors() == []


@contextmanager
def replay(log: Path) -> Iterator[str]:
    """Serve the replay of a log; yields its address."""
    command = [sys.executable, "-m", "loadtest_trio", "report", "--serve", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[1]
        finally:
            process.kill()


def test_a_finished_run_is_replayed(page: Page, log: Path) -> None:
    """The whole run at once, marked as a replay, with nothing to steer."""
    with replay(log) as url:
        page.errors()
        page.resize(1280, 5000)
        page.open(url)
        page.wait(lambda: page.text("#link") == "replay of a finished run")
        page.wait(lambda: points(page, "[data-chart='Messages'] .plot") == len(RATES) + 1)
        assert page.run("return document.getElementById('controls').hidden")
        assert page.errors() == []


def test_a_search_is_replayed(page: Page) -> None:
    """A point for each step, the verdict of each in a table, and the result in the first sentence."""
    with replay(ROOT / "reports" / "tune-nginx-2026-11-25" / "tune.jsonl.gz") as url:
        page.errors()
        page.resize(1280, 3000)
        page.open(url)
        page.wait(lambda: page.run("return document.querySelectorAll('#stages tbody tr').length") == 55)
        headline = page.text("#headline")
        assert "Saturation point: 2,467 messages a second. Bottleneck: CPU." in headline
        assert "goodput is" in page.run("return document.getElementById('stages').textContent")
        drawn = "return document.querySelector(\"[data-chart='Offered against done'] .plot\").data"
        steps = page.run(f"{drawn}.filter((each) => each.mode === 'markers').map((each) => each.x.length)")
        assert len(steps) == 3
        assert min(steps) > 0
        assert sum(steps) == 55
        assert page.accessibility_faults() == []
        assert page.errors() == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_an_interactive_report(page: Page, log: Path, tmp_path: Path, dark: bool) -> None:
    """One file: its figures have points, its words stand beside them, and axe finds no fault."""
    report = write_report([log], tmp_path)
    target = write_interactive([log], report, tmp_path / "REPORT.html")
    page.errors()
    page.resize(1100, 900)
    page.darken(dark)
    page.open(target.as_uri())
    page.wait(lambda: points(page, "[data-figure='figure-run-time']") >= len(RATES) - 1)
    assert points(page, "[data-figure='figure-run-mix']") == 2
    assert "Configuration and machine" in page.text("main")
    assert page.accessibility_faults() == []
    assert page.errors() == []
