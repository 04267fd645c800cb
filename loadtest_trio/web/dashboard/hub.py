"""Hub: hands every log line to every open dashboard, and forgets nobody's history.

Invariants:
- `publish` never waits: a viewer has a bounded queue, and one that does not keep up is dropped. Its browser
  connects again by itself and says which line it saw last (``Last-Event-ID``), so it misses nothing.
- A line is encoded once, however many watch; while nobody watches it is only kept.
- A number names a line within one life of the process; `boot` keeps the lives apart.

Protocol: WHATWG HTML, "Server-sent events". Three events: ``history`` (once, on connecting), ``line`` and
``situation``.
"""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import attrs
import orjson
import trio

from loadtest_trio.metrics import logs
from loadtest_trio.metrics.log_lines import encode
from loadtest_trio.web.dashboard.history import Entry, History
from loadtest_trio.web.dashboard.situation import Watch

_MOST_VIEWERS = 100
_QUEUE = 64  # events a viewer may be behind
_KEEPALIVE_SECONDS = 15.0  # a comment, so that proxies keep the connection and a dead viewer is noticed
_MAX_DIGITS = 18  # of an event's number
_UNSEEN = frozenset({"histograms", "_aws", "service", "role"})  # large, and nothing that the page shows


class Viewer:
    """One open dashboard: an iterator over the bytes of its event stream, which ends when it is dropped."""

    def __init__(self, first: bytes) -> None:
        self._send, self._receive = trio.open_memory_channel[bytes](_QUEUE)
        self._send.send_nowait(first)

    def offer(self, chunk: bytes) -> bool:
        """Queue a chunk; False when the viewer does not keep up."""
        try:
            self._send.send_nowait(chunk)
        except (trio.WouldBlock, trio.BrokenResourceError):
            return False
        return True

    def end(self) -> None:
        """Let the stream end after what is queued."""
        self._send.close()

    def __aiter__(self) -> "Viewer":
        return self

    async def __anext__(self) -> bytes:
        """Return the next chunk, or a comment when nothing happens for a while."""
        with trio.move_on_after(_KEEPALIVE_SECONDS):
            try:
                return await self._receive.receive()
            except trio.EndOfChannel:
                raise StopAsyncIteration from None
        return b":\n\n"


class Hub:
    """Keeps the run's history and its viewers.

    Args:
        history: Where lines are kept.
        replayed: Whether the lines come out of a file instead of a running service.
    """

    def __init__(self, history: History | None = None, *, replayed: bool = False) -> None:
        self._history = history or History()
        self._replayed = replayed
        self._boot = secrets.token_hex(4)
        self._number = 0
        self._watch = Watch()
        self._situation = orjson.dumps(attrs.asdict(self._watch.situation))
        self._viewers: set[Viewer] = set()
        self._closed = False

    @property
    def viewers(self) -> int:
        """How many dashboards are open."""
        return len(self._viewers)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Publish every log line meanwhile, also those of other threads; every stream ends with it."""
        token = trio.lowlevel.current_trio_token()

        def hear(line: dict[str, Any]) -> None:
            if trio.lowlevel.in_trio_run():
                self.publish(line)
            else:
                with suppress(trio.RunFinishedError):
                    token.run_sync_soon(self.publish, line)

        end = logs.subscribe(hear)
        try:
            yield
        finally:
            end()
            self.close()

    def publish(self, line: Mapping[str, Any]) -> None:
        """Keep a log line and hand it to everybody who watches."""
        self._number += 1
        shown = {name: value for name, value in line.items() if name not in _UNSEEN}
        entry = Entry(self._number, encode(shown).decode())
        self._history.add(str(line.get("event")), entry)
        situation = orjson.dumps(attrs.asdict(self._watch.see(line)))
        changed, self._situation = situation != self._situation, situation
        if not self._viewers:
            return
        chunk = _message("line", entry.text, self._id())
        if changed:
            chunk += _message("situation", situation.decode())
        for viewer in [each for each in self._viewers if not each.offer(chunk)]:
            self.leave(viewer)

    def join(self, last_id: str | None) -> Viewer | None:
        """Begin a stream.

        Args:
            last_id: The id of the last event that this viewer has seen, or None.

        Returns:
            The viewer, or None when too many watch already, or nobody may any more.
        """
        if self._closed or len(self._viewers) >= _MOST_VIEWERS:
            return None
        seen = self._seen(last_id)
        viewer = Viewer(_message("history", self._told(seen), self._id()))
        self._viewers.add(viewer)
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """End a stream."""
        self._viewers.discard(viewer)
        viewer.end()

    def close(self) -> None:
        """End every stream and begin none any more."""
        self._closed = True
        for viewer in [*self._viewers]:
            self.leave(viewer)

    def _told(self, seen: int) -> str:
        lines = ",".join(entry.text for entry in self._history.after(seen))
        head = orjson.dumps({"fresh": not seen, "replayed": self._replayed}).decode()[:-1]
        return f'{head},"situation":{self._situation.decode()},"lines":[{lines}]}}'

    def _seen(self, last_id: str | None) -> int:
        """Return the number of the last line that a viewer has seen; 0 for an id that was never given out."""
        boot, _, digits = (last_id or "").partition("-")
        if boot != self._boot or not digits.isascii() or not digits.isdecimal() or len(digits) > _MAX_DIGITS:
            return 0
        number = int(digits)
        return number if number <= self._number else 0

    def _id(self) -> str:
        return f"{self._boot}-{self._number}"


def _message(event: str, data: str, event_id: str = "") -> bytes:
    """Return one server-sent event; JSON holds no line break, so one line of data is enough."""
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {event}\ndata: {data}\n\n".encode()
