"""Commands whose output goes nowhere: nobody reads any more, the disk is full, the reader stands still."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.service_process import ROOT

FULL = Path("/dev/full")
ENVIRON = {"REDIS_ENDPOINT": "redis://h", "S3_BUCKET": "bucket", "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command with a descriptor for its standard output and one for its standard error."""

    def call(
        *arguments: str, stdout: int = subprocess.DEVNULL, stderr: int = subprocess.PIPE, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "loadtest_trio", *arguments],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **ENVIRON, **environ},
            stdout=stdout,
            stderr=stderr,
            text=True,
            timeout=30,
            check=False,
        )

    return call


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("buffered", ["1", ""], ids=["while writing", "at the end"])
def test_closed_pipe_is_not_an_error(run: Run, buffered: str) -> None:
    """`config | head -1` ends with exit code 0 and without a traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    ended = run("config", stdout=writer, PYTHONUNBUFFERED=buffered)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("command", ["run", "config", "check"])
def test_closed_standard_output_is_bad_configuration(tmp_path: Path, command: str) -> None:
    """Its descriptor would become a socket's: the log would be written into Redis or S3."""
    ended = closing(tmp_path, command, ">&-")
    assert ended.returncode == 2
    assert ended.stderr == "loadtest_trio: standard output is closed: redirect it, at least to /dev/null\n"


def test_closed_standard_error_does_not_end_a_command(tmp_path: Path) -> None:
    """`config 2>&-` prints its table, and so does a command that has something to complain about."""
    ended = closing(tmp_path, "config", "2>&-", WORKER_CONCURRENCY="many")
    assert ended.returncode == 2
    assert "WORKER_CONCURRENCY" in ended.stdout


def closing(
    tmp_path: Path, command: str, redirection: str, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run a command with one of its streams closed from the start."""
    return subprocess.run(
        ["sh", "-c", f'"$0" -m loadtest_trio {command} {redirection}', sys.executable],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **ENVIRON, **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_preflight_without_backends_prints_its_table_and_no_log_lines(run: Run) -> None:
    """The table says what is wrong; the service's log lines do not stand beside it."""
    ended = run(
        "preflight",
        stdout=subprocess.PIPE,
        REDIS_ENDPOINT="redis://127.0.0.1:1",
        S3_ENDPOINT_URL="http://127.0.0.1:1",
        AWS_ACCESS_KEY_ID="a",
        AWS_SECRET_ACCESS_KEY="b",
    )
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "cannot connect" in ended.stdout


@pytest.mark.skipif(not FULL.exists(), reason="Linux only")
@pytest.mark.parametrize("buffered", ["1", ""], ids=["while writing", "at the end"])
def test_full_disk_gives_one_line(run: Run, buffered: str) -> None:
    """A full disk gives one line instead of a traceback."""
    with FULL.open("wb") as full:
        ended = run("config", stdout=full.fileno(), PYTHONUNBUFFERED=buffered)
    assert ended.returncode == 1
    assert ended.stderr == "loadtest_trio: cannot read or write: [Errno 28] No space left on device\n"


def test_file_in_place_of_report_folder_is_named(run: Run, tmp_path: Path) -> None:
    """If the report's folder is a file, one line names it."""
    (tmp_path / "lines").write_text('{"timestamp":"2026-01-01T00:00:00Z","event":"metrics"}\n')
    (tmp_path / "taken").write_text("")
    ended = run("report", "lines", "--output", "taken")
    assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1)
    assert "taken" in ended.stderr


def test_blocked_stderr_does_not_delay_exit(run: Run) -> None:
    """If standard error is a full pipe, the message is dropped and the exit code is unchanged."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while os.write(writer, b"x" * 4096):
            pass
    os.set_blocking(writer, True)
    began = time.monotonic()
    assert run("report", "missing", stderr=writer).returncode == 1
    assert time.monotonic() - began < 15
    for each in (reader, writer):
        os.close(each)
