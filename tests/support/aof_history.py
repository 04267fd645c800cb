"""What really happened to every message, read from Redis's own append-only file.

DESIGN. Who counts messages must not be asked whether the count is right. The service's books are
counters that its own scripts keep; a journal of the test's own would have a gap between an act and the
line about it, just where processes are killed. Redis's append-only file has neither fault: the *server*
writes it, every change in the order in which it took effect, the effects of one script between MULTI
and EXEC, and nobody's death but the server's own touches it. So it is replayed here, element by
element. Of a message it tells where it was after each script, and that is compared with the books:

    in no place -> in one place      created, once
    in one place -> in another       moved
    in flight -> in no place         ended: the books must have counted it in the same transaction
    anything else                    a loss or a double, and reported as one

The file must not have been rewritten (``auto-aof-rewrite-percentage 0``).
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import hiredis
import orjson

from loadtest_trio.backends.redis import DeadLetter

DIRECTIVES = {"auto-aof-rewrite-percentage": "0"}
"""Lines of redis.conf without which the file is not a whole history."""

Command = list[bytes]

_PART_BYTES = 1 << 16


@attrs.frozen
class Ended:
    """One message that was settled as done or missed, in the order of settlement."""

    id: str
    operation: str
    key: str


@attrs.define
class History:
    """The life of every message of one queue.

    Attributes:
        places: How many places each message id is in.
        created: Ids in the order in which they appeared.
        ended: What was settled as processed or missed.
        problems: What contradicts "one place at a time, ended once, and counted when it ended".
    """

    tag: bytes
    places: Counter[str] = attrs.field(factory=Counter)
    created: dict[str, None] = attrs.field(factory=dict)
    ended: list[Ended] = attrs.field(factory=list)
    counted: Counter[str] = attrs.field(factory=Counter)
    problems: list[str] = attrs.field(factory=list)
    queue: deque[bytes] = attrs.field(factory=deque)
    dead: deque[bytes] = attrs.field(factory=deque)
    retry: dict[bytes, float] = attrs.field(factory=dict)
    in_flight: dict[bytes, dict[bytes, bytes]] = attrs.field(factory=lambda: defaultdict(dict))
    _touched: dict[str, tuple[int, bytes]] = attrs.field(factory=dict)
    _finished: int = 0

    @classmethod
    def read(cls, folder: Path, queue_name: str) -> "History":
        """Replay the append-only file of a server.

        Args:
            folder: The server's data folder.
            queue_name: The queue to look at; other keys are passed over.
        """
        history = cls(b"{%b}:" % queue_name.encode())
        for transaction in transactions(folder):
            history.apply(transaction)
        return history

    @property
    def dead_ids(self) -> list[str]:
        """Ids on the dead list."""
        return [DeadLetter.parse(record).id for record in self.dead]

    def apply(self, transaction: list[Command]) -> None:
        """Replay one transaction and judge each message that it touched."""
        self._touched, self._finished = {}, 0
        for name, key, *arguments in transaction:
            if key.startswith(self.tag):
                self._replay(name.upper(), key.removeprefix(self.tag), arguments)
        ended = sum(self._judge(identity, *before) for identity, before in self._touched.items())
        if ended != self._finished:
            self._complain(
                f"the books counted {self._finished} ends, {ended} happened: {list(self._touched)}"
            )

    def _replay(self, command: bytes, key: bytes, arguments: list[bytes]) -> None:
        match command, key:
            case b"LPUSH", b"queue":
                for element in arguments:
                    self._enter(element)
                    self.queue.appendleft(element)
            case b"RPUSH", b"queue":
                for element in arguments:
                    self._enter(element)
                    self.queue.append(element)
            case b"RPOP", b"queue":
                wanted = int(arguments[0]) if arguments else 1
                for _ in range(min(wanted, len(self.queue))):
                    self._leave(self.queue.pop())
            case b"LPUSH", b"dead":
                for record in arguments:
                    self._enter(DeadLetter.parse(record).element)
                    self.dead.appendleft(record)
            case b"ZADD", b"retry":
                self._enter(_delayed(arguments[1]))
                self.retry[arguments[1]] = float(arguments[0])
            case b"ZREM", b"retry":
                for member in arguments:
                    del self.retry[member]
                    self._leave(_delayed(member))
            case b"HINCRBY", b"ledger":
                counter = arguments[0].decode()
                self.counted[counter] += int(arguments[1])
                self._finished += int(arguments[1]) if counter in ("processed", "missed") else 0
            case _ if key.startswith(b"inflight:"):
                self._replay_in_flight(command, key, arguments)
            case _, b"queue" | b"retry" | b"dead":
                self._complain(f"{command!r} on {key!r} is no step of the queue's")

    def _replay_in_flight(self, command: bytes, key: bytes, arguments: list[bytes]) -> None:
        record = self.in_flight[key]
        match command:
            case b"HSET":
                for token, element in zip(arguments[::2], arguments[1::2], strict=True):
                    self._enter(element)
                    record[token] = element
            case b"HDEL":
                for token in arguments:
                    self._leave(record.pop(token))
            case _:
                self._complain(f"{command!r} on an in-flight record is no step of the queue's")

    def _enter(self, element: bytes) -> None:
        self._move(element, 1)

    def _leave(self, element: bytes) -> None:
        self._move(element, -1)

    def _move(self, element: bytes, step: int) -> None:
        identity = orjson.loads(element)["id"]
        self._touched.setdefault(identity, (self.places[identity], element))
        self.places[identity] += step

    def _judge(self, identity: str, before: int, element: bytes) -> bool:
        match before, self.places[identity]:
            case 1, 1:
                return False
            case 0, 1 if identity not in self.created:
                self.created[identity] = None
                return False
            case 1, 0:
                fields = orjson.loads(element)
                self.ended.append(Ended(identity, fields["operation"], fields["key"]))
                return True
        self._complain(f"{identity} went from {before} places to {self.places[identity]}")
        return False

    def _complain(self, problem: str) -> None:
        self.problems.append(problem)


def transactions(folder: Path) -> Iterator[list[Command]]:
    """Yield the write commands of a server, those of one script together (redis.io, "Persistence").

    A transaction that the file breaks off in did not take effect: Redis drops it, too, when it loads.
    """
    open_transaction: list[Command] | None = None
    for command in _commands(folder / "appendonlydir"):
        match command[0].upper():
            case b"MULTI":
                open_transaction = []
            case b"EXEC":
                yield open_transaction or []
                open_transaction = None
            case b"SELECT":
                pass
            case _ if open_transaction is not None:
                open_transaction.append(command)
            case _:
                yield [command]


def _commands(folder: Path) -> Iterator[Command]:
    for line in (folder / "appendonly.aof.manifest").read_text().splitlines():
        fields = line.split()
        entry = dict(zip(fields[::2], fields[1::2], strict=True))
        if entry["type"] != "i":
            continue
        reader: Any = hiredis.Reader()
        with (folder / entry["file"]).open("rb") as file:
            # In parts: the reader moves all that it still holds to the front, again and again.
            while part := file.read(_PART_BYTES):
                reader.feed(part)
                while (command := reader.gets()) is not False:
                    yield command


def _delayed(member: bytes) -> bytes:
    return member.split(b"\n", 1)[1]
