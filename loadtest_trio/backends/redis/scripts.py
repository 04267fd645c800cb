"""The Lua files of this folder, called by SHA and loaded anew when Redis has forgotten them."""

import hashlib
from functools import partial
from importlib import resources
from typing import Any

import attrs
from redis.exceptions import NoScriptError

from loadtest_trio.backends.redis.connection import Connections
from loadtest_trio.errors import RedisRejectedError, RedisUnavailableError

_SHARED = ("common.lua", "jobs.lua", "places.lua")


@attrs.frozen
class Keys:
    """The keys of one queue as one consumer sees them, in the order of ``KEYS`` in every script.

    Args:
        queue_name: Becomes the hash tag, so that all keys share one cluster slot.
        consumer: Unique to this process over all instances and restarts.

    Raises:
        RedisRejectedError: A name would break the layout.
    """

    queue_name: str
    consumer: str

    def __attrs_post_init__(self) -> None:
        if not self.queue_name or set(self.queue_name) & set("{}\n"):
            raise RedisRejectedError(f"QUEUE_NAME={self.queue_name!r}: must not be empty or contain braces")
        if not self.consumer or set(self.consumer) & set(" \n"):
            raise RedisRejectedError(f"consumer {self.consumer!r}: must not be empty or contain blanks")

    def all(self) -> tuple[bytes, ...]:
        """Return the eight keys."""
        names = (
            "queue",
            f"inflight:{self.consumer}",
            "consumers",
            "retry",
            "dead",
            "deliveries",
            "ledger",
            f"session:{self.consumer}",
        )
        return tuple(self.prefix + name.encode() for name in names)

    @property
    def prefix(self) -> bytes:
        """What every key of the queue begins with: the hash tag and a colon."""
        return f"{{{self.queue_name}}}:".encode()

    @property
    def in_flight(self) -> bytes:
        """The hash of what this consumer has claimed."""
        return self.all()[1]

    @property
    def dead(self) -> bytes:
        """The list that messages end on when they cannot be processed."""
        return self.all()[4]


def read_scripts() -> dict[str, bytes]:
    """Return the source of each script by name, the shared parts put in behind its first line."""
    sources = {
        path.name: path.read_text(encoding="utf-8")
        for path in resources.files(__package__).iterdir()
        if path.name.endswith(".lua")
    }
    shared = "\n".join(sources.pop(name) for name in _SHARED)
    scripts = {}
    for name, source in sources.items():
        shebang, _, body = source.partition("\n")
        scripts[name.removesuffix(".lua")] = f"{shebang}\n{shared}\n{body}".encode()
    return scripts


class Scripts:
    """Calls scripts over `Connections`; blocks.

    Args:
        connections: What to send with.
        keys: What every script gets as its keys.
    """

    def __init__(self, connections: Connections, keys: Keys) -> None:
        self._connections = connections
        self._sources = read_scripts()
        names = keys.all()
        # Everything up to the arguments that change, made once.
        self._heads = {
            name: (b"EVALSHA", _sha(source), len(names), *names, keys.consumer)
            for name, source in self._sources.items()
        }

    def run(self, name: str, *arguments: object, then: tuple[object, ...] = ()) -> Any:
        """Run one script and return its reply, or with `then` both replies (see `Connections.execute`).

        A Redis that was restarted or flushed knows no scripts: all are loaded and the call repeated.

        Raises:
            RedisUnavailableError: No answer, or one that says "later".
            RedisRejectedError: The answer is no.
        """
        execute = self._connections.execute
        if then:
            execute = partial(execute, then=then)
        try:
            return execute(*self._heads[name], *arguments)
        except NoScriptError:
            self._load()
        try:
            return execute(*self._heads[name], *arguments)
        except NoScriptError as error:
            raise RedisUnavailableError("Redis forgot a script right after it was loaded") from error

    def _load(self) -> None:
        for source in self._sources.values():
            self._connections.execute(b"SCRIPT", b"LOAD", source)


def _sha(source: bytes) -> bytes:
    return hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()
