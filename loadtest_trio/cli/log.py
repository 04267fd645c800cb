"""The log of a service command: lines on standard output, or a live view on a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from loadtest_trio.cli.consoles import console_beside_loop
from loadtest_trio.cli.live import LiveView
from loadtest_trio.metrics import logs
from loadtest_trio.settings import LogFormat, Settings


@contextmanager
def log_to_stdout(settings: Settings) -> Iterator[None]:
    """Write the log to standard output during the block, in the configured format; see `logs.writing`."""
    if settings.log_format is LogFormat.AUTO and sys.stdout.isatty():
        with (
            console_beside_loop(sys.stdout) as console,
            logs.writing(json=False, level=settings.log_level),
            LiveView(console).watching(),
        ):
            yield
        return
    is_json = settings.log_format is not LogFormat.TEXT
    with logs.writing(sys.stdout.fileno(), json=is_json, level=settings.log_level):
        yield
