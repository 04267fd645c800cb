"""The service, run so that it kills itself: ``python -m tests.support.killed_at POINT N JOURNAL [COMMAND]``.

The process gets SIGKILL from itself the first time that it reaches a point (see `kill_points`) after it
has begun to work on N messages. Production code knows nothing of it: methods are wrapped from outside
before the command starts.

The journal gets a line before and after each piece of work, by one O_APPEND write each, so that it
says what was executed how often, whoever is killed.
"""

import hashlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Any

import hiredis
import redis

from loadtest_trio.backends.redis.scripts import read_scripts
from loadtest_trio.cli.main import main
from loadtest_trio.worker import Runner
from loadtest_trio.worker.completion import Completion
from loadtest_trio.worker.runner import Claimed
from tests.support.kill_points import POINTS, Point

NEVER = "never"
_PEEK_BYTES = 1 << 20
_REPLY_SECONDS = 5.0


class Trap:
    """Kills this process the first time that a point is reached once it is armed.

    Args:
        point: Where.
        messages: How many messages must have been begun before it is armed.
    """

    def __init__(self, point: Point, messages: int) -> None:
        self._point = point
        self._messages = messages

    def set(self) -> None:
        """Wrap what the point names, and what counts the messages."""
        if self._point.owner is None:
            self._wrap_sending()
        elif self._point.name == "stop":
            self._wrap_plain(self._point.owner)
        else:
            self._wrap_async(self._point.owner)
        self._count_messages()

    def reached(self, what: Any) -> None:
        """Does not return if the trap is armed and this time counts."""
        if self._messages <= 0 and self._point.counts(what):
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)

    def _count_messages(self) -> None:
        run = Runner.run

        async def counted(runner: Runner, claimed: Claimed) -> Completion:
            self._messages -= 1
            return await run(runner, claimed)

        _replace(Runner, "run", counted)

    def _wrap_async(self, owner: Any) -> None:
        original: Callable[..., Awaitable[Any]] = getattr(owner, self._point.name)

        @wraps(original)
        async def wrapped(*arguments: Any, **options: Any) -> Any:
            if self._point.when == "before":
                self.reached(arguments)
            result = await original(*arguments, **options)
            if self._point.when == "after":
                self.reached(result)
            return result

        setattr(owner, self._point.name, wrapped)

    def _wrap_plain(self, owner: Any) -> None:
        original = getattr(owner, self._point.name)

        def wrapped(*arguments: Any) -> Any:
            self.reached(arguments)
            return original(*arguments)

        setattr(owner, self._point.name, wrapped)

    def _wrap_sending(self) -> None:
        connection: Any = redis.connection.AbstractConnection
        original = connection.send_command
        sha = hashlib.sha1(read_scripts()[self._point.name], usedforsecurity=False).hexdigest().encode()

        def sending(this: Any, *command: Any, **options: Any) -> None:
            original(this, *command, **options)
            if command[0] == b"EVALSHA" and command[1] == sha:
                reply = _peek(this._sock)
                if isinstance(reply, list):
                    self.reached(reply)

        connection.send_command = sending


def _peek(connection: socket.socket) -> Any:
    """Return the reply that lies in the socket, leaving it there."""
    deadline = time.monotonic() + _REPLY_SECONDS
    while time.monotonic() < deadline:
        if not select.select([connection], [], [], _REPLY_SECONDS)[0]:
            break
        reader: Any = hiredis.Reader()
        reader.feed(connection.recv(_PEEK_BYTES, socket.MSG_PEEK))
        reply = reader.gets()
        if reply is not False:
            return reply
    return None


def keep_journal(path: Path) -> None:
    """Write a line before and after each piece of work."""
    journal = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    run = Runner.run

    async def journalled(runner: Runner, claimed: Claimed) -> Completion:
        os.write(journal, f"begin {claimed.message.id}\n".encode())
        completion = await run(runner, claimed)
        os.write(journal, f"{completion.outcome} {claimed.message.id}\n".encode())
        return completion

    _replace(Runner, "run", journalled)


def _replace(owner: Any, name: str, method: Callable[..., Any]) -> None:
    setattr(owner, name, method)


if __name__ == "__main__":
    point, messages, journal, *command = sys.argv[1:]
    keep_journal(Path(journal))
    if point != NEVER:
        Trap(POINTS[point], int(messages)).set()
    sys.exit(main(command))
