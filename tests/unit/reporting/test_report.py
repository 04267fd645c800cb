"""The report holds what a reader needs, whatever the lines look like."""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import loadtest_trio.reporting
from loadtest_trio.reporting import write_report

Write = Callable[..., Path]


def test_a_run(write: Write, make: Any, tmp_path: Path) -> None:
    """One run: machine, settings, rates, percentiles, mix, ledger, and pictures that exist."""
    report = write_report([write(make.run_lines([10, 20, 30]))], tmp_path / "out")
    said = report.read_text()
    for fact in (
        "Test CPU",
        "| WORKER_CONCURRENCY | 10 |",
        "steady phase: 20",
        "| READ | 50 | 49.5 | -0.5 |",
    ):
        assert fact in said
    assert "It balances in all 4 metrics lines." in said
    assert "| READ.service_ms | 8 | 10" in said
    pictures = [line.split("(")[1].rstrip(")") for line in said.splitlines() if line.startswith("![")]
    assert set(pictures) == {"run-time.png", "run-latency.png", "run-mix.png"}
    assert all((tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG") for name in pictures)


def test_what_each_step_changed(write: Write, make: Any, tmp_path: Path) -> None:
    """Several runs: a table of what was changed between them and what that gave."""
    first = make.run_lines([10] * 5)
    second = make.run_lines([15] * 5, make.start + 100, settings={"WORKER_CONCURRENCY": "20"})
    said = write_report([write(first + second)], tmp_path / "out").read_text()
    assert "| WORKER_CONCURRENCY 10 → 20 | 15 | +50 % |" in said


def test_damage_is_reported(write: Write, make: Any, tmp_path: Path) -> None:
    """Damaged lines and histograms are counted in the report."""
    lines = make.run_lines([10, 20])
    lines[2]["histograms"] = {"READ.service_ms": "HISTbroken"}
    encoded = make.encode(lines) + b'{"event":"metrics","time'
    said = write_report([write(encoded)], tmp_path / "out").read_text()
    assert "- Damaged lines, left out: 1\n- Damaged histograms, left out: 1" in said


def test_unbalanced_ledger_is_loud(write: Write, make: Any, tmp_path: Path) -> None:
    """A ledger that does not add up is said, with the time."""
    lines = make.run_lines([10, 20])
    lines[2]["ledger"]["difference"] = 3
    said = write_report([write(lines)], tmp_path / "out").read_text()
    assert "**It does not balance in 1 of 3 metrics lines**" in said


_junk = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.text(max_size=5), st.just([]), st.just({})
)


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes most of the time, and one figure is enough to see that it is reached."""
    monkeypatch.setattr("loadtest_trio.reporting.canvas.save", lambda *_: "")
    for module in ("pictures", "tuning_pictures"):
        monkeypatch.setattr(f"loadtest_trio.reporting.{module}.save", lambda *_: "")


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_fields_of_any_kind(
    write: Write, make: Any, tmp_path: Path, no_pictures: None, data: st.DataObject
) -> None:
    """Fields that are missing, null or of another kind never stop a report."""
    lines = orjson.loads(orjson.dumps(make.run_lines([10, 20, 30])))
    for line in lines:
        for name in data.draw(st.lists(st.sampled_from(sorted(line)), max_size=4)):
            if name not in ("event", "timestamp"):
                line[name] = data.draw(_junk)
    assert write_report([write(lines)], tmp_path / "out").exists()


def test_imports_nothing_of_the_running_service() -> None:
    """The log lines are the seam: the reporting room imports itself and the exception tree only."""
    folder = Path(loadtest_trio.reporting.__file__).parent
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("loadtest_trio"):
                assert str(node.module).startswith(("loadtest_trio.reporting", "loadtest_trio.errors")), file
