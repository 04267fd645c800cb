"""A finished run's lines, as the dashboard got them while it ran."""

from collections.abc import Sequence
from pathlib import Path

from loadtest_trio.report.details import LogLine
from loadtest_trio.report.reader import read
from loadtest_trio.report.splitting import split


def lines_to_replay(places: Sequence[Path]) -> list[LogLine]:
    """Return the lines of the latest run in some files, without what reading added to them.

    Args:
        places: Files and folders of log lines.

    Raises:
        UnreadableRunError: There is no run.
    """
    latest = split(read(places).lines)[-1]
    return [
        {name: value for name, value in line.items() if name == "_aws" or not name.startswith("_")}
        for line in sorted([*latest.lines, *latest.metrics], key=lambda line: line["_at"])
    ]
