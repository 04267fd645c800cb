"""Consoles that never hold up the loop beside which they print."""

import io
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
import trio

from loadtest_trio.cli.consoles import console_beside_loop
from loadtest_trio.tune.plan.progress import TerminalProgress
from loadtest_trio.tune.plan.steps import TuneEvent
from loadtest_trio.users.tables import PlainLines

LINES = 1_500  # of 100 characters: more than any pipe or terminal holds


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    """A pipe: the end to read from, and a stream to its other end."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        yield reading, stream
    os.close(reading)


@pytest.fixture
def terminal() -> Iterator[tuple[int, TextIO]]:
    """A terminal that nobody reads from: its master, and a stream to it."""
    master, slave = os.openpty()
    with os.fdopen(slave, "w") as stream:
        yield master, stream
        os.set_blocking(master, False)
        drain(master)
    os.close(master)


def drain(descriptor: int) -> bytes:
    """Return what can be read at once."""
    read = b""
    while True:
        try:
            part = os.read(descriptor, 65536)
        except OSError:  # nothing more, or its writer is gone
            return read
        if not part:
            return read
        read += part


def test_everything_arrives_in_order(pipe: tuple[int, TextIO]) -> None:
    """What is printed is written, before the block ends."""
    reading, stream = pipe
    with console_beside_loop(stream, 80) as console:
        console.print("one")
        console.print("two ü", end="")
    os.set_blocking(reading, False)
    assert drain(reading).decode() == "one\ntwo ü"


async def test_a_pipe_whose_reader_stands_still_does_not_stop_users(pipe: tuple[int, TextIO]) -> None:
    """Far more is said than the pipe holds; the loop goes on, and the end waits for seconds at most."""
    began = time.monotonic()
    with console_beside_loop(pipe[1], 140) as console, PlainLines(console) as view:
        for _ in range(LINES):
            view.say("x" * 100)
            await trio.lowlevel.checkpoint()
        assert time.monotonic() - began < 10
    assert time.monotonic() - began < 20


async def test_a_halted_terminal_does_not_stop_the_search(terminal: tuple[int, TextIO]) -> None:
    """With Ctrl-S on the terminal of `tune`, results are still taken, and the display ends."""
    _, stream = terminal
    with console_beside_loop(stream) as console:
        assert console.is_terminal
        with TerminalProgress(console, time.monotonic, 60.0) as progress:
            for _ in range(300):
                progress.event(TuneEvent("tune_saturation", {"rate": 1.0}))
                await trio.lowlevel.checkpoint()


def test_a_stream_without_a_descriptor_is_printed_to(tmp_path: Path) -> None:
    """A stand-in, as tests and notebooks use them, is a console too."""
    stream = io.StringIO()
    with console_beside_loop(stream, 80) as console:
        console.print("one")
    assert stream.getvalue() == "one\n"
