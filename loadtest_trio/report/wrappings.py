r"""Finds log lines of the service in whatever a log pipeline made of them.

    docker json-file  {"log": "{\"timestamp\": …}\n", "stream": "stdout", "time": …}
    CRI               2026-01-01T00:00:00.0Z stdout F {"timestamp": …}
    journald          {"MESSAGE": "{\"timestamp\": …}", "_PID": …}
    FireLens          {"log": "{\"timestamp\": …}", "container_id": …}
    CloudWatch        {"events": [{"message": "{\"timestamp\": …}"}]}, also printed on many lines
    Insights          …,"{""timestamp"": …}"        as CSV
    a prefix          main/main/1 {"timestamp": …}

None of them is looked for by name. A line of the service is a JSON object with a text ``event`` and a
``timestamp``; it may stand anywhere inside another JSON value, as an object or as a text, and behind any
prefix. Docker and CRI split long lines; the beginning of a line is kept until its rest has come.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from loadtest_trio.report import json_in_text
from loadtest_trio.report.details import LogLine
from loadtest_trio.report.json_in_text import line_in, parsed

_CRI = re.compile(r"\d{4}-\d\d-\d\dT\S+ (stdout|stderr) ([FP])\S*(?: (.*))?", re.DOTALL)
_SIGNS = ('"event"', r"\"event\"", '""event""')
_STREAM_FIELDS = ("stream", "source", "container_id", "partial_id", "_PID", "logStreamName")
_SHORTEST_FRAGMENT = 4000  # characters; nothing splits shorter lines: what is cut before was cut by a crash
_LONGEST_JOINED = 4_000_000
_LONGEST_HEAD = 20  # lines
_DEEPEST = 20

_Key = tuple[object, ...]


class LineFinder:
    """Takes the lines of one file and finds the service's lines in them.

    Attributes:
        damaged: Lines that look like the service's and cannot be read.
        foreign: Other lines that are not empty.
        withheld: Messages that journald has and `journalctl` did not print, because they are long.
    """

    def __init__(self) -> None:
        self.damaged = 0
        self.foreign = 0
        self.withheld = 0
        # Lines before the first of the service's, perhaps the rest of one that begins in another file, and
        # whether each is among `damaged` or `foreign`.
        self._head: list[tuple[bytes, bool]] = []
        self._has_found = False
        self._begun: dict[_Key, _Begun] = {}
        self._parts: dict[str, str] = {}  # of CRI's streams
        self._accounted = False  # something of the present line was kept for later, or is counted as damaged

    def find(self, raw: bytes) -> list[LogLine]:
        """Return the service's lines in one line of a file."""
        if not raw.strip():
            return []
        line = line_in(parsed(raw))
        if line is not None and not self._begun:
            self._has_found = True
            return [line]
        text = raw.decode(errors="replace")
        self._accounted = False
        found = list(self._in_line(text))
        if not found and not self._accounted:
            self._count(text, 1)
        self._has_found |= bool(found)
        if not self._has_found and len(self._head) < _LONGEST_HEAD:
            self._head.append((raw, not self._accounted))
        return found

    @property
    def is_unfinished(self) -> bool:
        """Whether a line has begun whose rest is missing."""
        return bool(self._begun or self._parts)

    def find_across(self, others: "Sequence[LineFinder]") -> list[LogLine]:
        """Return the lines that begin at the end of this file and whose rest is at the head of another.

        Where several files begin with that rest they are copies, and it counts for none of them.
        """
        begun, parts, found = dict(self._begun), dict(self._parts), list[LogLine]()
        for other in others:
            trial = LineFinder()
            trial._begun, trial._parts = dict(begun), dict(parts)
            lines = trial._find_at_head(other)
            if lines:
                found += [line for line in lines if line not in found]
                self._begun = {key: rest for key, rest in self._begun.items() if key in trial._begun}
                self._parts = {key: rest for key, rest in self._parts.items() if key in trial._parts}
        return found

    def _find_at_head(self, other: "LineFinder") -> list[LogLine]:
        """Return the lines whose rest is at the head of another file, where it no longer counts."""
        for number, (raw, _) in enumerate(other._head, 1):
            found = self.find(raw)
            if found:
                for place, (rest, is_counted) in enumerate(other._head[:number]):
                    other._count(rest.decode(errors="replace"), -is_counted)
                    other._head[place] = (rest, False)
                return found
        return []

    def _count(self, text: str, change: int) -> None:
        looks_ours = any(sign in text for sign in _SIGNS)
        self.damaged += change * looks_ours
        self.foreign += change * (not looks_ours)

    def find_in_document(self, document: bytes) -> list[LogLine] | None:
        """Return the service's lines in JSON values that stand on many lines; None where it is no JSON."""
        values = json_in_text.values_in(document.decode(errors="replace"))
        return None if values is None else [line for value in values for line in self._in_value(value)]

    def finish(self) -> list[LogLine]:
        """Return lines that were marked as parts although they are whole; count the others without a rest.

        A runtime marks a last line so if the process ended before its line break.
        """
        parts, self._parts = self._parts, {}
        found = list[LogLine]()
        for stream, text in parts.items():
            self._accounted = False
            lines = list(self._in_text(text, ("cri", stream)))
            if not lines and not self._accounted:
                self._count(text, 1)
            found += lines
        self.damaged += len(self._begun)
        self._begun.clear()
        return found

    def _in_line(self, text: str) -> Iterator[LogLine]:
        cri = _CRI.fullmatch(text)
        if not cri:
            yield from self._in_text(text, ("plain",))
            return
        stream, tag, rest = cri[1], cri[2], cri[3] or ""
        whole = self._parts.pop(stream, "") + rest
        if tag == "F":
            yield from self._in_text(whole, ("cri", stream))
        elif len(whole) <= _LONGEST_JOINED:
            self._parts[stream] = whole
            self._accounted = True

    def _in_text(self, text: str, key: _Key) -> Iterator[LogLine]:
        text = text.rstrip("\r\n")
        begun = self._begun.pop(key, None)
        if begun and not json_in_text.stands_alone(text):
            text = begun.joined(text)
        elif begun:
            self._count_damaged(1)
        objects, broken, unfinished = json_in_text.objects_in(text)
        for value in objects:
            yield from self._in_value(value)
        if unfinished is not None and _SHORTEST_FRAGMENT < len(text) - unfinished < _LONGEST_JOINED:
            self._begun[key] = _Begun(text[:unfinished] if not objects else "", text[unfinished:])
            self._accounted = True
        elif not objects:
            for inner in json_in_text.texts_in(text):
                yield from self._in_text(inner, (*key, "inner"))
        self._count_damaged(broken)

    def _count_damaged(self, count: int) -> None:
        self.damaged += count
        self._accounted |= count > 0

    def _in_value(self, value: Any, depth: int = 0) -> Iterator[LogLine]:
        line = line_in(value)
        if line is not None:
            yield line
        elif depth > _DEEPEST:
            return
        elif isinstance(value, dict):
            self.withheld += "__CURSOR" in value and value.get("MESSAGE", "") is None
            stream = tuple(str(value[name]) for name in _STREAM_FIELDS if name in value)
            for name, each in value.items():
                yield from self._in_member(each, ("json", name, *stream), depth)
        elif isinstance(value, list):
            for each in value:
                yield from self._in_member(each, ("json",), depth)

    def _in_member(self, value: Any, key: _Key, depth: int) -> Iterator[LogLine]:
        text = json_in_text.as_text(value)
        if text is None:
            yield from self._in_value(value, depth + 1)
        elif "event" in text or key in self._begun or (self._begun and text.startswith("{")):
            yield from self._in_text(text, key)


@attrs.frozen
class _Begun:
    """The beginning of a line that was split, and what stood before it."""

    prefix: str
    text: str

    def joined(self, text: str) -> str:
        """Return the line with its next part, of whose prefix only the first part's is kept."""
        length = len(self.prefix)
        if not length or text[length - 1 : length] == self.prefix[-1:]:
            rest = text[length:]
        else:
            rest = text.split(None, len(self.prefix.split()))[-1]
        return self.prefix + self.text + rest
