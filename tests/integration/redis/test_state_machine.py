"""Everything that can happen to the queue, in any order, against a model of a few lists.

Three consumers enqueue, claim, settle, release, beat, reap, stall, crash and retire; retries fall due;
dead letters are requeued and purged; strangers push; the server falls back to an older past or forgets
everything. Calls are repeated after a lost reply, given up with their reply unheard, given up before
they were sent; and each of them may arrive long after, for the first time or once more. After every
step the contents of Redis equal the model's, in order, and the ledger is closed.

The model hears what Redis hears: every call that arrives goes to both. That the service sends the right
calls, and makes the right thing of the replies, is what the rules assert.
"""

from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from copy import deepcopy
from functools import partial
from typing import Any

import attrs
import redis
import trio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from loadtest_trio.backends.redis import DeadLetter, RedisService, dead_record
from loadtest_trio.jobs.delivery import Delivery, Settlement
from loadtest_trio.jobs.ledger import QueueSnapshot
from tests.support.redis_service import make_redis

MAX_DELIVERIES = 2
PREFIX = "{q}:"
KEYS = 8

slots = st.integers(0, 2)
elements = st.sampled_from([b"a", b"\xff\n\x00", b""])
outcomes = st.sampled_from(["processed", "missed", "retry", "dead"])


class UnsentError(Exception):
    """Raised in place of sending."""


@attrs.define
class Model:
    """What should be where. The queue's end 0 goes out next; dead records are newest first."""

    queue: list[bytes] = attrs.field(factory=list)
    in_flight: dict[str, dict[str, bytes]] = attrs.field(factory=dict)  # of the registered consumers
    retry: dict[bytes, bytes] = attrs.field(factory=dict)
    due: set[bytes] = attrs.field(factory=set)
    dead: list[bytes] = attrs.field(factory=list)
    reaped: Counter[bytes] = attrs.field(factory=Counter)
    counted: Counter[str] = attrs.field(factory=Counter)
    silent: list[str] = attrs.field(factory=list)  # the longest silent first
    answered: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    retired: Counter[str] = attrs.field(factory=Counter)

    def arrive(self, script: str, consumer: str, arguments: tuple[Any, ...]) -> None:
        """Do what a script does."""
        step: Callable[..., None] | None = getattr(self, script, None)
        if step:
            step(consumer, *arguments)

    def is_new(self, consumer: str, kind: str, number: int) -> bool:
        """Whether a numbered call was not seen before; it is now."""
        new = number > self.answered[consumer, kind]
        self.answered[consumer, kind] = max(number, self.answered[consumer, kind])
        return new

    def enqueue(self, consumer: str, number: int, *batch: bytes) -> None:
        if self.is_new(consumer, "batch", number):
            self.queue += batch
            self.counted["created"] += len(batch)

    def claim(self, consumer: str, _: int, number: str, limit: int, promoted: int, most: int) -> None:
        """Take due retries, then the queue's end; what is on its last delivery alone."""
        if self.is_new(consumer, "claim", int(number)):
            self.beat(consumer)
            self.queue = [self.retry.pop(member) for member in sorted(self.due)] + self.queue
            self.due.clear()
            limit = self.allowed(self.in_flight[consumer], limit, most)
            taken, self.queue = self.queue[:limit], self.queue[limit:]
            tokens = {f"{number}.{i:04d}": element for i, element in enumerate(taken, 1)}
            self.in_flight[consumer].update(tokens)

    def allowed(self, held: dict[str, bytes], limit: int, most: int) -> int:
        last = [self.reaped[element] >= most - 1 for element in self.queue[:limit]]
        if len(held) == 1 and self.reaped[next(iter(held.values()))] >= most - 1:
            return 0
        if True not in last:
            return limit
        return last.index(True) or int(not held)

    def settle(self, consumer: str, number: int, *pairs: Any) -> None:
        if not self.is_new(consumer, "settlement", number):
            return
        for token, action in zip(pairs[::2], pairs[1::2], strict=True):
            element = self.in_flight.get(consumer, {}).pop(token, None)
            if element is None:
                continue
            self.reaped.pop(element, None)
            match action[:1]:
                case b"r":
                    payload = action.partition(b"\n")[2]
                    self.retry[f"{consumer} {token}\n".encode() + payload] = payload
                case b"d":
                    self.dead.insert(0, action[1:])
                case kind:
                    self.counted[{b"p": "processed", b"m": "missed"}[kind]] += 1

    def release(self, consumer: str, *tokens: str) -> None:
        """Return claimed messages to the end that goes out next."""
        record = self.in_flight.get(consumer, {})
        self.queue = [record.pop(token) for token in sorted(tokens) if token in record] + self.queue

    def strays(self, consumer: str, number: int, *known: str) -> None:
        record = self.in_flight.get(consumer, {})
        self.release(consumer, *(each for each in record if claim_of(each) <= number and each not in known))

    def heartbeat(self, consumer: str, _: int, latest_claim: int) -> None:
        if latest_claim > self.retired[consumer]:
            self.beat(consumer)

    def beat(self, consumer: str) -> None:
        """Register, and be heard."""
        self.in_flight.setdefault(consumer, {})
        if consumer in self.silent:
            self.silent.remove(consumer)

    def retire(self, consumer: str, number: int) -> None:
        self.release(
            consumer, *(each for each in self.in_flight.get(consumer, {}) if claim_of(each) <= number)
        )
        self.forget_if_empty(consumer)
        self.retired[consumer] = number
        self.is_new(consumer, "claim", number)

    def forget_if_empty(self, consumer: str) -> None:
        if not self.in_flight.get(consumer):
            self.in_flight.pop(consumer, None)
            self.silent = [each for each in self.silent if each != consumer]

    def reap(self, consumer: str, _: int, most: int, budget: int, latest_claim: int) -> None:
        """Judge every silent consumer, longest silent first; what was delivered too often stays."""
        if latest_claim <= self.retired[consumer]:
            return
        self.beat(consumer)
        for owner in self.silent.copy():
            judged = dict[bytes, int]()
            for token, element in sorted(self.in_flight[owner].items(), reverse=True):
                deliveries = judged.setdefault(element, self.reaped[element] + 1)
                if deliveries < most:
                    self.reaped[element] = deliveries
                    self.release(owner, token)
            self.forget_if_empty(owner)

    def bury(self, consumer: str, _: int, *triples: Any) -> None:
        for owner, token, record in zip(triples[::3], triples[1::3], triples[2::3], strict=True):
            owner, token = owner.decode(), token.decode()
            element = self.in_flight.get(owner, {}).get(token)
            if element is not None and owner in self.silent:
                del self.in_flight[owner][token]
                self.reaped.pop(element, None)
                self.dead.insert(0, record)
                self.forget_if_empty(owner)

    def requeue(self, consumer: str, number: int, *pairs: bytes) -> None:
        if self.is_new(consumer, "move", number):
            for record, element in zip(pairs[::2], pairs[1::2], strict=True):
                if record in self.dead:
                    del self.dead[len(self.dead) - 1 - self.dead[::-1].index(record)]
                    self.queue.append(element)

    def purge(self, consumer: str, number: int) -> None:
        if self.is_new(consumer, "move", number):
            self.counted["purged"] += len(self.dead)
            self.dead.clear()


def claim_of(token: str) -> int:
    return int(token.partition(".")[0])


class QueueMachine(RuleBasedStateMachine):
    """The rules; what they send goes to Redis and to the model."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.client: Any = redis.Redis.from_url(url)
        self.client.flushall()
        self.model = Model()
        self.consumers: list[RedisService] = []
        self.names: list[str] = []
        self.stale: list[str] = []
        self.sent: list[tuple[Any, ...]] = []
        self.saved: tuple[Model, dict[bytes, tuple[bytes, int]]] | None = None
        self.mode = "once"
        self.looking = False
        self.born = 0
        self.silences = 0

    @initialize()
    def start(self) -> None:
        for slot in range(3):
            self.replace(slot)

    def replace(self, slot: int) -> None:
        """Start a new process in a slot."""
        self.born += 1
        name = f"consumer{self.born}"
        service = make_redis(
            url=self.url, queue_name="q", consumer=name, backoff=lambda _: 0.0, max_deliveries=MAX_DELIVERIES,
            heartbeat_ttl=3600.0, clock=lambda: 0.0,
        )  # fmt: skip
        execute = service._connections.execute
        service._connections.execute = partial(self.execute, execute)  # type: ignore[method-assign]  # the fault
        self.consumers[slot : slot + 1] = [service]
        self.names[slot : slot + 1] = [name]

    def execute(self, execute: Callable[..., Any], *command: Any) -> Any:
        """Run a command as the current step wants it: once, twice as after a lost reply, or not at all."""
        if command[0] != b"EVALSHA":
            return execute(*command)
        if self.looking:
            return execute(*command)
        self.sent.append(command)
        if self.mode == "unsent":
            raise UnsentError
        reply = self.arrive(execute, command)
        return self.arrive(execute, command) if self.mode == "repeated" else reply

    def arrive(self, execute: Callable[..., Any], command: tuple[Any, ...]) -> Any:
        """Let a call reach Redis, and the model."""
        heads = self.consumers[0]._channel._scripts._heads
        script = next(name for name, head in heads.items() if command[:2] == head[:2])
        consumer, *arguments = command[3 + KEYS :]
        if script == "reap" and arguments[-1] > self.model.retired[consumer]:
            # Redis has been up for long, and whoever judges was heard just now.
            self.client.zadd(PREFIX + "consumers", {consumer: self.client.time()[0] * 1000})
            self.client.hset(PREFIX + "ledger", "serving_since", 0)
        reply = execute(*command)
        self.model.arrive(script, consumer, tuple(arguments))
        return reply

    def call(
        self, slot: int, mode: str | bool, call: Callable[[RedisService], Coroutine[Any, Any, Any]]
    ) -> Any:
        """Run one call of a consumer, to its end."""
        self.mode = mode if isinstance(mode, str) else "repeated" if mode else "once"
        try:
            return trio.run(call, self.consumers[slot])
        finally:
            self.mode = "once"

    def held(self, slot: int) -> dict[str, bytes]:
        return self.model.in_flight.get(self.names[slot], {})

    @rule(slot=slots, batch=st.lists(elements, min_size=1, max_size=4), repeated=st.booleans())
    def enqueue(self, slot: int, batch: list[bytes], repeated: bool) -> None:
        expected = self.model.queue + batch
        assert self.call(slot, repeated, lambda service: service.enqueue(batch)) == len(expected)
        assert self.model.queue == expected

    @rule(element=elements)
    def stranger_pushes(self, element: bytes) -> None:
        self.client.lpush(PREFIX + "queue", element)
        self.model.queue.append(element)
        self.model.counted["foreign"] += 1

    @rule(slot=slots, limit=st.integers(1, 5), repeated=st.booleans())
    def claim(self, slot: int, limit: int, repeated: bool) -> None:
        waiting = len(self.model.queue) + len(self.model.due)
        deliveries: list[Delivery] = self.call(slot, repeated, lambda service: service.claim(limit))
        number = self.consumers[slot]._claim
        taken = {token: element for token, element in self.held(slot).items() if claim_of(token) == number}
        assert {delivery.token: delivery.element for delivery in deliveries} == taken
        assert len(taken) == min(limit, waiting) or +self.model.reaped, "the last delivery is alone"

    @rule(slot=slots, limit=st.integers(1, 5))
    def claim_and_never_hear_of_it(self, slot: int, limit: int) -> None:
        service = self.consumers[slot]
        held = set(service._held)
        self.call(slot, False, lambda service: service.claim(limit))
        service._held = held

    @rule(slot=slots, repeated=st.booleans())
    def heartbeat(self, slot: int, repeated: bool) -> None:
        self.call(slot, repeated, lambda service: service.heartbeat())
        assert self.names[slot] in self.model.in_flight
        assert len(self.held(slot)) <= len(self.consumers[slot]._held), "strays are back on the queue"

    @precondition(lambda self: any(service._held for service in self.consumers))
    @rule(slot=slots, choice=st.lists(outcomes, min_size=1, max_size=5), repeated=st.booleans())
    def settle(self, slot: int, choice: list[str], repeated: bool) -> None:
        """Settle what this process believes it holds, and something settled before."""
        tokens = [*sorted(self.consumers[slot]._held), *self.stale[-1:]]
        picked = list(zip(dict.fromkeys(tokens), choice, strict=False))
        settlements = [self.settlement(slot, token, outcome) for token, outcome in picked]
        expected = [token in self.held(slot) for token, _ in picked]
        self.stale += [token for token, _ in picked]
        assert self.call(slot, repeated, lambda service: service.settle(settlements)) == expected

    def settlement(self, slot: int, token: str, outcome: str) -> Settlement:
        element = self.held(slot).get(token, b"stale")
        match outcome:
            case "retry":
                return Settlement.retry(token, element, 3600.0)
            case "dead":
                return Settlement.dead(token, dead_record(element, error="e", attempts=1, time=0.0))
            case "missed":
                return Settlement.missed(token)
        return Settlement.processed(token)

    @precondition(lambda self: any(service._held for service in self.consumers))
    @rule(slot=slots, choice=st.sets(st.integers(0, 3), min_size=1), repeated=st.booleans())
    def release(self, slot: int, choice: set[int], repeated: bool) -> None:
        tokens = [token for n, token in enumerate(sorted(self.consumers[slot]._held)) if n in choice]
        self.call(slot, repeated, lambda service: service.release(tokens))
        assert not set(tokens) & set(self.held(slot))

    @precondition(lambda self: any(self.model.in_flight.values()))
    @rule(slot=slots, crash=st.booleans())
    def fall_silent(self, slot: int, crash: bool) -> None:
        """Stall, to come back later perhaps; or crash, and another process starts in the slot."""
        name = self.names[slot]
        if name in self.model.in_flight and name not in self.model.silent:
            self.silences += 1
            self.client.zadd(PREFIX + "consumers", {name: self.silences})
            self.model.silent.append(name)
        if crash:
            self.consumers[slot].close()
            self.replace(slot)

    @precondition(lambda self: self.model.silent)
    @rule(slot=slots, repeated=st.booleans())
    def reap(self, slot: int, repeated: bool) -> None:
        self.call(slot, repeated, lambda service: service.reap())
        assert not self.model.silent

    @rule(slot=slots, repeated=st.booleans())
    def retire(self, slot: int, repeated: bool) -> None:
        self.call(slot, repeated, lambda service: service.retire())
        assert self.names[slot] not in self.model.in_flight
        self.replace(slot)

    @precondition(lambda self: self.model.retry)
    @rule()
    def retries_fall_due(self) -> None:
        self.client.zadd(PREFIX + "retry", dict.fromkeys(self.model.retry, 0))
        self.model.due.update(self.model.retry)

    @precondition(lambda self: self.model.dead)
    @rule(slot=slots, repeated=st.booleans())
    def requeue_all(self, slot: int, repeated: bool) -> None:
        expected = self.model.queue + [DeadLetter.parse(each).element for each in reversed(self.model.dead)]
        dead = len(self.model.dead)
        assert self.call(slot, repeated, lambda service: service.dead_letters.requeue_all()) == dead
        assert self.model.queue == expected

    @precondition(lambda self: self.model.dead)
    @rule(slot=slots, repeated=st.booleans())
    def requeue_one(self, slot: int, repeated: bool) -> None:
        letter, dead = DeadLetter.parse(self.model.dead[-1]), len(self.model.dead)
        assert self.call(slot, repeated, lambda service: service.dead_letters.requeue(letter.id))
        assert len(self.model.dead) == dead - 1
        assert self.model.queue[-1] == letter.element

    @precondition(lambda self: self.model.dead)
    @rule(slot=slots, repeated=st.booleans())
    def purge(self, slot: int, repeated: bool) -> None:
        dead = len(self.model.dead)
        assert self.call(slot, repeated, lambda service: service.dead_letters.purge()) == dead
        assert not self.model.dead

    @rule(slot=slots, limit=st.integers(1, 4), repeated=st.booleans())
    def fail_over(self, slot: int, limit: int, repeated: bool) -> None:
        """One consumer dies at work and another reaps it: often enough that messages turn to poison."""
        self.claim(slot, limit, False)
        if self.held(slot):
            self.fall_silent(slot, True)
            self.reap((slot + 1) % 3, repeated)

    @rule(slot=slots, batch=st.lists(elements, min_size=1, max_size=3), repeated=st.booleans())
    def give_up(self, slot: int, batch: list[bytes], repeated: bool) -> None:
        """Messages that come in and go straight to the dead list."""
        self.enqueue(slot, batch, False)
        self.claim(slot, 5, False)
        self.settle(slot, ["dead"] * 3, repeated)

    @rule(
        slot=slots,
        kind=st.sampled_from(
            ["enqueue", "claim", "settle", "release", "heartbeat", "reap", "retire", "requeue", "purge"]
        ),
        leave=st.booleans(),
    )
    def never_sent(self, slot: int, kind: str, leave: bool) -> None:
        """A call is given up before it reaches Redis: its consumer goes on, or leaves before it arrives."""
        tokens, sent = sorted(self.consumers[slot]._held), list(self.sent)
        calls: dict[str, Callable[[RedisService], Coroutine[Any, Any, Any]]] = {
            "enqueue": lambda service: service.enqueue([b"late"]),
            "claim": lambda service: service.claim(2),
            "settle": lambda service: service.settle([Settlement.processed(each) for each in tokens]),
            "release": lambda service: service.release(tokens),
            "heartbeat": lambda service: service.heartbeat(),
            "reap": lambda service: service.reap(),
            "retire": lambda service: service.retire(),
            "requeue": lambda service: service.dead_letters.requeue_all(),
            "purge": lambda service: service.dead_letters.purge(),
        }
        with suppress(UnsentError):
            self.call(slot, "unsent", calls[kind])
        if kind == "retire":
            self.fall_silent(slot, True)
        elif leave:
            held = self.sent[len(sent) :]
            self.retire(slot, False)
            for command in held:
                self.arrive_late(command)

    @rule(age=st.integers(0, 20))
    def late_arrival(self, age: int) -> None:
        """A call given up long ago arrives after all, once more or for the first time."""
        if age < len(self.sent):
            self.arrive_late(self.sent[-1 - age])

    def arrive_late(self, command: tuple[Any, ...]) -> None:
        with suppress(redis.ResponseError):  # the outdated are refused; nobody listens
            self.arrive(self.client.execute_command, command)

    @rule()
    def save(self) -> None:
        """The server keeps what there is now: for `fall_back`."""
        keys = self.client.keys(PREFIX + "*")
        dumped = {key: (self.client.dump(key), max(0, self.client.pttl(key))) for key in keys}
        self.saved = deepcopy(self.model), dumped

    @precondition(lambda self: self.saved)
    @rule(order=st.permutations(range(3)), early=st.booleans())
    def fall_back(self, order: list[int], early: bool) -> None:
        """The server comes back with what it had kept; what any process remembers beyond that is lost."""
        assert self.saved
        model, dumped = deepcopy(self.saved[0]), self.saved[1]
        remembered = [self.remembered(slot).get("created", 0) for slot in order]
        lost = max(0, max(remembered) - model.counted["created"])
        model.counted.update(created=lost, lost=lost)
        self.client.flushdb()
        for key, (value, ttl) in dumped.items():
            self.client.restore(key, ttl, value)
        self.live_again(model, order, early)

    @rule(order=st.permutations(range(3)), early=st.booleans())
    def forget_everything(self, order: list[int], early: bool) -> None:
        """The server comes back empty: what the processes remember, taken together, is restored."""
        model, known = Model(), Counter[str]()
        for slot in order:
            known |= Counter(self.remembered(slot))
        unaccounted = known["created"] - sum(
            known[each] for each in ("processed", "missed", "purged", "lost")
        )
        model.counted.update(known)
        model.counted["lost"] += max(0, unaccounted)
        model.counted["foreign"] = max(0, -unaccounted)
        self.client.flushdb()
        self.saved = None
        self.live_again(model, order, early)

    def remembered(self, slot: int) -> dict[str, int]:
        """What a process knows of the books."""
        books = self.consumers[slot]._losses._seen.latest
        return attrs.asdict(books, filter=lambda field, _: field.name != "epoch") if books else {}

    def live_again(self, model: Model, order: list[int], early: bool) -> None:
        """Begin another life of the server, in which somebody perhaps enqueues before all have seen it."""
        self.model = model
        if self.client.exists(PREFIX + "ledger"):
            self.client.hset(PREFIX + "ledger", "life", "another")
        self.sent.clear()  # their numbers may be forgotten: a late duplicate would be a new call
        if early:
            self.enqueue(order[-1], [b"early"] * 3, False)
        for slot in order:
            self.heartbeat(slot, False)

    @invariant()
    def contents_equal_the_model(self) -> None:
        model, look = self.model, self.client.pipeline(transaction=False)
        look.lrange(PREFIX + "queue", 0, -1).zrange(PREFIX + "retry", 0, -1).lrange(PREFIX + "dead", 0, -1)
        look.hgetall(PREFIX + "deliveries").zrange(PREFIX + "consumers", 0, -1)
        for name in model.in_flight:
            look.hgetall(PREFIX + "inflight:" + name)
        queue, retry, dead, deliveries, consumers, *records = look.execute()
        assert list(reversed(queue)) == model.queue
        assert set(retry) == set(model.retry)
        assert dead == model.dead
        assert {element: int(times) for element, times in deliveries.items()} == +model.reaped
        assert {name.decode() for name in consumers} == set(model.in_flight)
        for found, record in zip(records, model.in_flight.values(), strict=True):
            assert {token.decode(): element for token, element in found.items()} == record

    @invariant()
    def ledger_is_closed(self) -> None:
        if not self.consumers:
            return
        self.looking = True
        snapshot = QueueSnapshot.parse(self.consumers[0]._channel._scripts.run("snapshot"))
        self.looking = False
        counted = self.model.counted
        assert snapshot.surplus == counted["foreign"]
        for name in ("created", "processed", "missed", "purged", "lost"):
            assert getattr(snapshot, name) == counted[name], name
        assert snapshot.in_flight == sum(map(len, self.model.in_flight.values()))

    def teardown(self) -> None:
        for service in self.consumers:
            service.close()
        self.client.close()


def test_any_order_of_events(each_redis_url: str) -> None:
    """Whatever happens in whatever order, every message is where the model says, and the books balance."""

    class Machine(QueueMachine):
        def __init__(self) -> None:
            super().__init__(each_redis_url)

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=30,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
