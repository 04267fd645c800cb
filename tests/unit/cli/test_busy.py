"""Progress is for people: a terminal shows it while it lasts, anything else gets nothing."""

import io

import pytest
from rich.console import Console

from loadtest_trio.cli.busy import busy


@pytest.mark.parametrize("terminal", [True, False])
def test_only_a_terminal_shows_it(terminal: bool) -> None:
    """What is being done, in words that are no markup."""
    written = io.StringIO()
    console = Console(file=written, force_terminal=terminal, width=80)
    with busy("reading run[1].jsonl", console):
        pass
    assert ("reading run[1].jsonl" in written.getvalue()) is terminal
    assert bool(written.getvalue()) is terminal
