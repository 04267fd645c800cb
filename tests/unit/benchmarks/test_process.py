"""Children that are measured."""

import sys
from pathlib import Path

import pytest

from benchmarks.process import Child, free_ports, wait_for_port

SPIN = "import time\nwhile time.process_time() < {}: pass\n"


def spawn(code: str, folder: Path) -> Child:
    return Child([sys.executable, "-c", code], core=0, log=folder / "log")


def test_rusage_of_ended_child_is_its_own_cpu(tmp_path: Path) -> None:
    """wait4 counts at least the CPU that the child counted, and not ours."""
    usage = spawn(SPIN.format(0.3), tmp_path).wait()
    assert 0.3 <= usage.total < 2.0


def test_clock_of_live_child_advances(tmp_path: Path) -> None:
    """The CPU clock of a busy child advances while it lives; `stop` ends it."""
    child = spawn(SPIN.format(60), tmp_path)
    first = child.cpu_seconds()
    while child.cpu_seconds() <= first + 0.05:
        assert child.running
    child.stop()
    assert not child.running
    assert child.process.returncode == -15


def test_stopping_an_ended_child_returns_its_cpu(tmp_path: Path) -> None:
    """A child that crashed before `stop` keeps its exit code and its rusage."""
    child = spawn(SPIN.format(0.1) + "raise SystemExit(3)", tmp_path)
    while child.running:
        pass
    assert child.stop().total >= 0.1
    assert child.process.returncode == 3


def test_server_that_dies_at_start_reports_its_error(tmp_path: Path) -> None:
    """Waiting for a port fails immediately, with the child's output, when the child has ended."""
    child = spawn("raise SystemExit('no such option')", tmp_path)
    with pytest.raises(RuntimeError, match="no such option"):
        wait_for_port(free_ports(1)[0], child)
    child.wait()
