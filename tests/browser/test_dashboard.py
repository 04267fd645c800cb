"""The dashboard of a running service, in a real browser."""

import time
from datetime import datetime
from typing import Any

import orjson
import pytest
import redis
from selenium.webdriver.common.keys import Keys

from loadtest_trio.backends.embedded import RedisServer
from loadtest_trio.backends.redis.dead_letters import dead_record
from tests.browser.conftest import address
from tests.support.browser import Page, browser
from tests.support.service_process import ServiceProcess

POINTS = """
const charts = [...document.querySelectorAll('[data-chart]')].filter((each) => !each.hidden);
return Object.fromEntries(charts.map((each) => {
  const plot = each.querySelector('.plot');
  const points = (plot?.data ?? []).map((trace) => trace.y.filter((value) => value != null).length);
  return [each.dataset.chart, Math.max(0, ...points)];
}));
"""
LEDGER = """
return Object.fromEntries([...document.querySelectorAll('#ledger [data-count]')].map(
  (each) => [each.dataset.place, Number(each.dataset.count)]));
"""


@pytest.fixture
def shown(page: Page, service: ServiceProcess) -> Page:
    """The window with the service's dashboard in it, and its first figures."""
    page.resize(1280, 6000)  # all of it on the screen: what is not is not drawn
    page.darken(False)
    page.errors()
    page.open(address(service))
    page.wait(lambda: page.run("return document.querySelectorAll('.tile').length") >= 9)
    return page


def points(page: Page) -> dict[str, int]:
    """Return the number of points of each chart."""
    found: dict[str, int] = page.run(POINTS)
    return found


def test_it_says_at_once_what_happens(shown: Page) -> None:
    """A sentence, a green mark and nine figures say what it does, how fast, and that nothing is wrong."""
    shown.wait(lambda: shown.text("#headline").startswith("Steady: "))
    assert "messages a second" in shown.text("#headline")
    assert "Nothing is wrong" in shown.text("#banner")
    assert shown.run("return document.getElementById('glance').dataset.level") == "good"
    tiles = shown.text("#tiles")
    for title in ("Phase", "Up", "Done/s", "99 of 100 within", "Errors", "CPU", "Memory", "Own lag"):
        assert title in tiles


def test_charts_have_points(shown: Page) -> None:
    """Each chart that is shown has something to show, and the console has no error."""
    expected = {"Messages", "From due to done", "CPU", "Memory", "Not ended yet", "Done by operation", "Mix"}
    shown.wait(lambda: expected <= points(shown).keys() and min(points(shown).values()) >= 2)
    assert shown.errors() == []


def test_the_ledger_adds_up_to_the_log(shown: Page, service: ServiceProcess) -> None:
    """What the picture says is what a line of the log says, and its parts are its whole."""
    shown.wait(lambda: shown.run(LEDGER))
    ledger: dict[str, int] = shown.run(LEDGER)
    created = ledger.pop("created")
    assert sum(ledger.values()) == created > 0
    logged = [line["ledger"] for line in service.events("metrics")]
    assert {"created": created, **ledger, "difference": 0} in logged
    assert "It adds up" in shown.text("#ledger")


def test_a_control_changes_the_rate_within_two_seconds(shown: Page, service: ServiceProcess) -> None:
    """A number and a click; the lines follow, and the log says who asked for what."""
    shown.wait(lambda: shown.run("return !document.getElementById('controls').hidden"))
    shown.run("document.getElementById('controls').open = true")
    shown.fill("#knob-rate", "160")
    shown.click("[data-control='rate']")
    shown.wait(lambda: "160" in shown.text("#said"))
    used = service.wait_for("control_used", lambda line: line["control"] == "rate")
    assert (used["value"], used["before"]) == ("160", "40")
    fast = service.wait_for("metrics", lambda line: line["rate_per_second"] > 120)
    assert seconds_between(used, fast) < 2.5  # two seconds, and the rest of the interval that the line covers
    shown.fill("#knob-rate", "40")
    shown.click("[data-control='rate']")
    service.wait_for("control_used", lambda line: line["value"] == "40")


def test_a_dead_letter_is_retried_by_a_click(
    shown: Page, service: ServiceProcess, redis_server: RedisServer
) -> None:
    """It is listed with its reason; a click puts it back, and its work is done."""
    element = orjson.dumps({"id": "dead-1", "operation": "READ", "key": "loadtest/gone.txt"})
    record = dead_record(element, error="S3 said <b>503</b>", attempts=4, time=time.time())
    with redis.Redis.from_url(redis_server.url) as client:
        client.lpush("{loadtest}:dead", record)
    shown.wait(lambda: "S3 said <b>503</b>" in shown.text("#letters"))
    missed = service.events("metrics")[-1]["messages_missed"]
    shown.click("#letters [data-action='retry']")
    service.wait_for("control_used", lambda line: line["control"] == "dead_letter_retry")
    service.wait_for("metrics", lambda line: line["dead"] == 0 and line["messages_missed"] > missed)
    shown.wait(lambda: "None." in shown.text("#letters"))


def test_a_second_viewer_joins_in_the_middle(shown: Page, service: ServiceProcess) -> None:
    """Who comes later sees the run from its beginning, and both see it go on."""
    first = service.events("metrics")[0]
    with browser(900, 6000) as other:
        other.open(address(service))
        other.wait(lambda: points(other).get("Messages", 0) >= len(service.events("metrics")) - 2)
        told = other.run(
            "return document.querySelector('[data-chart=Messages] .plot').data[0].x[0].toISOString()"
        )
        assert abs(datetime.fromisoformat(told).timestamp() - stamp(first)) < 1
        before = points(other)["Messages"], points(shown)["Messages"]
        other.wait(lambda: points(other)["Messages"] > before[0] and points(shown)["Messages"] > before[1])


def test_the_stream_survives_a_restart_of_the_page(shown: Page) -> None:
    """Loaded anew, the page has everything again and goes on."""
    before = points(shown)["Messages"]
    shown.reload()
    shown.wait(lambda: points(shown).get("Messages", 0) > before)
    assert shown.errors() == []


def test_tables_stand_behind_the_charts(shown: Page) -> None:
    """By the keyboard alone: the table of a chart opens and holds its figures."""
    shown.wait(lambda: points(shown).get("Messages", 0) >= 2)
    shown.run("document.querySelector('[data-chart=Messages] summary').focus()")
    shown.press(Keys.ENTER)
    shown.wait(lambda: "Messages in a second" in shown.text("[data-chart=Messages] table"))
    assert "done" in shown.text("[data-chart=Messages] thead")
    label = shown.run(
        "return document.querySelector('[data-chart=Messages] .plot').getAttribute('aria-label')"
    )
    assert label.startswith("Messages in a second, latest: done ")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_no_fault(shown: Page, dark: bool, width: int) -> None:
    """Contrast, names, roles, order of headings, on a phone and on a desk; nothing is wider than the page."""
    shown.resize(width, 12_000)
    shown.darken(dark)
    shown.run("document.getElementById('controls').open = true")
    shown.run("for (const each of document.querySelectorAll('details')) each.open = true")
    shown.wait(lambda: points(shown).get("Mix", 0) >= 4)
    assert shown.accessibility_faults() == []
    assert shown.run("return document.documentElement.scrollWidth <= window.innerWidth")


def test_a_killed_redis_turns_the_banner_on_and_off(
    page: Page, store: dict[str, str], own_redis: RedisServer
) -> None:
    """While Redis is away the banner is red and says so; when it is back the page is green again."""
    with ServiceProcess("run", "--embedded", environ={**store, "REDIS_ENDPOINT": own_redis.url}) as process:
        process.wait_for("metrics", lambda line: line["phase"] == "steady")
        page.open(address(process))
        page.wait(lambda: "Nothing is wrong" in page.text("#banner"))
        own_redis.kill()
        page.wait(lambda: "Redis does not answer" in page.text("#banner"))
        assert page.run("return document.getElementById('glance').dataset.level") == "bad"
        own_redis.restart()
        page.wait(lambda: "Redis does not answer" not in page.text("#banner"), 40)


def test_a_service_that_is_started_anew_is_found_again(page: Page, store: dict[str, str]) -> None:
    """The page says that the service is gone, and shows the next one's run when it is there."""
    with ServiceProcess("run", "--embedded", environ=store) as process:
        url = address(process)
        process.wait_for("metrics")
        page.open(url)
        page.wait(lambda: page.text("#link") == "live")
    page.wait(lambda: page.text("#link") == "no connection")
    port = url.rstrip("/").rpartition(":")[2]
    with ServiceProcess("run", "--embedded", environ={**store, "HEALTH_PORT": port}) as process:
        process.wait_for("metrics")
        page.wait(lambda: page.text("#link") == "live")
        page.wait(lambda: points(page).get("Messages", 99) <= len(process.events("metrics")) + 1)


def stamp(line: dict[str, Any]) -> float:
    """Return a line's time in Unix seconds."""
    return datetime.fromisoformat(line["timestamp"]).timestamp()


def seconds_between(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Return how long after one line another was written."""
    return stamp(other) - stamp(one)
