"""The page about users is true: its scenario runs, its flags and fields exist."""

import argparse
import re
from pathlib import Path

import trio
from trio.testing import MockClock

from loadtest_trio.cli.users import add_options
from loadtest_trio.cli.users.tuning import add_users_options
from loadtest_trio.report.users_conditions import NAMES
from loadtest_trio.users.profile import constant
from loadtest_trio.users.scenario import load
from loadtest_trio.users.thresholds import RATES, TIMES, Threshold
from tests.support.log_lines import LogLines
from tests.unit.users.test_session import play

PAGE = (Path(__file__).parents[3] / "docs" / "users.md").read_text(encoding="utf-8")


async def test_the_scenario_of_twenty_lines_runs(
    autojump_clock: MockClock, log_lines: LogLines, tmp_path: Path
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    path = tmp_path / "shop.py"
    path.write_text(code)
    orders: dict[str, float] = {}

    async def shop(method: str, target: str, body: bytes) -> tuple[int, object]:
        await trio.sleep(0.01)
        if method == "POST":
            orders[str(len(orders))] = trio.current_time()
            return 202, {"id": str(len(orders) - 1)}
        if target.startswith("/orders/"):
            done = trio.current_time() - orders[target.rpartition("/")[2]] > 2
            return 200, {"status": "completed" if done else "pending"}
        return 200, []

    outcome = await play(constant(20, 20, 60), shop, load(path))
    assert outcome.counts.crashed == 0
    assert set(outcome.counts.routes) == {"GET /items", "GET /items/{id}", "POST /orders", "GET /orders/{id}"}
    assert outcome.counts.jobs.finished == outcome.counts.jobs.submitted > 10
    line = log_lines.of("users")[0]
    fields = {
        name
        for row in re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    told = set(line) - {"timestamp", "level", "event", "run_id", "line_id"}
    assert {name for name in told if not name.startswith("sent_")} <= fields


def test_every_flag_is_on_the_page() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    add_options(parser)
    flags = {flag for action in parser._actions for flag in action.option_strings[:1]}
    assert {flag for flag in flags if flag not in PAGE} == set()


def test_every_flag_on_the_page_exists() -> None:
    parser = argparse.ArgumentParser(add_help=False, conflict_handler="resolve")
    add_options(parser)
    add_users_options(parser.add_argument_group("tune"))
    known = {"--seconds", *(flag for action in parser._actions for flag in action.option_strings)}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE)) - known <= {"--step-load"}


def test_conditions_and_metrics_are_on_the_page() -> None:
    assert all(f"`{name}`" in PAGE for name in NAMES)
    assert all(f"`{name}`" in PAGE for name in TIMES | RATES)
    for text in re.findall(r"--threshold '(.*?)'", PAGE):
        Threshold.parse(text)
