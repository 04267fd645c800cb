"""Progress is for a person at a terminal: nothing of it reaches a file or a pipe."""

import sys
from collections.abc import Callable

import pytest

from benchmarks.output import complain, report_progress
from tests.support.progress import show_progress


@pytest.mark.parametrize("show", [report_progress, show_progress])
@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown_on_terminals_only(
    show: Callable[[str], None],
    terminal: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    show("1 of 2 rounds")
    assert ("1 of 2 rounds" in capsys.readouterr().err) is terminal


def test_complaints_are_shown_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    complain("left out: wrk is missing")
    assert capsys.readouterr().err == "left out: wrk is missing\n"
