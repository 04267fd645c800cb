"""The log: flat JSON lines on stdout, or one readable line each on a terminal.

Everything is said by `event(name, …)`. A flood of the same error is written a few times an interval
and then only counted; `summarise_floods` says how many were held back, so nothing is dropped silently.
"""

import secrets
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

from loguru import logger

from loadtest_trio.metrics.log_lines import JsonLines, flat, render_text

if TYPE_CHECKING:
    from loguru import Message

_SHOWN_PER_FLOOD = 5
_MOST_FLOODS = 1000
_LONGEST_TEXT = 10_000


def configure(
    *,
    json: bool,
    level: str = "INFO",
    stream: TextIO | None = None,
    on_broken: Callable[[], object] | None = None,
) -> None:
    """Send the log to a stream, replacing whatever was configured before; this begins a run in the log.

    Args:
        json: One JSON object a line; otherwise readable text.
        level: The least severe level that is written.
        stream: Where to; stdout when None.
        on_broken: Called once when the stream takes nothing more; lines then vanish. None: it raises.
    """
    render = JsonLines(run_id=secrets.token_hex(8)) if json else render_text
    target = stream or sys.stdout

    broken = False

    def write(message: "Message") -> None:
        nonlocal broken
        try:
            if not broken:
                target.write(render(message.record))
                target.flush()
        except OSError:
            if on_broken is None:
                raise
            broken = True
            on_broken()

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
    """Write one line for each kind of failure that was held back since the last call."""
    for kind, count in _floods.summarise().items():
        event("failures_summarised", "WARNING", kind=kind, held_back=count)
