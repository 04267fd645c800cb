"""Commands in a locale that knows only ASCII: UTF-8 is written and read all the same."""

import os
import subprocess
import sys

import pytest

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
EVERY_FILE = """
import pathlib, runpy
from loadtest_trio.backends.redis.scripts import read_scripts
assert len(read_scripts()) > 10
"""


def run(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[bytes]":
    """Run Python in the ASCII locale."""
    environ = os.environ | ASCII | {"REDIS_ENDPOINT": "redis://h", "S3_BUCKET": "bucket"} | variables
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, timeout=60, check=False, env=environ
    )


@pytest.mark.parametrize("prefix", ["ü/", "😀/"])
def test_output_is_utf8_in_any_locale(prefix: str) -> None:
    """A value with any character is printed without a crash."""
    shown = run("-m", "loadtest_trio", "config", S3_PREFIX=prefix)
    assert shown.returncode == 0, shown.stderr
    assert prefix.encode() in shown.stdout


def test_error_is_utf8_in_any_locale() -> None:
    """An error message is UTF-8 too; bytes that are not UTF-8 are escaped."""
    shown = run("-m", "loadtest_trio", "config", S3_PREFIX="/ü", S3_BUCKET="\udcff")
    assert shown.returncode == 2
    assert "/ü".encode() in shown.stderr
    assert b"udcff" in shown.stderr


def test_package_files_are_read_as_utf8() -> None:
    """The Lua scripts contain characters beyond ASCII."""
    done = run("-X", "warn_default_encoding", "-W", "error::EncodingWarning", "-c", EVERY_FILE)
    assert done.returncode == 0, done.stderr.decode()
