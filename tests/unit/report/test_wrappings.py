"""Log lines are found in what log pipelines make of them: by content, whole again, and nothing in silence."""

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadtest_trio.report import write_report
from loadtest_trio.report.reader import Reading, UnreadableRunError, read
from loadtest_trio.report.wrappings import LineFinder

Write = Callable[..., Path]
SPLIT_AT = 16_384
STAMP = "2026-01-01T00:00:00.123456789Z"


def dump(value: Any, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=False, **options)


def docker(line: str) -> list[str]:
    """Docker's json-file driver: pieces of 16 KiB, the last of which ends with the line break."""
    text = line + "\n"
    pieces = [text[at : at + SPLIT_AT] for at in range(0, len(text), SPLIT_AT)]
    return [dump({"log": piece, "stream": "stdout", "time": STAMP}) for piece in pieces]


def cri(line: str) -> list[str]:
    """Containerd and CRI-O: P marks a part, F the last one."""
    pieces = [line[at : at + SPLIT_AT] for at in range(0, len(line), SPLIT_AT)]
    return [f"{STAMP} stdout {'F' if n == len(pieces) else 'P'} {piece}" for n, piece in enumerate(pieces, 1)]


def journald(line: str) -> list[str]:
    """`journalctl -o json`."""
    return [dump({"__CURSOR": "s=1", "PRIORITY": "6", "_PID": "17", "MESSAGE": line})]


def journald_bytes(line: str) -> list[str]:
    """The same for a message that journald holds to be no text."""
    return [dump({"__CURSOR": "s=1", "_PID": "17", "MESSAGE": list(line.encode())})]


def firelens(line: str) -> list[str]:
    """Fluent Bit on ECS: Docker's pieces, with the number of each."""
    pieces = [line[at : at + SPLIT_AT] for at in range(0, len(line), SPLIT_AT)]
    about = {"container_id": "abc", "container_name": "/main", "source": "stdout"}
    if len(pieces) == 1:
        return [dump(about | {"log": line})]
    return [
        dump(about | {"log": piece, "partial_message": "true", "partial_id": str(hash(line)),
                      "partial_ordinal": str(n), "partial_last": str(n == len(pieces)).lower()})
        for n, piece in enumerate(pieces, 1)
    ]  # fmt: skip


def firelens_parsed(line: str) -> list[str]:
    """Fluent Bit with a JSON parser: our fields lie inside its record."""
    return [dump({"date": 1.5, "container_id": "abc", "data": json.loads(line)})]


def loki(line: str) -> list[str]:
    """`logcli -o jsonl`."""
    return [dump({"labels": {"app": "loadtest"}, "line": line, "timestamp": STAMP})]


def kubectl(line: str) -> list[str]:
    """`kubectl logs --prefix --timestamps`."""
    return [f"[pod/loadtest-0/main] {STAMP} {line}"]


def compose(line: str) -> list[str]:
    """`docker compose logs` on a terminal."""
    return [f"\x1b[36mmain-1  | \x1b[0m{line}"]


def cloudwatch_export(line: str) -> list[str]:
    """An export to S3, and old log drivers, which split at 16 KiB."""
    pieces = [line[at : at + SPLIT_AT] for at in range(0, len(line), SPLIT_AT)]
    return [f"2026-01-01T00:00:00.{n:03}Z {piece}" for n, piece in enumerate(pieces)]


def raw_pieces(line: str) -> list[str]:
    """Pieces without anything around them."""
    return [line[at : at + SPLIT_AT] for at in range(0, len(line), SPLIT_AT)]


def filter_log_events(lines: list[str], indent: int | None) -> str:
    events = [{"logStreamName": "main", "timestamp": 1, "message": line} for line in lines]
    return dump({"events": events, "searchedLogStreams": []}, indent=indent)


def query_results(lines: list[str], indent: int | None) -> str:
    rows = [[{"field": "@timestamp", "value": STAMP}, {"field": "@message", "value": each}] for each in lines]
    return dump({"results": rows, "status": "Complete"}, indent=indent)


def array_of_objects(lines: list[str], indent: int | None) -> str:
    return dump([json.loads(line) for line in lines], indent=indent)


def jq_output(lines: list[str], indent: int | None) -> str:
    return "\n".join(dump(json.loads(line), indent=indent) for line in lines)


def insights_csv(lines: list[str], delimiter: str) -> str:
    text = io.StringIO()
    table = csv.writer(text, delimiter=delimiter)
    table.writerow(["@timestamp", "@message", "@logStream"])
    table.writerows([STAMP, line, "main/main/1"] for line in lines)
    return text.getvalue()


def docker_in_cloudwatch(line: str) -> list[str]:
    """FireLens or Docker's record as the message of a CloudWatch event, on one line of output."""
    return [dump({"ingestionTime": 1, "message": row}) for row in firelens(line)]


WRAPPINGS = [docker, docker_in_cloudwatch, cri, journald, journald_bytes, firelens, firelens_parsed, loki,
             kubectl, compose, cloudwatch_export, raw_pieces]  # fmt: skip
SPLITTING = [docker, cri, firelens, cloudwatch_export, raw_pieces]


@pytest.fixture
def lines(make: Any) -> list[str]:
    """A run whose every second line is longer than a runtime keeps, with much that has to be escaped."""
    rng = Random(5)
    texts = ['"quoted" \\ back', "naïve 😀 {}[] ", "tab\there", '{"timestamp": "no"}', "a b  c "]
    made = make.run_lines([5, 6, 7])
    for number, line in enumerate(made):
        line["error"] = "".join(rng.choices(texts, k=2500 if number % 2 else 2))
    return [dump(line) for line in made]


def found(reading: Reading) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in line.items() if not name.startswith("_")} for line in reading.lines
    ]


@pytest.mark.parametrize("wrap", WRAPPINGS)
def test_a_wrapped_line_is_found_whole(write: Write, lines: list[str], wrap: Callable[..., Any]) -> None:
    """Every pipeline that handles a line at a time gives every line back, split ones joined."""
    content = "\n".join(piece for line in lines for piece in wrap(line)) + "\n"
    reading = read([write(content.encode(), "any-name.1")])
    assert found(reading) == [json.loads(line) for line in lines]
    assert (reading.damaged, reading.foreign, reading.faults, reading.skipped) == (0, 0, [], [])


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("document", [filter_log_events, query_results, array_of_objects, jq_output])
def test_documents_are_read(
    write: Write, lines: list[str], document: Callable[..., str], indent: int | None
) -> None:
    """JSON documents with many lines of ours in them, on one line or pretty-printed."""
    reading = read([write(document(lines, indent).encode(), "answer")])
    assert found(reading) == [json.loads(line) for line in lines]
    assert (reading.damaged, reading.foreign) == (0, 0)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_is_read(write: Write, lines: list[str], delimiter: str) -> None:
    """What Logs Insights and spreadsheets export."""
    reading = read([write(insights_csv(lines, delimiter).encode(), "logs-insights-results.csv")])
    assert found(reading) == [json.loads(line) for line in lines]
    assert (reading.damaged, reading.foreign) == (0, 1), "only the headings are not ours"


def test_a_pretty_document_cut_short_gives_what_is_there(write: Write, lines: list[str]) -> None:
    """An aborted download: the messages before the cut, and the cut one counted."""
    whole = filter_log_events(lines, 2)
    reading = read([write(whole[: whole.index('"service_stopped') - 50].encode(), "answer")])
    assert found(reading) == [json.loads(line) for line in lines[:-1]]


@pytest.mark.parametrize("wrap", SPLITTING)
def test_a_split_line_without_its_end_is_damaged(
    write: Write, lines: list[str], wrap: Callable[..., list[str]]
) -> None:
    """The rest never comes: that line is counted, the next ones are read."""
    wrapped = [wrap(line) for line in lines]
    wrapped[1] = wrapped[1][:-1]
    reading = read([write("\n".join(piece for each in wrapped for piece in each).encode())])
    assert found(reading) == [json.loads(line) for n, line in enumerate(lines) if n != 1]
    assert reading.damaged == 1


@pytest.mark.parametrize("wrap", SPLITTING)
def test_a_line_split_where_the_file_was_rotated_is_joined(
    write: Write, lines: list[str], tmp_path: Path, wrap: Callable[..., list[str]]
) -> None:
    """The rest is at the head of another file, whatever the two are called."""
    pieces = [piece for line in lines for piece in wrap(line)]
    inside = len(wrap(lines[0])) + 1  # in the middle of the second line
    write("\n".join(pieces[inside:]).encode(), "logs/a.log")
    write("\n".join(pieces[:inside]).encode(), "logs/b.log.1")
    write(b"Starting\nReady\n", "logs/c.log")
    reading = read([tmp_path / "logs"])
    assert found(reading) == [json.loads(line) for line in lines]
    assert (reading.damaged, reading.foreign) == (0, 0)


def test_rests_in_two_files_are_both_joined(write: Write, lines: list[str], tmp_path: Path) -> None:
    """A file ends with parts of two streams, and each goes on in a file of its own."""
    first, second = lines[0], lines[1]
    stamp = "2026-01-01T00:00:00.000000000Z"
    ends = f"{stamp} stdout P {first[:80]}\n{stamp} stderr P {second[:80]}\n"
    write(ends.encode(), "logs/a.log")
    write(f"{stamp} stdout F {first[80:]}\n".encode(), "logs/b.log")
    write(f"{stamp} stderr F {second[80:]}\n".encode(), "logs/c.log")
    reading = read([tmp_path / "logs"])
    assert found(reading) == [json.loads(first), json.loads(second)]
    assert (reading.damaged, reading.foreign) == (0, 0)


@pytest.mark.parametrize("wrap", SPLITTING)
@pytest.mark.parametrize("copied", [("a.log",), ("b.log.1",), ("a.log", "b.log.1")])
def test_copies_of_rotated_files_count_as_repeated_lines(
    write: Write, lines: list[str], tmp_path: Path, wrap: Callable[..., list[str]], copied: tuple[str, ...]
) -> None:
    """A split line is joined across files of which logrotate's compressed copies are there too."""
    pieces = [piece for line in lines for piece in wrap(line)]
    inside = len(wrap(lines[0])) + 1  # in the middle of the second line
    parts = {"a.log": pieces[inside:], "b.log.1": pieces[:inside]}
    for name, part in parts.items():
        content = "\n".join(part).encode()
        write(content, f"logs/{name}")
        if name in copied:
            write(gzip.compress(content), f"logs/{name}.gz")
    reading = read([tmp_path / "logs"])
    assert found(reading) == [json.loads(line) for line in lines]
    assert (reading.damaged, reading.foreign) == (0, 0)
    repeated = {"a.log": len(lines) - 2, "b.log.1": 2}
    assert reading.duplicates == sum(repeated[name] for name in copied)


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_last_line_that_is_marked_as_a_part_is_read(write: Write, lines: list[str], end: str) -> None:
    """Containerd marks it so if the process ended before its line break."""
    rows = [f"{STAMP} stdout {'P' if line is lines[-1] else 'F'} {line}" for line in lines]
    reading = read([write(("\n".join(rows) + end).encode())])
    assert found(reading) == [json.loads(line) for line in lines]
    assert (reading.damaged, reading.foreign) == (0, 0)


def test_parts_at_the_end_are_damaged_or_foreign(write: Write, lines: list[str]) -> None:
    """What was cut is damaged if it looks like a line of the service, and foreign if not."""
    rows = [f"{STAMP} stdout F {lines[0]}", f"{STAMP} stdout P {lines[-1][:-1]}", f"{STAMP} stderr P Hello"]
    reading = read([write("\n".join(rows).encode())])
    assert (len(reading.lines), reading.damaged, reading.foreign) == (1, 1, 1)


def test_pieces_that_end_with_a_line_break_are_joined(write: Write, lines: list[str]) -> None:
    """Some drivers end each piece of a split line with a line break of its own."""
    rows = [
        dump({"log": line[at : at + SPLIT_AT] + "\n", "stream": "stdout", "time": STAMP})
        for line in lines
        for at in range(0, len(line), SPLIT_AT)
    ]
    reading = read([write("\n".join(rows).encode())])
    assert found(reading) == [json.loads(line) for line in lines]


def test_messages_that_journalctl_does_not_print_are_said(write: Write, lines: list[str]) -> None:
    """Without `--all` it prints null for a message of more than 4,096 bytes: the report says what to do."""
    rows = [journald(line)[0] if len(line) < 4096 else journald_null() for line in lines]
    reading = read([write("\n".join(rows).encode(), "journal")])
    (fault,) = reading.faults
    assert fault == "journal: 3 long messages are missing: use journalctl --all --output=json"


def journald_null() -> str:
    return dump({"__CURSOR": "s=1", "_PID": "17", "MESSAGE": None})


def test_split_lines_of_two_streams_do_not_mix(write: Write, lines: list[str]) -> None:
    """Docker's pieces of two containers, in turns."""
    first, second = docker(lines[1]), [each.replace('"stdout"', '"stderr"') for each in docker(lines[3])]
    mixed = [piece for pair in zip(first, second, strict=True) for piece in pair]
    assert len(first) > 1
    reading = read([write("\n".join(mixed).encode())])
    assert sorted(map(dump, found(reading))) == sorted(dump(json.loads(each)) for each in lines[1:4:2])


def test_a_line_cut_by_a_crash_does_not_swallow_the_next(write: Write, lines: list[str]) -> None:
    """Killed in the middle of a line; the next process goes on in the same file, on the same line."""
    content = f"{lines[0]}\n{lines[1][:40]}{lines[2]}\n{lines[3]}\n"
    reading = read([write(content.encode())])
    assert found(reading) == [json.loads(lines[n]) for n in (0, 2, 3)]


NAMES = ["run.log.1", "run.log-20260101", "run.log.2", "stdout", "000000", "export.csv.bak", ".hidden"]


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_names_do_not_matter(
    write: Write, lines: list[str], tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    """Whatever rotation and exports call the files, and with whatever they compress them."""
    for number, name in enumerate(NAMES):
        content = compress("\n".join(lines[number : number + 1]).encode() or b"\n")
        write(content, f"logs/exportedlogs/0a1b/{name}")
    reading = read([tmp_path / "logs"])
    assert len(reading.lines) == len(lines)
    assert reading.files == len(lines)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_other_encodings_are_read(write: Write, lines: list[str], encoding: str) -> None:
    """PowerShell's `>` writes UTF-16, Notepad a mark before UTF-8."""
    reading = read([write("\r\n".join(lines).encode(encoding), "run.log")])
    assert found(reading) == [json.loads(line) for line in lines]
    assert reading.damaged == 0


def test_the_hole_that_copytruncate_leaves_is_passed_over(write: Write, lines: list[str]) -> None:
    """Logrotate's `copytruncate` and a writer that does not append: zeros up to the old place."""
    content = bytes(3_000_000) + "\n".join(lines).encode()
    reading = read([write(content)])
    assert (len(reading.lines), reading.damaged, reading.foreign) == (len(lines), 0, 0)


@pytest.mark.parametrize("size", [2, 5000, 200_000])
@pytest.mark.parametrize("wrap", [docker, cri, lambda line: [line]])
def test_a_hole_anywhere_costs_what_was_in_it(
    write: Write, lines: list[str], wrap: Callable[[str], list[str]], size: int
) -> None:
    """A machine stopped before all was on the disk: zeros between two lines, and in the middle of one."""
    rows = [("\n".join(wrap(line)) + "\n").encode() for line in lines]
    between = rows[0] + bytes(size) + b"".join(rows[1:])
    assert read([write(between, "between")]).lines == read([write(b"".join(rows), "whole")]).lines
    inside = rows[0][: len(rows[0]) // 2] + bytes(size) + b"".join(rows[1:])
    reading = read([write(inside, "inside")])
    assert found(reading) == [json.loads(line) for line in lines[1:]]
    assert (reading.damaged, reading.foreign) == (1, 0)


def _tar() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("run.log"))
    return content.getvalue()


REFUSED = {
    "picture.png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "binary"),
    "run.log.zst": (b"\x28\xb5\x2f\xfd\x04\x00", "compressed with zstd: decompress it (zstd -d)"),
    "logs.zip": (b"PK\x03\x04\x14\x00", "a zip archive: unpack it"),
    "logs.tar.gz": (_tar(), "a tar archive: unpack it"),
    "notes.md": (b"# Notes\n", "no log line of the service"),
    "broken.gz": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03abc", "cut short or damaged"),
    "empty.log": (b"", "no log line of the service"),
}


def test_a_pipe_is_read(lines: list[str], tmp_path: Path) -> None:
    """`report <(zcat run.log.gz)`: what can be read once only."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    content = gzip.compress("\n".join(lines).encode())
    writing = threading.Thread(target=pipe.write_bytes, args=(content,))
    writing.start()
    reading = read([pipe])
    writing.join()
    assert found(reading) == [json.loads(line) for line in lines]


def test_files_of_equal_names_are_told_apart(write: Write, lines: list[str], tmp_path: Path) -> None:
    """CloudWatch exports every stream as `000000.gz`."""
    write("\n".join(lines).encode(), "export/a/000000.gz")
    write(b"nothing of ours", "export/b/000000.gz")
    assert read([tmp_path / "export"]).skipped == ["b/000000.gz: no log line of the service"]


def test_what_is_skipped_is_named_with_the_reason(write: Write, lines: list[str], tmp_path: Path) -> None:
    """Nothing in a folder is passed over in silence: the report counts and names it."""
    write("\n".join(lines).encode(), "logs/run.log")
    for name, (content, _) in REFUSED.items():
        write(content, f"logs/{name}")
    reading = read([tmp_path / "logs"])
    assert (reading.files, reading.foreign) == (1, 0)
    for name, (_, reason) in REFUSED.items():
        assert any(each.startswith(f"{name}: {reason}") for each in reading.skipped), reading.skipped
    said = write_report([tmp_path / "logs"], tmp_path / "out").read_text()
    assert f"- Skipped files: {len(REFUSED)}" in said
    assert "- logs.zip: a zip archive: unpack it" in said


def test_nothing_to_read_says_what_was_there(write: Write, tmp_path: Path) -> None:
    """The error names the files and why each was of no use."""
    write(REFUSED["run.log.zst"][0], "logs/run.log.zst")
    with pytest.raises(UnreadableRunError, match=r"run.log.zst: compressed with zstd"):
        read([tmp_path / "logs"])


def test_a_folder_without_files_is_one_clear_error(tmp_path: Path) -> None:
    """There is nothing to name."""
    with pytest.raises(UnreadableRunError, match=r"no log lines found \(no file\)"):
        read([tmp_path])


def test_deeply_nested_foreign_json_is_foreign() -> None:
    """No recursion without a bound."""
    finder = LineFinder()
    assert finder.find(b'{"a":' * 900 + b"1" + b"}" * 900) == []
    assert finder.find(b'{"message":"' + b'{\\"a\\":' * 500 + b'\\"event\\"' + b'"}') == []
    assert finder.foreign + finder.damaged == 2


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage_in_any_wrapping_never_raises(write: Write, lines: list[str], data: st.DataObject) -> None:
    """Whatever bytes are overwritten, reading ends with lines or the one error, never another."""
    wrap = data.draw(st.sampled_from(WRAPPINGS))
    content = bytearray("\n".join(piece for line in lines for piece in wrap(line)).encode())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(1, 30_000))] = data.draw(st.binary(max_size=20))
    try:
        reading = read([write(bytes(content))])
    except UnreadableRunError:
        return
    assert all(isinstance(line["event"], str) and isinstance(line["_at"], float) for line in reading.lines)
