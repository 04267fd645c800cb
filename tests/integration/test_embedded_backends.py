"""The embedded backends as a pair: they end with their owner and leave nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import psutil
import pytest
import redis

from loadtest_trio.backends.embedded import EmbeddedBackends, EmbeddedUnavailableError, backends, s3_server

CHECKOUT = Path(__file__).parents[2]
DEADLINE_SECONDS = 15.0

# Counts SIGINT instead of ending, as the daemon does while it drains; obeys its standard input.
OWNER = """
import json, signal, sys
from pathlib import Path
from loadtest_trio.backends.embedded import EmbeddedBackends

interrupts = []
signal.signal(signal.SIGINT, lambda number, frame: interrupts.append(number))
with EmbeddedBackends.start(Path(sys.argv[1])) as backends:
    print(json.dumps([str(path) for path in backends.s3.sockets]), flush=True)
    for order in sys.stdin:
        if order == "report\\n":
            print(json.dumps([len(interrupts), backends.redis.running, backends.s3.running]), flush=True)
        if order == "raise\\n":
            raise RuntimeError("on purpose")
        if order == "leave\\n":
            break
"""


@attrs.frozen
class Owner:
    """A process in a group of its own that has started the backends, and what must vanish with it."""

    process: "subprocess.Popen[str]"
    folder: Path
    sockets: list[Path]
    family: list[psutil.Process]

    def order(self, word: str) -> None:
        """Send one line."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        """Read one line."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def assert_nothing_is_left(self) -> None:
        """No server, no watchdog, no folder and no socket, at once or shortly after."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while (left := self._left()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not left

    def _left(self) -> list[object]:
        alive = [each for each in self.family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
        return [*alive, *self.folder.iterdir(), *(path for path in self.sockets if path.exists())]


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Owner]:
    """A running owner with both servers up."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    with process:
        assert process.stdout is not None
        sockets = [Path(path) for path in json.loads(process.stdout.readline())]
        owner = Owner(process, tmp_path, sockets, psutil.Process(process.pid).children(recursive=True))
        assert len(owner.family) == 3  # two servers and the watchdog
        assert any(path.exists() for path in sockets)
        yield owner
        process.kill()
    owner.assert_nothing_is_left()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_a_killed_owner(owner: Owner, number: signal.Signals) -> None:
    """After SIGKILL or an unhandled SIGTERM, no process, folder or socket is left."""
    owner.process.send_signal(number)
    assert owner.process.wait(DEADLINE_SECONDS) == -number
    owner.assert_nothing_is_left()


def test_nothing_outlives_a_failed_owner(owner: Owner) -> None:
    """An exception in the block reaches the caller after everything has been removed."""
    owner.order("raise")
    assert owner.process.wait(DEADLINE_SECONDS) == 1
    assert not owner._left()
    assert owner.process.stderr is not None
    assert "on purpose" in owner.process.stderr.read()


def test_nothing_is_left_after_a_normal_end(owner: Owner) -> None:
    """Leaving the block waits until everything is removed."""
    owner.order("leave")
    assert owner.process.wait(DEADLINE_SECONDS) == 0
    assert not owner._left()


def test_paused_servers_end_with_their_owner(owner: Owner) -> None:
    """A server frozen by SIGSTOP ends too."""
    for each in owner.family[1:]:
        each.suspend()
    owner.process.kill()
    owner.process.wait(DEADLINE_SECONDS)
    owner.assert_nothing_is_left()


def test_ctrl_c_does_not_reach_the_servers(owner: Owner) -> None:
    """Ctrl-C signals the owner's process group only, so the owner can drain."""
    assert owner.process.pid not in [os.getpgid(each.pid) for each in owner.family]
    os.killpg(owner.process.pid, signal.SIGINT)
    owner.order("report")
    assert owner.answer() == [1, True, True]


def test_two_pairs_run_side_by_side(tmp_path: Path) -> None:
    """Each pair has its own ports and secrets; ending one does not affect the other."""
    with EmbeddedBackends.start(tmp_path) as first:
        with EmbeddedBackends.start(tmp_path) as second:
            assert not set(first.environment().items()) & {
                each
                for each in second.environment().items()
                if each[0] not in {"S3_BUCKET", "S3_CREATE_BUCKET", "AWS_REGION"}
            }
        assert redis.Redis.from_url(first.redis_url).ping()
        with pytest.raises(redis.ConnectionError):
            redis.Redis.from_url(second.redis_url).ping()
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(first.s3_endpoint_url)
    assert not list(tmp_path.iterdir())


def test_each_server_is_announced_without_secrets(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """One line per server on standard error, none on standard output, which belongs to the log."""
    with EmbeddedBackends.start(tmp_path) as pair:
        output, errors = capfd.readouterr()
        assert output == ""
        assert [line.split(":")[0] for line in errors.splitlines()] == ["embedded redis", "embedded s3"]
        assert str(pair.redis.port) in errors
        assert str(pair.s3.port) in errors
        assert not [
            secret for secret in (pair.redis.password, pair.secret_key, pair.access_key) if secret in errors
        ]


def test_missing_binary_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If one binary is missing, the other server is not left running."""

    def missing(*names: str, setting: str) -> Path:
        raise EmbeddedUnavailableError(f"set {setting}")

    monkeypatch.setattr(s3_server, "find_binary", missing)
    with pytest.raises(EmbeddedUnavailableError, match="S3_ENDPOINT_URL"):
        backends.EmbeddedBackends.start(tmp_path)
    assert not list(tmp_path.iterdir())
