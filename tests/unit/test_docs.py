"""The documentation follows the code: reference tables, links, and nothing of a developer's own machine."""

import re
import subprocess
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from loadtest_trio import __version__
from loadtest_trio.backends.redis.layout import KEYS
from loadtest_trio.metrics.reference import EVENTS, FIELDS
from scripts import reference
from tests.support.in_memory import build_in_memory, settings
from tests.support.log_lines import LogLines

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "REPORT.md", *(ROOT / "docs").glob("*.md")]
)
COMMON = {"timestamp", "level", "run_id", "event", "line_id"}


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_reference_tables_are_up_to_date(page: Path) -> None:
    """The tables of a page are what the code says; `scripts/reference` writes them."""
    text = page.read_text(encoding="utf-8")
    assert reference.written(text) == text


def test_every_table_is_on_a_page() -> None:
    """Settings, fields, events, keys and exit codes are documented somewhere."""
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert {name for name in reference.TABLES if f"<!-- reference: {name} -->" not in pages} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    """Every relative link of a page names a file of the checkout."""
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_field_reports_name_tests() -> None:
    """Each test that the table of field reports names exists."""
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "field-reports.md").read_text(encoding="utf-8")))
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert named - set(re.findall(r"def (test_\w+)", sources)) == set()


async def test_every_field_of_a_metrics_line_is_documented(
    autojump_clock: MockClock, log_lines: LogLines
) -> None:
    """Each field of a real metrics line has a meaning, and each meaning a field."""
    service = await build_in_memory(settings(MIN_FILE_UUIDS=1, MAX_FILE_UUIDS=2))
    with trio.move_on_after(10.5):
        async with trio.open_nursery() as nursery:
            for task in (service.service.scheduler, service.service.worker, service.service.metrics_service):
                nursery.start_soon(task.run)
    (line,) = log_lines.of("metrics")
    assert line.keys() - COMMON == FIELDS.keys()
    for name in ("queue_wait_ms", "service_ms", "end_to_end_ms", "share_nominal", "share_actual"):
        assert name in line["by_operation"]["READ"]
        assert f"`{name}`" in FIELDS["by_operation"]


def test_every_event_is_documented() -> None:
    """Each event that is written at INFO and above has a meaning."""
    pattern = re.compile(r"logs\.(?:event|failure)\(\s*\"(\w+)\"(?:,\s*\"(\w+)\")?")
    service = [path for path in (ROOT / "loadtest_trio").rglob("*.py") if "tune" not in path.parts]
    sources = "".join(path.read_text(encoding="utf-8") for path in service)
    events = {name for name, level in pattern.findall(sources) if level != "DEBUG"}
    assert events - EVENTS.keys() == set()


def test_every_key_of_the_scripts_is_documented() -> None:
    """The names that the Lua scripts build keys from stand in the table of keys."""
    scripts = "".join(path.read_text() for path in (ROOT / "loadtest_trio/backends/redis").glob("*.lua"))
    built = set(re.findall(r"'(\w+):' \.\.", scripts))
    assert {name for name in built if f"{{NAME}}:{name}:" not in "".join(KEYS)} == set()


def test_the_changelog_knows_this_version() -> None:
    """The version of the package has an entry, or its changes stand under a heading of their own."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert __version__ in changelog or "Unreleased" in changelog


def tracked() -> list[Path]:
    """Return the text files of the tree, as git knows it."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name]


# Put together here, so that this file does not find itself.
MACHINES = re.compile(r"/(?:" + "|".join(("root", "home/[a-z]+", r"Users/\w+", "work")) + r")/")
_REGISTRIES = ("py" + r"thonhosted\.org", "py" + r"pi\.org/simple", "index" + "-url", "artifact" + "ory")
REGISTRIES = re.compile("|".join(_REGISTRIES))


def test_no_file_names_a_developers_machine() -> None:
    """No tracked file holds an absolute path of a home folder, or the address of a package registry."""
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if MACHINES.search(line) or REGISTRIES.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert found == []
