"""Log lines from wherever they ended up: files, folders, gzip, CloudWatch's wrappings; damage is counted.

Only lines of this service count: a JSON object with a text ``event`` and ``timestamp``. They are looked
for in anything that carries them: plain lines, lines behind a prefix (``aws logs tail``, exports to S3),
and events with the line as text in ``message`` (``filter-log-events``, Insights). Nothing here raises
because of what a file contains.
"""

import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO

import attrs
import orjson

from loadtest_trio.errors import LoadtestError
from loadtest_trio.report.details import LogLine, join_details
from loadtest_trio.report.shapes import well_formed

SUFFIXES = (".jsonl", ".json", ".log", ".txt")
_WRAPPED = re.compile(rb'"@?message"\s*:\s*("(?:[^"\\]|\\.)*")')


class UnreadableRunError(LoadtestError):
    """There is nothing to report on: no such file, or no line of this service in it."""


@attrs.define
class Reading:
    """What was found.

    Attributes:
        lines: The service's lines by time, each with ``_at`` (Unix seconds).
        files: How many files were read.
        damaged: Lines that look like the service's and cannot be read.
        foreign: Other lines that are not empty.
        duplicates: Lines that were there before, byte by byte.
        faults: What was wrong with whole files, one sentence each.
    """

    lines: list[LogLine] = attrs.field(factory=list)
    files: int = 0
    damaged: int = 0
    foreign: int = 0
    duplicates: int = 0
    faults: list[str] = attrs.field(factory=list)


def read(paths: Iterable[Path]) -> Reading:
    """Read every log line under the given files and folders.

    Args:
        paths: Files (by content, ``.gz`` decompressed), and folders, whose ``.jsonl``, ``.json``,
            ``.log`` and ``.txt`` files (also with ``.gz``) are read.

    Returns:
        The lines by time, and what else was there.

    Raises:
        UnreadableRunError: A path does not exist, or no line was found at all.
    """
    reading, seen = Reading(), set[int]()
    for path in _files(paths):
        reading.files += 1
        for raw in _raw_lines(path, reading):
            _take(raw, reading, seen)
    whole = join_details(reading.lines)
    reading.lines = [line for line in whole if well_formed(line)]
    reading.damaged += len(whole) - len(reading.lines)
    if not reading.lines:
        raise UnreadableRunError(
            f"no log line of the service in {reading.files} files ({reading.foreign} other lines, "
            f"{reading.damaged} damaged): give files of JSON lines, as LOG_FORMAT=json writes them"
        )
    reading.lines.sort(key=lambda line: line["_at"])  # stable: lines of one millisecond keep their order
    return reading


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            found = (file for file in sorted(path.rglob("*")) if file.is_file())
            yield from (file for file in found if file.name.removesuffix(".gz").endswith(SUFFIXES))
        elif path.exists():
            yield path
        else:
            raise UnreadableRunError(f"{path} does not exist")


def _raw_lines(path: Path, reading: Reading) -> Iterator[bytes]:
    try:
        with _open(path) as file:
            for raw in file:
                yield raw.strip()
    except (OSError, EOFError, zlib.error) as error:  # gzip.BadGzipFile is an OSError
        reading.faults.append(f"{path.name}: cut short or damaged ({error})")


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if compressed else path.open("rb")  # type: ignore[return-value] # GzipFile is one


def _take(raw: bytes, reading: Reading, seen: set[int]) -> None:
    if not raw:
        return
    found = [(candidate, _parse(candidate)) for candidate in _candidates(raw)]
    if not any(line for _, line in found):
        ours = b'"event"' in raw or b'\\"event\\"' in raw
        reading.damaged += ours
        reading.foreign += not ours
    for candidate, line in found:
        fingerprint = hash(candidate)
        if line is None:
            continue
        if fingerprint in seen:
            reading.duplicates += 1
        else:
            seen.add(fingerprint)
            reading.lines.append(line | {"_source": reading.files, "_order": len(reading.lines)})


def _candidates(raw: bytes) -> Iterator[bytes]:
    """Yield what may be the JSON text of one line of the service."""
    wrapped = _WRAPPED.findall(raw)
    for text in wrapped:
        try:
            yield orjson.loads(text).encode()
        except ValueError:
            continue
    start = raw.find(b"{")
    if not wrapped and start >= 0:
        yield raw[start:]


def _parse(text: bytes) -> LogLine | None:
    try:
        line = orjson.loads(text)
        if not isinstance(line, dict) or not isinstance(line["event"], str):
            return None
        return line | {"_at": datetime.fromisoformat(line["timestamp"]).timestamp()}
    except (ValueError, KeyError, TypeError):
        return None
