"""The log, caught and read."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from loguru import logger

from loadtest_trio.metrics import logs
from loadtest_trio.report.details import join_details


class LogLines:
    """What was written to the log since it was caught."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def text(self) -> str:
        """Everything as it was written."""
        return self.stream.getvalue()

    def all(self) -> list[dict[str, Any]]:
        """Every line, parsed; details are back in the lines that they belong to."""
        return join_details(orjson.loads(line) for line in self.text.splitlines())

    def of(self, event: str) -> list[dict[str, Any]]:
        """The lines of one event."""
        return [line for line in self.all() if line["event"] == event]


@contextmanager
def caught_log(level: str = "INFO") -> Iterator[LogLines]:
    """Catch the JSON log at a level, with no flood left over from before."""
    lines = LogLines()
    logs._floods.summarise()
    logs.configure(lines.stream, json=True, level=level)
    yield lines
    logs._floods.summarise()
    logger.remove()
