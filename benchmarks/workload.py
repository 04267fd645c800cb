"""The workload of a round: every contender gets the same objects and the same messages in the same order.

It is a pure function of its seed, and has the brief's mix. Keys are chosen so that no request can get "not
found" although workers overtake each other: a used key is not deleted, and a created key is not used, until
`DISTANCE` more messages have passed.
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
    """The messages of one run, and the keys that must exist after it.

    Attributes:
        elements: Queue elements in order, each a message as JSON.
        remaining: The keys that must exist afterwards.
    """

    elements: list[bytes]
    remaining: frozenset[str]


def initial_keys(messages: int) -> list[str]:
    """Return the keys to create beforehand: 500, plus those the mix uses up (0.05 per message)."""
    return [f"{PREFIX}initial-{n:06d}" for n in range(500 + messages // 20)]


def initial_objects(messages: int, seed: int = 1) -> Iterator[tuple[str, bytes]]:
    """Yield the objects of `initial_keys`, each with 1,000-10,000 lines that look like a UUIDv4."""
    rng = random.Random(seed)
    pool = _lines(rng, MAX_UUIDS * 2)
    for key in initial_keys(messages):
        start, count = rng.randrange(MAX_UUIDS), rng.randint(MIN_UUIDS, MAX_UUIDS)
        yield key, pool[start * 37 : (start + count) * 37]


def workload(messages: int, keys: list[str], *, now: float, seed: int = 1) -> Workload:
    """Return messages of the mix over objects that exist as `keys`, all due `now` (Unix seconds)."""
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
    """Yield operations in shuffled decks of 20, so that every deck has the exact mix."""
    deck = [name for name, share in MIX.items() for _ in range(share // 5)]
    for number in range(messages):
        if number % len(deck) == 0:
            rng.shuffle(deck)
        yield deck[number % len(deck)]


class _Keys:
    """The existing keys, and when each was last used."""

    def __init__(self, rng: random.Random, keys: list[str]) -> None:
        self._rng = rng
        self._keys = list(keys)
        self._used_at = dict.fromkeys(keys, -DISTANCE)
        self._unborn: deque[tuple[int, str]] = deque()
        self._now = 0

    def tick(self) -> None:
        """Advance by one message."""
        self._now += 1
        while self._unborn and self._unborn[0][0] + DISTANCE <= self._now:
            _, key = self._unborn.popleft()
            self._keys.append(key)
            self._used_at[key] = -DISTANCE

    def create(self, key: str) -> None:
        """Add a key that can be used once its CREATE must have finished."""
        self._unborn.append((self._now, key))

    def use(self) -> str:
        """Return a random key and remember when it was used."""
        key = self._rng.choice(self._keys)
        self._used_at[key] = self._now
        return key

    def delete(self) -> str:
        """Remove a random key that no message can still be using."""
        while True:
            index = self._rng.randrange(len(self._keys))
            key = self._keys[index]
            if self._used_at[key] + DISTANCE <= self._now:
                self._keys[index] = self._keys[-1]
                self._keys.pop()
                return key

    def all(self) -> list[str]:
        """Return every key that exists or is being created."""
        return self._keys + [key for _, key in self._unborn]


def _lines(rng: random.Random, count: int) -> bytes:
    """Return `count` lines that look like a UUIDv4, 37 bytes each."""
    digits = rng.randbytes(16 * count).hex()
    rows = (digits[n : n + 32] for n in range(0, len(digits), 32))
    lines = (f"{row[:8]}-{row[8:12]}-4{row[13:16]}-a{row[17:20]}-{row[20:]}\n" for row in rows)
    return "".join(lines).encode()
