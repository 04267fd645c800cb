"""The service and its standard output: trouble with the log never stops the work, and is never silent."""

import errno
import fcntl
import json
import os
import shutil
import signal
import struct
import subprocess
import termios
import time
import urllib.request
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import redis

from loadtest_trio.backends.embedded.ports import free_ports
from tests.support.service_process import ServiceProcess


@pytest.fixture
def environ(redis_url: str, s3_environment: dict[str, str], bucket: str) -> dict[str, str]:
    """A busy service with a small bucket, whose log at DEBUG is more than any pipe holds."""
    return {
        "REDIS_ENDPOINT": redis_url,
        "S3_BUCKET": bucket,
        **s3_environment,
        "LOG_LEVEL": "DEBUG",
        "LOG_INTERVAL_SECONDS": "0.5",
        "SCHEDULER_MESSAGES_PER_SECOND": "200",
        "PRECONDITION_MIN_OBJECTS": "20",
        "MAX_FILE_UUIDS": "10",
        "MIN_FILE_UUIDS": "5",
        "SHUTDOWN_GRACE_SECONDS": "2",
    }


@pytest.fixture(params=[True, False], ids=["blocking", "non-blocking"])
def pipe(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """A pipe: the reader's end, and a writer's end that blocks or answers EAGAIN when the pipe is full."""
    ends = os.pipe()
    os.set_blocking(ends[1], request.param)
    yield ends
    os.close(ends[0])


def processed(url: str) -> int:
    """Return how many messages are done, as the books in Redis say."""
    with redis.Redis.from_url(url) as client:
        return int(client.hget("{loadtest}:ledger", "processed") or 0)


def wait_until(holds: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def wait_until_full(reader: int) -> None:
    """Wait until a pipe takes no more from a service that logs all the time."""
    held: list[int] = []

    def unchanged() -> bool:
        held.append(struct.unpack("i", fcntl.ioctl(reader, termios.FIONREAD, b"\0" * 4))[0])
        return held[-1] > 0 and len(held) > 20 and len(set(held[-20:])) == 1

    wait_until(unchanged)


def read_to_end(reader: int) -> list[dict[str, Any]]:
    with os.fdopen(os.dup(reader), "rb") as file:
        return [json.loads(line) for line in file]


def test_a_reader_that_stands_still_stops_neither_work_nor_health_nor_signals(
    environ: dict[str, str], pipe: tuple[int, int], redis_url: str
) -> None:
    """The pipe is full: messages are done as before, /health answers, SIGTERM ends the service in time."""
    reader, writer = pipe
    (port,) = free_ports(1)
    with ServiceProcess(environ={**environ, "HEALTH_PORT": str(port)}, stdout=writer) as service:
        os.close(writer)
        wait_until_full(reader)
        before = processed(redis_url)
        wait_until(lambda: processed(redis_url) - before > 100, 2)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            assert json.load(answer) == {"status": "OK"}
        service.signal(signal.SIGTERM)
        assert service.wait(2 + 2 + 4) == 1
        assert "log lines could not be written: the reader stands still" in service.complaints


def test_a_reader_that_stands_still_on_both_outputs_does_not_hold_up_the_end(
    environ: dict[str, str], pipe: tuple[int, int]
) -> None:
    """With `2>&1`, as in a container, there is nowhere to say what is missing: the exit code does."""
    reader, writer = pipe
    with ServiceProcess(environ=environ, stdout=writer, stderr=writer) as service:
        os.close(writer)
        wait_until_full(reader)
        service.signal(signal.SIGTERM)
        assert service.wait(2 + 2 + 4) == 1


def test_a_reader_that_pauses_misses_nothing(environ: dict[str, str], pipe: tuple[int, int]) -> None:
    """It stands still for seconds and then reads on: every line is there, and the exit code is 0."""
    reader, writer = pipe
    with ServiceProcess(environ={**environ, "RUN_DURATION_SECONDS": "5"}, stdout=writer) as service:
        os.close(writer)
        wait_until_full(reader)
        time.sleep(2)
        lines = read_to_end(reader)
        assert (service.wait(), service.complaints) == (0, "")
    events = [line["event"] for line in lines]
    assert "log_lines_dropped" not in events
    assert (events[0], events[-1]) == ("service_starting", "service_stopped")
    uptimes = [line["uptime_seconds"] for line in lines if line["event"] == "metrics"]
    assert max(after - before for before, after in pairwise(uptimes)) < 1


def test_a_log_file_at_its_size_limit_does_not_end_the_run(environ: dict[str, str], redis_url: str) -> None:
    """EFBIG (like a full disk): the whole duration is worked, then exit code 1 and the reason."""
    limited = ("bash", "-c", 'ulimit -f 16; exec "$0" "$@"')
    # Python 3.11 would leave compiled modules behind that are cut off at the limit.
    settings = {**environ, "RUN_DURATION_SECONDS": "3", "PYTHONDONTWRITEBYTECODE": "1"}
    with ServiceProcess(environ=settings, wrapper=limited) as service:
        assert service.wait() == 1
        assert os.strerror(errno.EFBIG) in service.complaints
        assert len(service.output) == 16 * 1024
    assert processed(redis_url) > 150


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of its own, of 256 KiB; skipped where this user may not mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    mounted = shutil.which("mount") and subprocess.run(mount, capture_output=True, text=True, check=False)
    if not mounted or mounted.returncode:
        pytest.skip(f"no filesystem can be mounted: {mounted.stderr.strip() if mounted else 'no mount'}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_does_not_end_the_run(environ: dict[str, str], redis_url: str, small_disk: Path) -> None:
    """ENOSPC for good: the whole duration is worked, then exit code 1 and the reason."""
    with (small_disk / "run.log").open("wb") as log:
        (small_disk / "filler").write_bytes(bytes(240 * 1024))
        settings = {**environ, "RUN_DURATION_SECONDS": "3"}
        with ServiceProcess(environ=settings, stdout=log.fileno()) as service:
            assert service.wait() == 1
            assert os.strerror(errno.ENOSPC) in service.complaints
    assert processed(redis_url) > 150


def test_a_disk_that_has_room_again_misses_nothing(environ: dict[str, str], small_disk: Path) -> None:
    """Lines wait while the disk is full; every one of them is there, whole, and the exit code is 0."""
    filler = small_disk / "filler"
    with (small_disk / "run.log").open("wb") as log:
        filler.write_bytes(bytes(248 * 1024))
        settings = {**environ, "LOG_LEVEL": "INFO", "RUN_DURATION_SECONDS": "6"}
        with ServiceProcess(environ=settings, stdout=log.fileno()) as service:
            wait_until(lambda: os.statvfs(small_disk).f_bavail == 0)
            time.sleep(1.5)
            filler.unlink()
            assert (service.wait(), service.complaints) == (0, "")
    lines = [json.loads(line) for line in (small_disk / "run.log").read_bytes().splitlines()]
    events = [line["event"] for line in lines]
    assert "log_lines_dropped" not in events
    assert (events[0], events[-1]) == ("service_starting", "service_stopped")
    uptimes = [line["uptime_seconds"] for line in lines if line["event"] == "metrics"]
    assert max(after - before for before, after in pairwise(uptimes)) < 1


def test_head_ends_the_service_in_order(environ: dict[str, str], redis_url: str) -> None:
    """`run | head` is an end like any other: what was in hand is settled, the exit code is 0."""
    reader, writer = os.pipe()
    with ServiceProcess(environ=environ, stdout=writer) as service:
        os.close(writer)
        os.read(reader, 10)
        os.close(reader)
        assert service.wait(20) == 0
        assert service.complaints == ""
    with redis.Redis.from_url(redis_url) as client:
        assert not list(client.scan_iter("{loadtest}:inflight:*"))
