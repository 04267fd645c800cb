"""Everything that can happen to the queue, in any order, against a model of a few lists.

Three consumers enqueue, claim, settle, release, beat, reap, stall, crash and retire; retries fall due;
dead letters are requeued and purged; strangers push; calls are repeated after a lost reply, given up
with their reply unheard, and arrive once more long after they were given up. After every step the
contents of Redis equal the model's, in order, and the ledger is closed.
"""

from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
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

from loadtest_trio.redis_service import (
    DeadLetter,
    Delivery,
    QueueSnapshot,
    RedisService,
    Settlement,
    dead_record,
)

MAX_DELIVERIES = 2
PREFIX = "{q}:"

slots = st.integers(0, 2)
elements = st.sampled_from([b"a", b"\xff\n\x00", b""])
outcomes = st.sampled_from(["processed", "missed", "retry", "dead"])
LATE = ("enqueue", "claim", "settle", "release", "retire")


@attrs.define
class Model:
    """What should be where. The queue's end 0 goes out next."""

    queue: list[bytes] = attrs.field(factory=list)
    in_flight: dict[str, dict[str, bytes]] = attrs.field(factory=dict)
    retry: dict[bytes, bytes] = attrs.field(factory=dict)
    due: set[bytes] = attrs.field(factory=set)
    dead: list[bytes] = attrs.field(factory=list)
    reaped: Counter[bytes] = attrs.field(factory=Counter)
    counted: Counter[str] = attrs.field(factory=Counter)
    silent: list[str] = attrs.field(factory=list)

    def claim(self, consumer: str, claim: int, limit: int) -> dict[str, bytes]:
        """Take due retries, then the queue's end."""
        self.beat(consumer)
        self.queue = [self.retry.pop(member) for member in sorted(self.due)] + self.queue
        self.due.clear()
        taken, self.queue = self.queue[:limit], self.queue[limit:]
        tokens = {f"{claim}.{i:04d}": element for i, element in enumerate(taken, 1)}
        self.in_flight[consumer].update(tokens)
        return tokens

    def give_back(self, consumer: str, tokens: list[str]) -> None:
        """Return claimed messages to the end that goes out next."""
        record = self.in_flight.get(consumer, {})
        self.queue = [record.pop(token) for token in sorted(tokens) if token in record] + self.queue

    def beat(self, consumer: str) -> None:
        """Register, and be heard."""
        self.in_flight.setdefault(consumer, {})
        if consumer in self.silent:
            self.silent.remove(consumer)

    def reap(self) -> None:
        """Judge every silent consumer, longest silent first."""
        buried: list[bytes] = []
        for consumer in self.silent:
            record, judged = self.in_flight.pop(consumer), dict[bytes, int]()
            for _, element in sorted(record.items(), reverse=True):
                deliveries = judged.setdefault(element, self.reaped[element] + 1)
                if deliveries < MAX_DELIVERIES:
                    self.reaped[element] = deliveries
                    self.queue.insert(0, element)
                else:
                    buried.append(element)
        for element in buried:
            self.reaped.pop(element, None)
            self.dead.insert(0, element)
        self.silent.clear()


class QueueMachine(RuleBasedStateMachine):
    """The rules; each runs the real call and the model's."""

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
        self.mode = "once"
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
        service = RedisService(
            url=self.url, queue_name="q", consumer=name, backoff=lambda _: 0.0, max_deliveries=MAX_DELIVERIES,
            heartbeat_ttl=3600.0, clock=lambda: 0.0,
        )  # fmt: skip
        execute = service._connections.execute
        service._connections.execute = partial(self.execute, execute)  # type: ignore[method-assign]  # the fault
        self.consumers[slot : slot + 1] = [service]
        self.names[slot : slot + 1] = [name]

    def execute(self, execute: Callable[..., Any], *command: Any) -> Any:
        """Run a command as the current step wants it: once, or twice as after a lost reply."""
        name = self.script_of(command)
        if name in LATE:
            self.sent.append(command)
        reply = execute(*command)
        return execute(*command) if self.mode == "repeated" else reply

    def script_of(self, command: tuple[Any, ...]) -> str:
        heads = self.consumers[0]._channel._scripts._heads if self.consumers else {}
        return next((name for name, head in heads.items() if command[:2] == head[:2]), "")

    def call(
        self, slot: int, repeated: bool, call: Callable[[RedisService], Coroutine[Any, Any, Any]]
    ) -> Any:
        """Run one call of a consumer, to its end."""
        self.mode = "repeated" if repeated else "once"
        try:
            return trio.run(call, self.consumers[slot])
        finally:
            self.mode = "once"

    def held(self, slot: int) -> dict[str, bytes]:
        return self.model.in_flight.get(self.names[slot], {})

    @rule(slot=slots, batch=st.lists(elements, min_size=1, max_size=4), repeated=st.booleans())
    def enqueue(self, slot: int, batch: list[bytes], repeated: bool) -> None:
        self.model.queue += batch
        self.model.counted["created"] += len(batch)
        assert self.call(slot, repeated, lambda service: service.enqueue(batch)) == len(self.model.queue)

    @rule(element=elements)
    def stranger_pushes(self, element: bytes) -> None:
        self.client.lpush(PREFIX + "queue", element)
        self.model.queue.append(element)
        self.model.counted["foreign"] += 1

    @rule(slot=slots, limit=st.integers(1, 5), repeated=st.booleans())
    def claim(self, slot: int, limit: int, repeated: bool) -> None:
        deliveries: list[Delivery] = self.call(slot, repeated, lambda service: service.claim(limit))
        expected = self.model.claim(self.names[slot], self.consumers[slot]._claim, limit)
        assert {delivery.token: delivery.element for delivery in deliveries} == expected
        assert all(each.deliveries == self.model.reaped[each.element] + 1 for each in deliveries)

    @rule(slot=slots, limit=st.integers(1, 5))
    def claim_and_never_hear_of_it(self, slot: int, limit: int) -> None:
        service = self.consumers[slot]
        held = set(service._held)
        self.call(slot, False, lambda service: service.claim(limit))
        service._held = held
        self.model.claim(self.names[slot], service._claim, limit)

    @rule(slot=slots, repeated=st.booleans())
    def heartbeat(self, slot: int, repeated: bool) -> None:
        service, record = self.consumers[slot], self.held(slot)
        known = service._held
        if len(record) > len(known):
            self.model.give_back(self.names[slot], [token for token in record if token not in known])
        self.model.beat(self.names[slot])
        self.call(slot, repeated, lambda service: service.heartbeat())

    @precondition(lambda self: any(service._held for service in self.consumers))
    @rule(slot=slots, choice=st.lists(outcomes, min_size=1, max_size=5), repeated=st.booleans())
    def settle(self, slot: int, choice: list[str], repeated: bool) -> None:
        """Settle what this process believes it holds, and something settled before."""
        name = self.names[slot]
        tokens = [*sorted(self.consumers[slot]._held), *self.stale[-1:]]
        picked = list(zip(tokens, choice, strict=False))
        settlements = [self.settlement(slot, token, outcome) for token, outcome in picked]
        expected = [self.settle_in_model(name, token, outcome) for token, outcome in picked]
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

    def settle_in_model(self, name: str, token: str, outcome: str) -> bool:
        self.stale.append(token)
        element = self.model.in_flight.get(name, {}).pop(token, None)
        if element is None:
            return False
        self.model.reaped.pop(element, None)
        if outcome == "retry":
            self.model.retry[f"{name} {token}\n".encode() + element] = element
        elif outcome == "dead":
            self.model.dead.insert(0, element)
        else:
            self.model.counted[outcome] += 1
        return True

    @precondition(lambda self: any(service._held for service in self.consumers))
    @rule(slot=slots, choice=st.sets(st.integers(0, 3), min_size=1), repeated=st.booleans())
    def release(self, slot: int, choice: set[int], repeated: bool) -> None:
        tokens = [token for n, token in enumerate(sorted(self.consumers[slot]._held)) if n in choice]
        self.model.give_back(self.names[slot], tokens)
        self.call(slot, repeated, lambda service: service.release(tokens))

    @precondition(lambda self: any(self.model.in_flight.values()))
    @rule(slot=slots, crash=st.booleans())
    def fall_silent(self, slot: int, crash: bool) -> None:
        """Stall, to come back later perhaps; or crash, and another process starts in the slot."""
        name = self.names[slot]
        if self.client.zscore(PREFIX + "consumers", name) is not None and name not in self.model.silent:
            self.silences += 1
            self.client.zadd(PREFIX + "consumers", {name: self.silences})
            self.model.silent.append(name)
        if crash:
            self.consumers[slot].close()
            self.replace(slot)

    @precondition(lambda self: self.model.silent)
    @rule(slot=slots, repeated=st.booleans())
    def reap(self, slot: int, repeated: bool) -> None:
        """Judge; Redis has been up for long, and whoever judges was heard just now."""
        name = self.names[slot]
        self.client.zadd(PREFIX + "consumers", {name: self.client.time()[0] * 1000})
        self.client.hset(PREFIX + "ledger", "serving_since", 0)
        self.model.beat(name)
        self.model.reap()
        self.call(slot, repeated, lambda service: service.reap())

    @rule(slot=slots, repeated=st.booleans())
    def retire(self, slot: int, repeated: bool) -> None:
        name = self.names[slot]
        self.model.give_back(name, list(self.held(slot)))
        self.model.in_flight.pop(name, None)
        if name in self.model.silent:
            self.model.silent.remove(name)
        self.call(slot, repeated, lambda service: service.retire())
        self.replace(slot)

    @precondition(lambda self: self.model.retry)
    @rule()
    def retries_fall_due(self) -> None:
        self.client.zadd(PREFIX + "retry", dict.fromkeys(self.model.retry, 0))
        self.model.due.update(self.model.retry)

    @precondition(lambda self: self.model.dead)
    @rule(slot=slots, repeated=st.booleans())
    def requeue_all(self, slot: int, repeated: bool) -> None:
        self.model.queue += reversed(self.model.dead)
        self.model.dead.clear()
        self.call(slot, repeated, lambda service: service.dead_letters.requeue_all())

    @precondition(lambda self: self.model.dead)
    @rule(slot=slots)
    def requeue_one(self, slot: int) -> None:
        letters = trio.run(self.consumers[slot].dead_letters.page)
        letter = next(each for each in letters if each.id == letters[-1].id)
        assert self.call(slot, False, lambda service: service.dead_letters.requeue(letter.id))
        place = max(n for n, each in enumerate(letters) if each.record == letter.record)
        self.model.queue.append(self.model.dead.pop(place))

    @precondition(lambda self: self.model.dead)
    @rule(slot=slots, repeated=st.booleans())
    def purge(self, slot: int, repeated: bool) -> None:
        self.model.counted["purged"] += len(self.model.dead)
        self.model.dead.clear()
        self.call(slot, repeated, lambda service: service.dead_letters.purge())

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

    @rule(age=st.integers(0, 20))
    def late_duplicate(self, age: int) -> None:
        """A call given up long ago arrives after all; at most it registers its consumer."""
        if age < len(self.sent):
            command = self.sent[-1 - age]
            with suppress(redis.ResponseError):  # the outdated claim is refused; nobody listens
                self.client.execute_command(*command)
            self.note_registrations()

    def note_registrations(self) -> None:
        registered = {name.decode() for name in self.client.zrange(PREFIX + "consumers", 0, -1)}
        for name in registered - set(self.model.in_flight):
            self.model.in_flight[name] = {}
        for name in self.model.silent.copy():
            if self.client.zscore(PREFIX + "consumers", name) > self.silences:
                self.model.silent.remove(name)

    @invariant()
    def contents_equal_the_model(self) -> None:
        model, look = self.model, self.client.pipeline(transaction=False)
        look.lrange(PREFIX + "queue", 0, -1).zrange(PREFIX + "retry", 0, -1).lrange(PREFIX + "dead", 0, -1)
        look.hgetall(PREFIX + "deliveries")
        for name in model.in_flight:
            look.hgetall(PREFIX + "inflight:" + name)
        queue, retry, dead, deliveries, *records = look.execute()
        assert list(reversed(queue)) == model.queue
        assert set(retry) == set(model.retry)
        assert [DeadLetter.parse(record).element for record in dead] == model.dead
        assert {element: int(times) for element, times in deliveries.items()} == +model.reaped
        for found, record in zip(records, model.in_flight.values(), strict=True):
            assert {token.decode(): element for token, element in found.items()} == record

    @invariant()
    def ledger_is_closed(self) -> None:
        if not self.consumers:
            return
        reply = self.consumers[0]._channel._scripts.run("snapshot")
        snapshot = QueueSnapshot.parse(reply)
        counted = self.model.counted
        assert snapshot.surplus == counted["foreign"]
        assert (snapshot.created, snapshot.processed, snapshot.missed, snapshot.purged, snapshot.lost) == (
            counted["created"], counted["processed"], counted["missed"], counted["purged"], 0
        )  # fmt: skip
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
            max_examples=40,
            stateful_step_count=60,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
