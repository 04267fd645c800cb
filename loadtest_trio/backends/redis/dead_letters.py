"""The dead list: what could not be processed, with the reason, and the ways out of it."""

import time
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import Any

import attrs
import orjson
import trio

from loadtest_trio.backends.redis.channel import Channel
from loadtest_trio.errors import MalformedMessageError
from loadtest_trio.jobs.delivery import LONGEST_ERROR
from loadtest_trio.jobs.message import decode, job_id

PAGE = 100
"""Records read or moved by one call."""

_KINDS: dict[str, Any] = {
    "id": str, "operation": str, "key": str, "attempts": int, "error": str, "time": int | float
}  # fmt: skip
_YEAR_10000 = 253_402_300_800  # in Unix seconds: no calendar goes further


@attrs.frozen
class DeadLetter:
    """One record of the dead list.

    Attributes:
        id: Of the message, or made of the element's hash when it has none.
        operation: As the message says, or "".
        key: As the message says, or "".
        attempts: How often it was tried, or delivered.
        error: The last error.
        time: When it was given up, in Unix seconds.
        element: The element as it was on the queue.
        record: The record as it is on the dead list.
    """

    id: str
    operation: str
    key: str
    attempts: int
    error: str
    time: float
    element: bytes
    record: bytes = attrs.field(repr=False)

    @classmethod
    def parse(cls, record: bytes) -> "DeadLetter":
        """Read a record; one that is not ours is its own element and says so."""
        try:
            fields = orjson.loads(record)
            if not all(isinstance(fields[name], kind) for name, kind in _KINDS.items()):
                raise TypeError
            if not 0 <= fields["time"] < _YEAR_10000:
                raise ValueError
            element = (
                fields["element"].encode() if "element" in fields else b64decode(fields["element_base64"])
            )
            return cls(**{name: fields[name] for name in _KINDS}, element=element, record=record)
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls(
                _id_of(record), "", "", 0, "not a dead record: somebody else put it here", 0.0, record, record
            )

    def renewed(self) -> bytes:
        """Return the element as it goes back to the queue: its retries start again at 0."""
        try:
            return attrs.evolve(decode(self.element), retries=0, attempts=0).encode()
        except MalformedMessageError:
            return self.element


def dead_record(element: bytes, *, error: str, attempts: int, time: float) -> bytes:
    """Return the record that goes to the dead list in a message's place.

    Args:
        element: The element as it was on the queue, any bytes.
        error: The last error; its first 1,000 characters are kept.
        attempts: How often it was tried, or delivered.
        time: Now, in Unix seconds.

    Returns:
        One JSON object. The element is text in `element`, or, not being UTF-8, `element_base64`.
    """
    fields = _fields(element)
    # A job's record begins as its element does: the scripts look for it there (see jobs.lua).
    record: dict[str, Any] = {"job": True} if job_id(element) else {}
    record |= {name: _text(fields.get(name)) for name in ("id", "operation", "key")}
    record["id"] = record["id"] or _id_of(element)
    record |= {"attempts": attempts, "error": _text(error)[:LONGEST_ERROR], "time": time}
    try:
        record["element"] = element.decode()
    except UnicodeDecodeError:
        record["element_base64"] = b64encode(element).decode()
    return orjson.dumps(record)


class DeadLetters:
    """Lists, requeues and purges what ended on the dead list.

    Each move is one script: a crash in between leaves a message on one list or the other. Moves are
    numbered as settlements are, so that one whose reply got lost is not done twice.

    Args:
        channel: The way to Redis.
        key: Of the dead list.
    """

    def __init__(self, channel: Channel, key: bytes) -> None:
        self._channel = channel
        self._key = key
        self._number = time.time_ns() // 1000
        self._moving = trio.Lock()

    async def count(self) -> int:
        """Return how many there are."""
        return int(await self._channel.command("dead_count", b"LLEN", self._key))

    async def page(self, offset: int = 0, limit: int = PAGE) -> list[DeadLetter]:
        """Return up to `limit` letters, newest first, beginning with number `offset`."""
        if limit < 1:
            return []
        records = await self._channel.command("dead_page", b"LRANGE", self._key, offset, offset + limit - 1)
        return [DeadLetter.parse(record) for record in records]

    async def find(self, id: str) -> DeadLetter | None:  # noqa: A002  # what the record calls it
        """Return the newest letter with this id, or None."""
        offset = 0
        while letters := await self.page(offset):
            for letter in letters:
                if letter.id == id:
                    return letter
            offset += len(letters)
        return None

    async def requeue(self, id: str) -> bool:  # noqa: A002  # what the record calls it
        """Put the message with this id back on the queue, its retries at 0; return whether there was one."""
        letter = await self.find(id)
        return letter is not None and await self.requeue_letter(letter)

    async def requeue_letter(self, letter: DeadLetter) -> bool:
        """Put one message back on the queue, its retries at 0; return whether it was still on the list."""
        return await self._requeue([letter]) == 1

    async def requeue_all(self) -> int:
        """Put all that are on the list now back on the queue, oldest first; return how many went."""
        moved, left = 0, await self.count()
        while left > 0:
            records = await self._channel.command("dead_page", b"LRANGE", self._key, -min(left, PAGE), -1)
            if not records:
                break
            left -= len(records)
            moved += await self._requeue([DeadLetter.parse(record) for record in reversed(records)])
        return moved

    async def delete(self, id: str) -> bool:  # noqa: A002  # what the record calls it
        """Delete the newest letter with this id for good, counted as purged; return whether there was one."""
        letter = await self.find(id)
        return letter is not None and await self._move("purge", letter.record) == 1

    async def purge(self) -> int:
        """Delete them all for good; return how many. The books count them as purged."""
        return await self._move("purge")

    async def _requeue(self, letters: list[DeadLetter]) -> int:
        return await self._move(
            "requeue", *(part for each in letters for part in (each.record, each.renewed()))
        )

    async def _move(self, script: str, *arguments: bytes) -> int:
        async with self._moving:
            self._number += 1
            return int((await self._channel.script(script, self._number, *arguments))[1])


def _fields(element: bytes) -> dict[str, Any]:
    try:
        fields = orjson.loads(element)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _text(value: object) -> str:
    # Lone surrogates (file names, decoded garbage) would be refused by the JSON writer.
    return value.encode(errors="replace").decode() if isinstance(value, str) else ""


def _id_of(element: bytes) -> str:
    return "unreadable-" + sha256(element).hexdigest()[:16]
