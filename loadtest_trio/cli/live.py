"""The live view on a terminal: the state of the run, its figures with sparklines, and events above them.

It uses the same lines and wording as the dashboard. Rich draws in a separate thread twice a second; the
service only passes the lines on.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from loadtest_trio.metrics import logs
from loadtest_trio.metrics.text_lines import short
from loadtest_trio.web.dashboard.findings import Level, duration
from loadtest_trio.web.dashboard.situation import Watch

Line = Mapping[str, Any]

_REFRESHES_PER_SECOND = 2
_BARS = " ▁▂▃▄▅▆▇█"
_HISTORY = 60  # lines that a sparkline can show
_COLOURS = {Level.GOOD: "green", Level.BUSY: "yellow", Level.BAD: "bold red"}
_SILENT = frozenset({"metrics", "details"})
_MAX_FIELDS = 4  # shown of an event


class LiveView:
    """Shows a run on a terminal.

    Args:
        console: The terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._watch = Watch()
        self._lines: deque[Line] = deque(maxlen=_HISTORY)
        self._ended: Line = {}
        self._where = ""
        self._live = Live(
            console=console,
            get_renderable=self.shown,
            refresh_per_second=_REFRESHES_PER_SECOND,
            transient=True,  # the summary follows, which would repeat its sentence
        )

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Show log lines during the block, and a summary at its end."""
        end = logs.subscribe(self.take)
        try:
            with self._live:
                yield
        finally:
            end()
            self._console.print(self.summary())

    def take(self, line: Line) -> None:
        """Show one log line."""
        self._watch.see(line)
        if line["event"] == "metrics":
            self._lines.append(line)
        if line["event"] == "service_stopped":
            self._ended = line
        if line["event"] == "service_started":
            places = {name: line[name] for name in ("dashboard", "api") if name in line}
            self._where = " · ".join(f"{name} {url}" for name, url in places.items())
        if line["event"] not in _SILENT:
            self._console.print(_event(line), highlight=False, no_wrap=True, overflow="ellipsis")

    def shown(self) -> RenderableType:
        """Return the current view."""
        situation = self._watch.situation
        colour = _COLOURS.get(situation.level, "cyan")
        parts: list[RenderableType] = [Text(f"● {situation.headline}", style=colour)]
        parts += [Text(f"  {reason}", style=colour) for reason in situation.reasons]
        if not situation.reasons and situation.comfort:
            parts.append(Text(f"  {situation.comfort}", style="green"))
        if self._lines:
            parts.append(self._figures())
        if self._where:
            parts.append(Text(self._where, style="dim"))
        return Group(Text(""), *parts)

    def _figures(self) -> Table:
        line, width = self._lines[-1], self._console.width
        grid = Table.grid(padding=(0, 2))
        for _ in range(2 if width < 120 else 3):
            grid.add_column(no_wrap=True)
        cells = [
            self._figure(title, value, course, width) for title, value, course in _figures(line, self._lines)
        ]
        columns = len(grid.columns)
        for begin in range(0, len(cells), columns):
            grid.add_row(*cells[begin : begin + columns])
        return grid

    def _figure(self, title: str, value: str, course: Sequence[float | None], width: int) -> Text:
        text = Text.assemble((f"{title:<10}", "dim"), (f"{value:>12} ", "bold"))
        room = width // (2 if width < 120 else 3) - len(text.plain) - 3
        return text.append(sparkline(course[-room:] if room > 0 else ()), style="blue")

    def summary(self) -> RenderableType:
        """Return the summary of the run, at most one screen; of a run that was cut off, the last view."""
        if not self._ended:
            return self.shown()
        ledger = self._ended.get("ledger") or {}
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(justify="right", no_wrap=True)
        seconds = float(self._ended.get("uptime_seconds") or 0.0)
        grid.add_row("ran for", duration(1000 * seconds))
        for place, count in ledger.items():
            if count or place in ("created", "processed", "lost"):
                grid.add_row(place.replace("_", " "), f"{count:,}")
        grid.add_row("a second", f"{(ledger.get('processed') or 0) / max(seconds, 1e-9):,.1f}")
        grid.add_row("failed attempts", f"{self._ended.get('errors') or 0:,}")
        return Group(Text(self._watch.situation.headline, style="bold"), grid)


def _figures(line: Line, lines: Sequence[Line]) -> Iterator[tuple[str, str, list[float | None]]]:
    def course(name: str) -> list[float | None]:
        return [each.get(name) for each in lines]

    p99 = line.get("end_to_end_p99_ms")
    yield "done", f"{short(line.get('rate_per_second'))}/s", course("rate_per_second")
    yield "p99", "–" if p99 is None else duration(p99), course("end_to_end_p99_ms")
    yield "waiting", short(line.get("queue_length")), course("queue_length")
    oldest = line.get("oldest_seconds")
    yield "oldest", "–" if oldest is None else duration(1000 * oldest), course("oldest_seconds")
    yield "in flight", short(line.get("in_flight")), course("in_flight")
    yield "CPU", f"{line.get('cpu_percent') or 0:.0f} %", course("cpu_percent")
    yield "memory", f"{line.get('memory_mb') or 0:.0f} MB", course("memory_mb")
    yield "errors", short(line.get("errors")), course("errors")
    yield "dead", short(line.get("dead")), course("dead")
    yield "workers", short(line.get("workers")), course("workers")


def sparkline(values: Sequence[float | None]) -> str:
    """Return values as bars of eight heights, from 0 to the largest."""
    most = max((value for value in values if value is not None), default=0.0)
    steps = len(_BARS) - 1
    return "".join(
        _BARS[0] if value is None else _BARS[max(1, round(steps * value / most))] if most else _BARS[1]
        for value in values
    )


def _event(line: Line) -> Text:
    colour = {"WARNING": "yellow", "ERROR": "bold red"}.get(str(line["level"]), "")
    plain = {name: value for name, value in line.items() if isinstance(value, str | int | float)}
    told = [f"{name}={value}" for name, value in plain.items() if name not in ("timestamp", "level", "event")]
    when = str(line["timestamp"])[11:19]
    words = str(line["event"]).replace("_", " ")
    return Text.assemble((f"{when} ", "dim"), (words, colour or "bold"), " ", " ".join(told[:_MAX_FIELDS]))
