"""Children that are measured."""

import sys
from pathlib import Path

import pytest

from benchmarks.process import Child, free_ports, wait_for_port

SPIN = "import time\nwhile time.process_time() < {}: pass\n"


def spawn(code: str, folder: Path) -> Child:
    return Child([sys.executable, "-c", code], core=0, log=folder / "log")


def test_cpu_of_an_ended_child_is_what_it_used(tmp_path: Path) -> None:
    """wait4 counts at least the CPU that the child counted itself, and not ours."""
    usage = spawn(SPIN.format(0.3), tmp_path).wait()
    assert 0.3 <= usage.total < 2.0


def test_the_clock_of_a_live_child_runs(tmp_path: Path) -> None:
    """The CPU clock of a busy child goes forward while it lives; stopping ends it by its pid."""
    child = spawn(SPIN.format(60), tmp_path)
    first = child.cpu_seconds()
    while child.cpu_seconds() <= first + 0.05:
        assert child.running
    child.stop()
    assert not child.running
    assert child.process.returncode == -15


def test_stopping_an_ended_child_still_gives_its_cpu(tmp_path: Path) -> None:
    """A child that crashed before it was stopped has its exit code and its rusage."""
    child = spawn(SPIN.format(0.1) + "raise SystemExit(3)", tmp_path)
    while child.running:
        pass
    assert child.stop().total >= 0.1
    assert child.process.returncode == 3


def test_a_server_that_dies_at_start_says_why(tmp_path: Path) -> None:
    """Waiting for a port ends at once with the child's own words when the child is gone."""
    child = spawn("raise SystemExit('no such option')", tmp_path)
    with pytest.raises(RuntimeError, match="no such option"):
        wait_for_port(free_ports(1)[0], child)
    child.wait()
