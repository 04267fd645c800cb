"""The run so far, in bounded memory: recent lines whole, older ones ever thinner. Pure."""

from collections import deque
from collections.abc import Iterable

import attrs

SAMPLES = 720
"""Lines of one series that are kept: two hours of metrics lines, and a thinner past before them."""

EVENTS = 400
"""Other lines that are kept, the latest."""

_SERIES = frozenset({"metrics", "users", "users_routes"})
_LASTING = frozenset({"service_started", "tune_started", "users_started", "precondition_met"})


@attrs.frozen
class Entry:
    """One line as viewers get it.

    Attributes:
        number: Counts the lines of this process, from 1.
        text: The line as JSON.
    """

    number: int
    text: str


class History:
    """What a viewer is told on opening the page.

    Lines that come at intervals are thinned once there are too many: every second one of the older half
    goes, so a day's past stays visible, and the memory bounded. Of the others the latest are kept, and the
    few that say what kind of run this is.

    Args:
        samples: How many lines of one series are kept.
        events: How many other lines are kept.
    """

    def __init__(self, samples: int = SAMPLES, events: int = EVENTS) -> None:
        self._most = samples
        self._series: dict[str, list[Entry]] = {}
        self._lasting: dict[str, Entry] = {}
        self._events: deque[Entry] = deque(maxlen=events)

    def add(self, event: str, entry: Entry) -> None:
        """Keep a line.

        Args:
            event: The line's ``event``.
            entry: The line; its number is larger than all before it.
        """
        if event in _LASTING:
            self._lasting[event] = entry
        elif event in _SERIES:
            kept = self._series.setdefault(event, [])
            kept.append(entry)
            if len(kept) > self._most:
                half = (len(kept) + 1) // 2
                kept[:half] = kept[:half:2]
        else:
            self._events.append(entry)

    def after(self, number: int = 0) -> list[Entry]:
        """Return what is kept of the lines after number `number`, in order."""
        everything: list[Iterable[Entry]] = [self._lasting.values(), self._events, *self._series.values()]
        found = [entry for entries in everything for entry in entries if entry.number > number]
        return sorted(found, key=lambda entry: entry.number)
