"""The log: flat JSON lines on standard output, or one readable line each on a terminal.

`event(name, …)` writes a line. Repeated failures go through `failure`: the first few of a kind in an interval
are written, the rest are counted, and `summarise_floods` writes the counts.
"""

import secrets
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from loguru import logger

from loadtest_trio.errors import LoadtestError
from loadtest_trio.metrics.log_lines import JsonLines, flat
from loadtest_trio.metrics.log_writer import CAPACITY_BYTES, DRAIN_SECONDS, LogWriter
from loadtest_trio.metrics.text_lines import render_text

if TYPE_CHECKING:
    from _typeshed import SupportsWrite
    from loguru import Message

logger.remove()  # loguru writes to standard error by itself; a command that asks for no log gets none

_SHOWN_PER_FLOOD = 5
_MOST_FLOODS = 1000
_LONGEST_TEXT = 10_000


class LogIncompleteError(LoadtestError):
    """The last log lines could not be written."""


@contextmanager
def writing(
    *descriptors: int, json: bool, level: str = "INFO", capacity_bytes: int = CAPACITY_BYTES
) -> Iterator[None]:
    """Write the log to file descriptors, each in a thread of its own, until the block ends.

    When nobody reads one of them any more (``run | head``), SIGTERM is sent to this process: the end is like
    any other. Whatever else goes wrong with a descriptor, the log waits (see `LogWriter`). Leaving the block
    blocks for a moment, so an event loop has to end inside.

    Args:
        *descriptors: Where to write.
        json: One JSON object a line; otherwise readable text.
        level: The least severe level that is written.
        capacity_bytes: How much waits at most for each descriptor.

    Raises:
        LogIncompleteError: At the end of the block, when the last lines could not be written and nothing else
            went wrong. Another error gets a note about it.
    """
    _writers[:] = [LogWriter(each, _end_process, capacity_bytes) for each in descriptors]
    configure(*_writers, json=json, level=level)
    try:
        yield
    except BaseException as error:
        for loss in _close():
            error.add_note(loss)
        raise
    losses = _close()
    if losses:
        raise LogIncompleteError("; ".join(losses))


_writers: list[LogWriter] = []


def _close() -> list[str]:
    """Write what waits, and return what could not be written."""
    stuck = [writer for writer in _writers if not writer.drain()]
    _report_dropped()
    losses = [loss for writer in _writers if (loss := writer.close(0 if writer in stuck else DRAIN_SECONDS))]
    logger.remove()
    _writers.clear()
    return losses


def _end_process() -> None:
    signal.raise_signal(signal.SIGTERM)


def _report_dropped() -> None:
    for writer in _writers:
        if dropped := writer.collect_dropped():
            event("log_lines_dropped", "WARNING", count=dropped)


def configure(*streams: "SupportsWrite[str]", json: bool, level: str = "INFO") -> None:
    """Send the log to streams, replacing whatever was configured before; this begins a run in the log.

    Args:
        *streams: Where to; each write is one or more whole lines.
        json: One JSON object a line; otherwise readable text.
        level: The least severe level that is written.
    """
    render = JsonLines(run_id=secrets.token_hex(8)) if json else render_text

    def write(message: "Message") -> None:
        text = render(message.record)
        for stream in streams:
            stream.write(text)

    logger.remove()
    logger.add(write, level=level, format="{message}", catch=False)


def subscribe(listener: Callable[[dict[str, Any]], object], level: str = "INFO") -> Callable[[], None]:
    """Hand every log line to a listener as well, until `configure` is called again.

    Args:
        listener: Called with each line as a flat dictionary: ``timestamp``, ``level``, ``event``, fields.
            It must not block, and what it raises reaches whoever writes the line.
        level: The least severe level that it gets.

    Returns:
        What ends the subscription.
    """

    def hand_on(message: "Message") -> None:
        listener(flat(message.record))

    number = logger.add(hand_on, level=level, format="{message}", catch=False)

    def end() -> None:
        with suppress(ValueError):  # `configure` has ended it already
            logger.remove(number)

    return end


def event(name: str, level: str = "INFO", **fields: Any) -> None:
    """Write one log line.

    Args:
        name: The value of ``event``, in snake case.
        level: DEBUG, INFO, WARNING or ERROR.
        **fields: JSON-serialisable; they stand flat beside ``timestamp`` and ``level``. A text of more than
            10,000 characters is cut: keys and errors may come from anywhere.
    """
    logger.bind(**{key: _cut(value) for key, value in fields.items()}).log(level, name)


def _cut(value: Any) -> Any:
    return f"{value[:_LONGEST_TEXT]}…" if isinstance(value, str) and len(value) > _LONGEST_TEXT else value


def debug_enabled() -> bool:
    """Return whether DEBUG lines are written at all, to save building them on the hot path."""
    lowest: int = logger._core.min_level  # type: ignore[attr-defined] # loguru has no public question for it
    return lowest <= 10


class FloodGuard:
    """Lets the first few of each kind through an interval and counts the rest. Pure."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def admit(self, kind: str) -> bool:
        """Count one occurrence and return whether it should be written."""
        if kind not in self._seen and len(self._seen) >= _MOST_FLOODS:
            kind = "other"
        self._seen[kind] += 1
        return self._seen[kind] <= _SHOWN_PER_FLOOD

    def summarise(self) -> dict[str, int]:
        """Return how many of each kind were held back since the last call, and start anew."""
        held_back = {kind: n - _SHOWN_PER_FLOOD for kind, n in self._seen.items() if n > _SHOWN_PER_FLOOD}
        self._seen.clear()
        return held_back


_floods = FloodGuard()


def failure(name: str, kind: str, level: str = "WARNING", **fields: Any) -> None:
    """Write one line about a failure, unless its kind is flooding the log.

    Args:
        name: The value of ``event``.
        kind: What counts as "the same", such as ``READ ReadTimeout``.
        level: How severe it is.
        **fields: As for `event`.
    """
    if _floods.admit(kind):
        event(name, level, **fields)


def summarise_floods() -> None:
    """Write a line for each kind of failure that was held back since the last call, and for lost lines."""
    _report_dropped()
    for kind, count in _floods.summarise().items():
        event("failures_summarised", "WARNING", kind=kind, held_back=count)
