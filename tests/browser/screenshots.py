"""Writes the pictures of the dashboard in `docs/images`, by `python -m tests.browser.screenshots`.

Each shows a real run on embedded backends, for a minute or so, in light and in dark.
"""

import json
import sys
import time
import urllib.request
from pathlib import Path

from PIL import Image

from tests.browser.test_pages import replay
from tests.support.browser import Page, browser, missing
from tests.support.service_process import ROOT, ServiceProcess

FOLDER = Path(__file__).parents[2] / "docs" / "images"
QUICK = {"LOG_INTERVAL_SECONDS": "1", "HEALTH_PORT": "0"}
_COLOURS = 96  # of a picture: it is text and lines
_SETTLE_SECONDS = 3.0


def main() -> int:
    """Write them all."""
    if reason := missing():
        sys.stderr.write(f"{reason}\n")
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    with browser() as page:
        _run(page)
        _jobs(page)
        _users(page)
        _search(page)
    return 0


def _run(page: Page) -> None:
    """The S3 load: at a glance, all of it, on a phone, and with a rate that was changed."""
    with ServiceProcess("run", "--embedded", environ=QUICK) as service:
        url = _address(service)
        _steer(url, "rate", 60)
        time.sleep(25)
        _steer(url, "rate", 120)
        time.sleep(25)
        page.open(url)
        _shoot(page, "run", 1280, 780)
        _shoot(page, "run-dark", 1280, 780, dark=True)
        _steer(url, "mode", "saturate")
        time.sleep(20)
        _shoot(page, "queue", 1280, 700, section="queue")
        _shoot(page, "load", 1280, 900, section="load")
        _shoot(page, "phone", 390, 800)


def _jobs(page: Page) -> None:
    """The job service, with some clients at it."""
    with ServiceProcess("jobs", "--embedded", environ={**QUICK, "API_PORT": "0"}) as service:
        url, api = _address(service), str(service.wait_for("service_started")["api"])
        with ServiceProcess(
            "users",
            "-H",
            api,
            "-u",
            "40",
            "-r",
            "5",
            "-t",
            "40s",
            "--headless",
            "--output",
            "none",
            "--dashboard-port",
            "-1",
            environ={},
        ):
            time.sleep(30)
            page.open(url)
            page.wait(lambda: page.run("return document.getElementById('jobs') !== null"))
            _shoot(page, "jobs", 1280, 900, section="jobs")


def _users(page: Page) -> None:
    """Simulated users of an embedded job service."""
    arguments = (
        "users",
        "-u",
        "100",
        "-r",
        "4",
        "-t",
        "60s",
        "--headless",
        "--output",
        "none",
        "--interval",
        "1s",
    )
    with ServiceProcess(*arguments, "--dashboard-port", "0", environ={}) as users:
        deadline = time.monotonic() + 40
        while "dashboard: " not in users.complaints and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(40)
        page.open(users.complaints.split("dashboard: ")[1].split()[0])
        _shoot(page, "users", 1280, 900)


def _search(page: Page) -> None:
    """A finished saturation search, replayed."""
    with replay(ROOT / "reports" / "tune-nginx-2026-11-25" / "tune.jsonl.gz") as url:
        page.open(url)
        _shoot(page, "tune", 1280, 900)


def _address(service: ServiceProcess) -> str:
    service.wait_for("metrics")
    return str(service.wait_for("service_started")["dashboard"])


def _steer(url: str, control: str, value: float | str) -> None:
    request = urllib.request.Request(
        f"{url}controls/{control}",
        json.dumps({"value": value}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=5):
        pass


def _shoot(
    page: Page, name: str, width: int, height: int, *, dark: bool = False, section: str = "glance"
) -> None:
    page.resize(width, height)
    page.darken(dark)
    for _ in range(3):  # what comes on the screen is drawn then, and moves what stands below
        page.run("document.getElementById(arguments[0]).scrollIntoView(); scrollBy(0, -60)", section)
        time.sleep(_SETTLE_SECONDS / 2)
    path = FOLDER / f"dashboard-{name}.png"
    page.screenshot(path)
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(_COLOURS).save(path, optimize=True)
    sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    sys.exit(main())
