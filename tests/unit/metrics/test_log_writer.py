"""The log writer: whole lines in order, whatever the destination does, and never a wait for the caller."""

import errno
import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import orjson
import pytest

from loadtest_trio.metrics import logs
from loadtest_trio.metrics.log_writer import LogWriter

FULL = Path("/dev/full")  # every write says "no space left on device"
PIPE_BYTES = 2**16


@attrs.define
class Pipe:
    """A pipe whose reader reads when the test says so."""

    reader: int
    writer: int

    def read_all(self, until: Callable[[], bool]) -> bytes:
        """Read until the pipe is empty and the condition holds."""
        os.set_blocking(self.reader, False)
        found, deadline = b"", time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                found += os.read(self.reader, PIPE_BYTES)
            except BlockingIOError:
                if until():
                    return found
                time.sleep(0.005)
        raise AssertionError(f"not within 20 s; {len(found)} bytes so far")


@pytest.fixture(params=[True, False], ids=["blocking", "non-blocking"])
def pipe(request: pytest.FixtureRequest) -> Iterator[Pipe]:
    """An empty pipe, whose writing end blocks or answers EAGAIN."""
    reader, writer = os.pipe()
    os.set_blocking(writer, request.param)
    yield Pipe(reader, writer)
    for each in (reader, writer):
        os.close(each)


@attrs.define
class Told:
    """What a writer told its owner."""

    no_reader: list[int] = attrs.field(factory=list)

    def writer(self, descriptor: int, capacity_bytes: int = 2**20) -> LogWriter:
        return LogWriter(descriptor, lambda: self.no_reader.append(1), capacity_bytes)


def numbered(count: int, length: int = 1000) -> list[str]:
    return [f"{n:06} {'x' * length}\n" for n in range(count)]


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_lines_are_written_in_order(tmp_path: Path) -> None:
    """From several threads, each thread's lines keep their order and no line is cut."""
    with (tmp_path / "log").open("wb") as file:
        writer = Told().writer(file.fileno())
        threads = [
            threading.Thread(target=lambda n=n: list(map(writer.write, (f"{n} {i}\n" for i in range(500)))))
            for n in range(4)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert writer.close() == ""
    lines = (tmp_path / "log").read_text().splitlines()
    for n in range(4):
        assert [line for line in lines if line.startswith(f"{n} ")] == [f"{n} {i}" for i in range(500)]


def test_a_reader_that_pauses_gets_every_line(pipe: Pipe) -> None:
    """More than a pipe holds is written while nobody reads: no wait, no loss, no cut line."""
    told, lines = Told(), numbered(300)
    writer = told.writer(pipe.writer)
    began = time.monotonic()
    for line in lines:
        writer.write(line)
    assert time.monotonic() - began < 1
    time.sleep(0.2)
    found = pipe.read_all(lambda: writer._unwritten() == (0, 0))
    assert found.decode() == "".join(lines)
    assert (writer.collect_dropped(), writer.close(), told.no_reader) == (0, "", [])


def test_the_oldest_lines_are_dropped_and_counted(pipe: Pipe) -> None:
    """When the buffer is full the newest lines stay; how many are missing is said when there is room."""
    lines = numbered(1000)
    writer = Told().writer(pipe.writer, capacity_bytes=50_000)
    for line in lines:
        writer.write(line)
    assert writer.collect_dropped() == 0
    found = pipe.read_all(lambda: writer._unwritten() == (0, 0)).decode().splitlines()
    kept = [line + "\n" for line in found]
    assert kept[-45:] == lines[-45:]
    assert all(line in lines for line in kept), "no line is cut"
    assert len(kept) + writer.collect_dropped() == 1000
    assert (writer.collect_dropped(), writer.close()) == (0, "")


def test_a_reader_that_stands_still_does_not_hold_up_the_end(pipe: Pipe) -> None:
    """Closing gives up after a while without progress, and says how many lines are lost and why."""
    writer = Told().writer(pipe.writer)
    for line in numbered(300):
        writer.write(line)
    began = time.monotonic()
    loss = writer.close(seconds=0.3)
    assert 0.3 <= time.monotonic() - began < 2
    assert loss.endswith("log lines could not be written: the reader stands still")
    assert int(loss.split()[0]) >= (300 * 1008 - PIPE_BYTES) // 1008
    pipe.read_all(lambda: not writer._thread.is_alive())


def test_nobody_reads() -> None:
    """EPIPE, and only that, is told once; later lines vanish and are no loss."""
    reader, descriptor = os.pipe()
    os.close(reader)
    told = Told()
    writer = told.writer(descriptor)
    for _ in range(3):
        writer.write("line\n")
        eventually(lambda: bool(told.no_reader))
    assert (writer.close(), told.no_reader) == ("", [1])
    os.close(descriptor)


@pytest.mark.skipif(not FULL.exists(), reason="Linux only")
def test_a_full_disk_ends_nothing(tmp_path: Path) -> None:
    """While the disk is full lines wait; when there is room again all of them are written."""
    told = Told()
    descriptor = os.open(FULL, os.O_WRONLY)
    writer = told.writer(descriptor)
    writer.write("first\n")
    eventually(lambda: writer._trouble is not None)
    writer.write("second\n")
    file = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    os.dup2(file, descriptor)  # the same descriptor, with room
    assert writer.close() == ""
    assert (tmp_path / "log").read_text() == "first\nsecond\n"
    assert told.no_reader == []
    for each in (file, descriptor):
        os.close(each)


@pytest.mark.skipif(not FULL.exists(), reason="Linux only")
def test_a_disk_that_stays_full_is_named_at_the_end() -> None:
    """The loss says how many lines, and what the operating system said."""
    descriptor = os.open(FULL, os.O_WRONLY)
    writer = Told().writer(descriptor)
    writer.write("one\ntwo\n")
    writer.write("three\n")
    loss = writer.close(seconds=0.1)
    assert loss.startswith("3 log lines could not be written: ")
    assert os.strerror(errno.ENOSPC) in loss
    file = os.open(os.devnull, os.O_WRONLY)
    os.dup2(file, descriptor)
    eventually(lambda: not writer._thread.is_alive())
    for each in (file, descriptor):
        os.close(each)


def test_dropped_lines_are_said_in_the_log(pipe: Pipe) -> None:
    """After a gap there is a `log_lines_dropped` line with the number of missing lines."""
    fcntl.fcntl(pipe.writer, fcntl.F_SETPIPE_SZ, 4096)
    found: list[bytes] = []
    with logs.writing(pipe.writer, json=True, capacity_bytes=2**17):
        for number in range(2000):
            logs.event("something", number=number, text="x" * 100)
        reader = threading.Thread(target=lambda: found.append(pipe.read_all(ended.is_set)))
        ended = threading.Event()
        reader.start()
    ended.set()
    reader.join()
    lines = [orjson.loads(line) for line in found[0].splitlines()]
    dropped = [line for line in lines if line["event"] == "log_lines_dropped"]
    assert len(lines) - len(dropped) + sum(line["count"] for line in dropped) == 2000
    assert dropped[0]["level"] == "WARNING"


def test_a_log_that_ends_incomplete_is_an_error(pipe: Pipe) -> None:
    """Without another error it is raised; beside another it is that one's note."""
    before = set(threading.enumerate())
    with pytest.raises(logs.LogIncompleteError, match="log lines could not be written"):
        _overfill(pipe)
    with pytest.raises(ZeroDivisionError) as raised:
        _overfill(pipe, ZeroDivisionError())
    assert "log lines could not be written" in raised.value.__notes__[0]
    pipe.read_all(lambda: not any(each.name == "log writer" for each in {*threading.enumerate()} - before))


def _overfill(pipe: Pipe, error: Exception | None = None) -> None:
    with logs.writing(pipe.writer, json=True):
        for _ in range(200):
            logs.event("something", text="x" * 1000)
        if error:
            raise error


def test_nobody_reads_is_a_signal_to_end() -> None:
    """`run | head` ends the process as SIGTERM does."""
    reader, descriptor = os.pipe()
    os.close(reader)
    told: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    try:
        with logs.writing(descriptor, json=True):
            logs.event("something")
            eventually(lambda: bool(told))
    finally:
        signal.signal(signal.SIGTERM, before)
        os.close(descriptor)
    assert told == [signal.SIGTERM]
