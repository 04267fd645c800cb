"""The documentation is tested: settings, log fields, and nothing of a developer's own machine."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from loadtest_trio import __version__
from loadtest_trio.settings import SETTINGS, SettingInfo
from tests.support.in_memory import build_in_memory, settings
from tests.support.log_lines import LogLines

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """Return what stands under a heading of the README."""
    return README.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def rows(text: str) -> Iterator[list[str]]:
    """Yield the cells of every table row that begins with code."""
    for line in text.splitlines():
        if line.startswith("| `"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


DOCUMENTED = {cells[0].strip("`"): cells[1:] for cells in rows(section("Settings"))}


@pytest.mark.parametrize("info", SETTINGS, ids=lambda info: info.name)
def test_every_setting_is_in_the_readme(info: SettingInfo) -> None:
    """A setting's name, default, meaning and aliases stand in the table."""
    default, meaning = DOCUMENTED[info.name]
    expected = "**required**" if info.required else f"`{info.default_text}`" if info.default_text else "unset"
    assert default == expected
    assert meaning.startswith(info.meaning)
    assert all(f"`{alias}`" in meaning for alias in info.aliases)


def test_the_readme_has_no_setting_too_many() -> None:
    """The table names nothing that is no setting."""
    assert DOCUMENTED.keys() == {info.name for info in SETTINGS}


def documented_fields() -> set[str]:
    """Return the field names in the first column of the table of log fields."""
    return {name for cells in rows(section("Log lines")) for name in re.findall(r"`(\w+)`", cells[0])}


async def test_every_field_of_a_metrics_line_is_in_the_readme(
    autojump_clock: MockClock, log_lines: LogLines
) -> None:
    """Each field of a real metrics line has a row, and each row is a field."""
    service = await build_in_memory(settings(MIN_FILE_UUIDS=1, MAX_FILE_UUIDS=2))
    with trio.move_on_after(10.5):
        async with trio.open_nursery() as nursery:
            for task in (service.service.scheduler, service.service.worker, service.service.metrics_service):
                nursery.start_soon(task.run)
    (line,) = log_lines.of("metrics")
    assert line.keys() - {"timestamp", "level", "run_id", "event", "line_id"} == documented_fields()
    for name in ("queue_wait_ms", "service_ms", "end_to_end_ms", "share_nominal", "share_actual"):
        assert name in line["by_operation"]["READ"]
        assert f"`{name}`" in section("Log lines")


def test_every_event_is_in_the_readme() -> None:
    """Each event that the service writes at INFO and above is mentioned."""
    pattern = re.compile(r"logs\.(?:event|failure)\(\s*\"(\w+)\"(?:,\s*\"(\w+)\")?")
    service = [path for path in (ROOT / "loadtest_trio").rglob("*.py") if "tune" not in path.parts]
    sources = "".join(path.read_text(encoding="utf-8") for path in service)
    events = {name for name, level in pattern.findall(sources) if level != "DEBUG"}
    text = section("Log lines")
    assert {name for name in events if f"`{name}`" not in text and f'"{name}"' not in text} == set()


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
