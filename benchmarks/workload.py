"""The work that everybody in a round gets: the same objects, the same messages in the same order.

Pure: a function of its seed. The mix is the brief's. Keys are chosen so that no answer can be "not found"
although workers overtake each other: a key that was used or created is left alone by DELETE, or by
everybody, until `DISTANCE` more messages have gone by.
"""

import json
import random
from collections import deque
from collections.abc import Iterator

import attrs

MIX = {"READ": 50, "UPDATE": 25, "CREATE": 10, "DELETE": 15}
MIN_UUIDS, MAX_UUIDS = 1_000, 10_000
DISTANCE = 400
PREFIX = "loadtest/"


@attrs.frozen
class Workload:
    """What one run consumes and what it must leave behind.

    Attributes:
        elements: Queue elements in the order of service (`DESIGN.md`'s message as JSON).
        remaining: The keys that must exist in the end.
    """

    elements: list[bytes]
    remaining: frozenset[str]


def initial_keys(messages: int) -> list[str]:
    """Return the keys to create first: 500, and what the mix (5 % fewer a message) will use up."""
    return [f"{PREFIX}initial-{n:06d}" for n in range(500 + messages // 20)]


def initial_objects(messages: int, seed: int = 1) -> Iterator[tuple[str, bytes]]:
    """Yield the objects of `initial_keys`, each of 1,000-10,000 lines in the form of a UUIDv4."""
    rng = random.Random(seed)
    pool = _lines(rng, MAX_UUIDS * 2)
    for key in initial_keys(messages):
        start, count = rng.randrange(MAX_UUIDS), rng.randint(MIN_UUIDS, MAX_UUIDS)
        yield key, pool[start * 37 : (start + count) * 37]


def workload(messages: int, keys: list[str], *, now: float, seed: int = 1) -> Workload:
    """Return `messages` of the mix, over objects that start as `keys`, all due `now` (Unix seconds)."""
    rng = random.Random(seed)
    alive = _Keys(rng, keys)
    elements = []
    for number, operation in enumerate(_operations(rng, messages)):
        if operation == "CREATE":
            key, params = f"{PREFIX}created-{number:06d}", {"uuids": rng.randint(MIN_UUIDS, MAX_UUIDS)}
            alive.create(key)
        else:
            key, params = alive.delete() if operation == "DELETE" else alive.use(), {}
        alive.tick()
        message = {
            "id": f"bench-{number:08d}",
            "operation": operation,
            "key": key,
            "phase": "steady",
            "created_at": now,
            "retries": 0,
            "params": params,
        }
        elements.append(json.dumps(message, separators=(",", ":")).encode())
    return Workload(elements, frozenset(alive.all()))


def _operations(rng: random.Random, messages: int) -> Iterator[str]:
    """Yield operations in shuffled decks, so that every stretch of 20 messages has the exact mix."""
    deck = [name for name, share in MIX.items() for _ in range(share // 5)]
    for number in range(messages):
        if number % len(deck) == 0:
            rng.shuffle(deck)
        yield deck[number % len(deck)]


class _Keys:
    """The live keys, and how long each has been left alone."""

    def __init__(self, rng: random.Random, keys: list[str]) -> None:
        self._rng = rng
        self._keys = list(keys)
        self._used_at = dict.fromkeys(keys, -DISTANCE)
        self._unborn: deque[tuple[int, str]] = deque()
        self._now = 0

    def tick(self) -> None:
        """Let one message go by."""
        self._now += 1
        while self._unborn and self._unborn[0][0] + DISTANCE <= self._now:
            _, key = self._unborn.popleft()
            self._keys.append(key)
            self._used_at[key] = -DISTANCE

    def create(self, key: str) -> None:
        """Add a key, to be used when its CREATE is surely done."""
        self._unborn.append((self._now, key))

    def use(self) -> str:
        """Return a random key and remember when it was used."""
        key = self._rng.choice(self._keys)
        self._used_at[key] = self._now
        return key

    def delete(self) -> str:
        """Take out a random key that nobody can still be using."""
        while True:
            index = self._rng.randrange(len(self._keys))
            key = self._keys[index]
            if self._used_at[key] + DISTANCE <= self._now:
                self._keys[index] = self._keys[-1]
                self._keys.pop()
                return key

    def all(self) -> list[str]:
        """Return every key that is or will be alive."""
        return self._keys + [key for _, key in self._unborn]


def _lines(rng: random.Random, count: int) -> bytes:
    """Return `count` lines in the form of a UUIDv4, 37 bytes each."""
    digits = rng.randbytes(16 * count).hex()
    rows = (digits[n : n + 32] for n in range(0, len(digits), 32))
    lines = (f"{row[:8]}-{row[8:12]}-4{row[13:16]}-a{row[17:20]}-{row[20:]}\n" for row in rows)
    return "".join(lines).encode()
