"""Reads log lines from files and folders; what is damaged, repeated or skipped is counted and named.

Nothing here raises because of what a file contains.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import attrs
import orjson

from loadtest_trio.errors import LoadtestError
from loadtest_trio.report.details import LogLine, join_details
from loadtest_trio.report.files import DAMAGE, NotALogFileError, lines_of
from loadtest_trio.report.shapes import well_formed
from loadtest_trio.report.wrappings import LineFinder

_NAMED_AT_MOST = 5
_LONGEST_DOCUMENT_BYTES = 2**28


class UnreadableRunError(LoadtestError):
    """There is nothing to report on: no such file, or no line of this service in it."""


@attrs.define
class Reading:
    """What was found.

    Attributes:
        lines: The service's lines by time, each with ``_at`` (Unix seconds), ``_source`` (number of the file)
            and ``_order`` (in its file).
        files: How many files with lines of the service were read.
        damaged: Lines that look like the service's and cannot be read, in any file.
        foreign: Other lines of these files that are not empty.
        duplicates: Lines that were there before.
        skipped: Files without a line of the service, each with the reason.
        faults: What was wrong with files that have some, one sentence each.
    """

    lines: list[LogLine] = attrs.field(factory=list)
    files: int = 0
    damaged: int = 0
    foreign: int = 0
    duplicates: int = 0
    skipped: list[str] = attrs.field(factory=list)
    faults: list[str] = attrs.field(factory=list)


def read(paths: Iterable[Path]) -> Reading:
    """Read every log line in the given files and folders.

    Args:
        paths: Files, and folders with all files under them. Names do not matter (see `lines_of`).

    Returns:
        The lines by time, and what else was there.

    Raises:
        UnreadableRunError: A path does not exist, or no line was found at all.
    """
    reading, seen = Reading(), set[int]()
    found = _files(paths, reading.skipped)
    files = [_File(path, name, number) for number, (path, name) in enumerate(found)]
    for file in files:
        _read_file(file, reading, seen)
    for file in files:
        _join_across(file, files, reading, seen)
    for file in files:
        _finish(file, reading, seen)
        _sum_up(file, reading)
    if not reading.lines:
        named = "; ".join(reading.skipped[:_NAMED_AT_MOST]) or "no file"
        raise UnreadableRunError(f"no log lines found ({named}): give logs written with LOG_FORMAT=json")
    whole = join_details(reading.lines)
    reading.lines = [line for line in whole if well_formed(line)]
    reading.damaged += len(whole) - len(reading.lines)
    reading.lines.sort(key=lambda line: line["_at"])  # stable: lines of one millisecond keep their order
    return reading


def _files(paths: Iterable[Path], skipped: list[str]) -> Iterator[tuple[Path, str]]:
    """Yield each file with its name for people: in a folder, exports have files of equal names.

    Folders that cannot be listed are added to `skipped`.
    """
    for path in paths:
        if path.is_dir():
            walk = os.walk(path, onerror=lambda error: skipped.append(f"{error.filename}: {error.strerror}"))
            inside = (Path(folder, name) for folder, _, names in walk for name in names)
            found = sorted(file for file in inside if _is_file(file, skipped))
            yield from ((file, str(file.relative_to(path))) for file in found)
        elif path.exists():
            yield path, path.name
        else:
            raise UnreadableRunError(f"{path} does not exist")


def _is_file(path: Path, skipped: list[str]) -> bool:
    try:
        return path.is_file()
    except OSError as error:  # a folder that may be listed and not entered
        skipped.append(f"{path}: {error.strerror}")
        return False


@attrs.define
class _File:
    path: Path
    name: str
    number: int
    finder: LineFinder = attrs.field(factory=LineFinder)
    count: int = 0
    fault: str = ""


def _read_file(file: _File, reading: Reading, seen: set[int]) -> None:
    try:
        for line in _found(file.path, file.finder):
            file.count += 1
            _add(line, file, reading, seen)
    except NotALogFileError as error:
        file.fault = str(error)
    except DAMAGE as error:
        file.fault = f"cut short or damaged ({error})"


def _join_across(file: _File, files: Sequence[_File], reading: Reading, seen: set[int]) -> None:
    """Find the rest of lines that were split at the end of a file, where it was rotated, in another file."""
    if file.finder.is_unfinished:
        for line in file.finder.find_across([other.finder for other in files if other is not file]):
            file.count += 1
            _add(line, file, reading, seen)


def _finish(file: _File, reading: Reading, seen: set[int]) -> None:
    """Find the lines that were waiting for a rest in vain."""
    for line in file.finder.finish():
        file.count += 1
        _add(line, file, reading, seen)


def _sum_up(file: _File, reading: Reading) -> None:
    """Add what was wrong with a file, and where its lines are missing."""
    reading.damaged += file.finder.damaged
    if file.finder.withheld:
        advice = "long messages are missing: use journalctl --all --output=json"
        file.fault = "; ".join(filter(None, (file.fault, f"{file.finder.withheld} {advice}")))
    if file.count:
        reading.files += 1
        reading.foreign += file.finder.foreign
        reading.faults += [f"{file.name}: {file.fault}"] if file.fault else []
    else:
        reading.skipped.append(f"{file.name}: {file.fault or 'no log line of the service'}")


def _found(path: Path, finder: LineFinder) -> Iterator[LogLine]:
    """Yield the service's lines in a file; a JSON document on many lines is read as a whole."""
    lines = lines_of(path)
    first = next((line for line in lines if line.strip()), b"")
    rest: Iterable[bytes] = lines
    if first.lstrip()[:1] in (b"{", b"[") and first.rstrip()[-1:] in (b"{", b"[", b","):
        head, complete = _head_of(lines)
        document = b"\n".join([first, *head])
        found = finder.find_in_document(document) if complete else None
        if found is not None:
            yield from found
            return
        rest = chain(head, lines)
    for raw in chain([first], rest):
        yield from finder.find(raw)


def _head_of(lines: Iterator[bytes]) -> tuple[list[bytes], bool]:
    """Return lines up to the length of the longest document, and whether these are all."""
    head, size = [], 0
    for line in lines:
        head.append(line)
        size += len(line)
        if size > _LONGEST_DOCUMENT_BYTES:
            return head, False
    return head, True


def _add(line: LogLine, file: _File, reading: Reading, seen: set[int]) -> None:
    try:
        fingerprint = hash(orjson.dumps(line, option=orjson.OPT_SORT_KEYS))
    except orjson.JSONEncodeError:  # nested more deeply than a line of the service ever is
        reading.damaged += 1
        return
    if fingerprint in seen:
        reading.duplicates += 1
    else:
        seen.add(fingerprint)
        reading.lines.append(line | {"_source": file.number, "_order": file.count})
