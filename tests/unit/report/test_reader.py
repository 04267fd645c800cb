"""The reader finds the service's lines in anything, and counts what is damaged."""

import errno
import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loadtest_trio.report.reader import UnreadableRunError, read

Write = Callable[..., Path]


def test_plain_lines_are_all_read(write: Write, make: Any) -> None:
    """Every line of a healthy file is read, by time, and nothing is counted as bad."""
    reading = read([write(make.run_lines([5, 6]))])
    assert [line["event"] for line in reading.lines] == [
        "service_started",
        *["metrics"] * 3,
        "service_stopped",
    ]
    assert (reading.files, reading.damaged, reading.foreign, reading.duplicates) == (1, 0, 0, 0)
    assert reading.lines[0]["_at"] == make.start


def test_a_folder_is_read_with_its_subfolders(write: Write, make: Any, tmp_path: Path) -> None:
    """A folder is read with its sub-folders; ``.gz`` is decompressed; other files are left alone."""
    lines = make.run_lines([5, 6])
    write(gzip.compress(make.encode(lines[:3])), "logs/a.jsonl.gz")
    write(lines[3:], "logs/deep/b.log")
    write(b"\x89PNG", "logs/picture.png")
    reading = read([tmp_path / "logs"])
    assert (len(reading.lines), reading.files, reading.foreign) == (5, 2, 0)


def test_a_truncated_gzip_file_is_read_up_to_the_cut(write: Write, make: Any) -> None:
    """A gzip file cut short gives the lines before the cut and one sentence about the file."""
    whole = gzip.compress(make.encode(make.run_lines(list(range(200)))))
    reading = read([write(whole[: len(whole) // 2], "cut.jsonl.gz")])
    assert 0 < len(reading.lines) < 202
    assert reading.faults[0].startswith("cut.jsonl.gz: cut short or damaged")


def test_partial_lines_are_damaged_and_other_lines_foreign(write: Write, make: Any) -> None:
    """A line cut in half is damaged, a line of somebody else foreign, an empty one nothing."""
    encoded = make.encode(make.run_lines([5]))
    reading = read([write(encoded[:-100] + b"\n\nStarting container\n" + b'{"other": "json"}\n')])
    assert (reading.damaged, reading.foreign, len(reading.lines)) == (1, 2, 3)


def test_a_prefix_before_lines_is_ignored(write: Write, make: Any) -> None:
    """``aws logs tail`` puts time and stream before each line."""
    lines = make.encode(make.run_lines([5])).splitlines()
    reading = read([write(b"\n".join(b"2025-01-01T00:00:00 main/main/1 " + line for line in lines))])
    assert len(reading.lines) == 4


@pytest.mark.parametrize("indent", [None, 2])
def test_cloudwatch_events_are_unwrapped(write: Write, make: Any, indent: int | None) -> None:
    """``filter-log-events`` wraps each line as text in ``message``, on one line of output or on many."""
    lines = make.encode(make.run_lines([5])).decode().splitlines()
    answer = {"events": [{"timestamp": 1, "message": line} for line in lines], "searchedLogStreams": []}
    reading = read([write(json.dumps(answer, indent=indent).encode())])
    assert (len(reading.lines), reading.damaged) == (4, 0)


def test_lines_collected_twice_count_once(write: Write, make: Any) -> None:
    """Lines that were collected twice count once."""
    first, second = write(make.run_lines([5]), "a.jsonl"), write(make.run_lines([5]), "b.jsonl")
    reading = read([first, second])
    assert (len(reading.lines), reading.duplicates) == (4, 4)


def test_no_lines_are_one_clear_error(write: Write, tmp_path: Path) -> None:
    """No file, or no line of the service, is one clear error."""
    with pytest.raises(UnreadableRunError, match="does not exist"):
        read([tmp_path / "missing"])
    with pytest.raises(UnreadableRunError, match=r"no log lines found \(.*: no log line of the service\)"):
        read([write(b"hello\nworld\n")])


@pytest.mark.parametrize("odd", [r'"\ud800"', "NaN", "Infinity", "1e999", "9" * 400, "9" * 5000])
def test_values_that_no_json_has_become_null_or_text(write: Write, make: Any, odd: str) -> None:
    """Behind a prefix, other parsers accept what ours refuses: half a character, NaN, numbers without end."""
    lines = make.encode(make.run_lines([5, 6])).decode().splitlines()
    lines[2] = lines[2].replace('"queue_length":7', f'"queue_length":{odd}')
    reading = read([write("".join(f"main/1 {line}\n" for line in lines).encode())])
    found = {json.dumps(line.get("queue_length")) for line in reading.lines}
    assert found <= {"null", "7", '"?"'}
    assert len(reading.lines) + reading.damaged == 5


@pytest.mark.parametrize("number", [2**53 + 1, 2**64 - 1, -(2**63)])
def test_large_integers_are_the_same_behind_a_prefix(write: Write, make: Any, number: int) -> None:
    """Otherwise a line that was collected twice, with and without the prefix, counts twice."""
    line = make.encode([make.run_lines([5])[0] | {"large": number}]).decode().strip()
    reading = read([write(f"{line}\nmain/1 {line}\n".encode())])
    assert [each["large"] for each in reading.lines] == [number]


def test_line_nested_beyond_measure_is_damaged(write: Write, make: Any) -> None:
    """Such a line is counted, and the others are read."""
    lines = make.encode(make.run_lines([5, 6])).decode().splitlines()
    lines[2] = lines[2].replace('"queue_length":7', f'"queue_length":{"[" * 300}{"]" * 300}')
    reading = read([write("\n".join(lines).encode())])
    assert (len(reading.lines), reading.damaged) == (4, 1)


def test_folder_that_cannot_be_listed_is_named(
    write: Write, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is passed over in silence."""
    write(make.run_lines([5]), "logs/a.jsonl")
    locked = write(make.run_lines([6]), "logs/locked/b.jsonl").parent
    scan = os.scandir

    def scandir(path: str) -> Any:
        if str(path) == str(locked):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    reading = read([tmp_path / "logs"])
    assert (reading.files, reading.skipped) == (1, [f"{locked}: Permission denied"])


def test_folder_that_cannot_be_entered_is_named(
    write: Write, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its names are there, but not its files; the others are read."""
    write(make.run_lines([5]), "logs/a.jsonl")
    locked = write(make.run_lines([6]), "logs/locked/b.jsonl")
    is_file = Path.is_file

    def entered(path: Path) -> bool:
        if path == locked:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", entered)
    reading = read([tmp_path / "logs"])
    assert (reading.files, reading.skipped) == (1, [f"{locked}: Permission denied"])
