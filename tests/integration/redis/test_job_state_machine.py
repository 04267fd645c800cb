"""Everything that can happen to jobs, in any order: Redis and the queue in memory must never differ.

Two worlds get the same calls: the real one, by `RedisService`, and the one in memory, by `MemoryQueue`. Three
consumers submit, claim, settle, release, cancel, retry, pull, stall, crash and retire; retries fall due,
records expire; the server restarts with everything, falls back to an older past, or forgets everything. In
the real world calls are repeated after a lost reply, and arrive once more long after. After every step both
worlds say the same of every job, list, lane and place, and:

- the ledger is closed, and its places are what the statuses add up to;
- of one client's ordered jobs one at most is in work or waits for its retry, and they start in their order;
- a final status stays, but for a dead job that is retried by hand.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
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

from loadtest_trio.backends.redis import RedisService, dead_record
from loadtest_trio.jobs.delivery import Delivery, Settlement
from loadtest_trio.jobs.job import Job, Status
from loadtest_trio.jobs.message import job_id
from loadtest_trio.jobs.store import Change, JobLimits, NewJob, Verdict
from tests.support.memory_redis import MemoryQueue, MemoryRedis
from tests.support.redis_service import make_redis

PREFIX = "{q}:"
NOW = 1000.0  # by the clock in memory; records expire by hand
LIMITS = JobLimits(per_minute=0)
CLIENTS = ("a", "b")

slots = st.integers(0, 2)
submissions = st.lists(
    st.tuples(st.sampled_from(CLIENTS), st.booleans(), st.sampled_from(["", "", "k", "l"]), st.booleans()),
    min_size=1,
    max_size=4,
)
outcomes = st.sampled_from(["processed", "missed", "retry", "dead"])

Call = Callable[[Any], Awaitable[Any]]


@attrs.define
class Known:
    """What the test knows of a job by itself."""

    new: NewJob
    started: bool = False
    final: Status | None = None
    by_hand: bool = False


class JobMachine(RuleBasedStateMachine):
    """The rules."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.client: Any = redis.Redis.from_url(url)
        self.client.flushall()
        self.memory = MemoryRedis(lambda: NOW)
        self.real: list[RedisService] = []
        self.model: list[MemoryQueue] = []
        self.names: list[str] = []
        self.tokens: dict[str, str] = {}  # real -> in memory
        self.held: list[dict[str, Delivery]] = [{}, {}, {}]  # by slot: real token -> delivery
        self.known: dict[str, Known] = {}
        self.repeat = False
        self.sent: list[tuple[Any, ...]] = []
        self.saved: tuple[MemoryRedis, dict[bytes, tuple[bytes, int]], dict[str, Known]] | None = None
        self.born = self.calls = 0

    @initialize()
    def start(self) -> None:
        for slot in range(3):
            self.replace(slot)

    def replace(self, slot: int) -> None:
        """Start a new process in a slot."""
        self.born += 1
        name = f"consumer{self.born}"
        service = make_redis(
            url=self.url, queue_name="q", consumer=name, backoff=lambda _: 0.0, max_deliveries=2,
            heartbeat_ttl=3600.0, clock=lambda: NOW, job_limits=LIMITS,
        )  # fmt: skip
        execute = service._connections.execute
        service._connections.execute = partial(self.execute, execute)  # type: ignore[method-assign]  # the fault
        queue = MemoryQueue(self.memory, name, heartbeat_ttl=3600.0, max_deliveries=2, job_limits=LIMITS)
        self.real[slot : slot + 1] = [service]
        self.model[slot : slot + 1] = [queue]
        self.names[slot : slot + 1] = [name]
        self.held[slot] = {}

    def execute(self, execute: Callable[..., Any], *command: Any) -> Any:
        """Run a command, twice when its first reply is to be lost."""
        if command[0] == b"EVALSHA":
            self.sent.append(command)
            if self.repeat:
                execute(*command)
        return execute(*command)

    def both(self, slot: int, call: Call, repeat: bool = False) -> tuple[Any, Any]:
        """Make one call in both worlds; return both answers."""

        async def run() -> tuple[Any, Any]:
            self.repeat = repeat
            real = await call(self.real[slot])
            self.repeat = False
            return real, await call(self.model[slot])

        return trio.run(run)

    def same(self, slot: int, call: Call, repeat: bool = False) -> Any:
        """Make one call in both worlds; their answers are the same."""
        real, model = self.both(slot, call, repeat)
        assert real == model
        return real

    @rule(slot=slots, batch=submissions, repeat=st.booleans())
    def submit(self, slot: int, batch: list[tuple[str, bool, str, bool]], repeat: bool) -> None:
        jobs = [
            NewJob("sleep", {"n": 1}, client, ordered=ordered, idempotency_key=key, pull=pull)
            for client, ordered, key, pull in batch
        ]
        real, model = self.both(slot, lambda queue: queue.jobs.submit(jobs), repeat)
        assert [(each.verdict, each.id) for each in real] == [(each.verdict, each.id) for each in model]
        for job, submission in zip(jobs, real, strict=True):
            if submission.verdict is Verdict.ACCEPTED:
                self.known[job.id] = Known(job)

    @rule(slot=slots)
    def enqueue_messages(self, slot: int) -> None:
        # The answers differ by the ghosts on the queue.
        self.both(slot, lambda queue: queue.enqueue([b'{"id":"m"}', b'{"job":true,"id":"stranger"}']))

    @rule(slot=slots, limit=st.integers(1, 4), repeat=st.booleans())
    def claim(self, slot: int, limit: int, repeat: bool) -> None:
        real, model = self.both(slot, lambda queue: queue.claim(limit), repeat)
        assert [name_of(each) for each in real] == [name_of(each) for each in model]
        self.tokens |= {one.token: other.token for one, other in zip(real, model, strict=True)}
        self.held[slot] |= {each.token: each for each in real}
        for each in real:
            self.note_start(job_id(each.element))

    def note_start(self, name: str) -> None:
        """Ordered jobs start in the order in which they were submitted."""
        known = self.known.get(name)
        if known is None:
            return
        assert known.final is None
        for other_name, other in self.known.items():
            if other_name == name:
                break
            if lane(other) == lane(known) and known.new.ordered and not (other.by_hand or known.by_hand):
                assert other.started or other.final
        known.started = True

    @precondition(lambda self: any(self.held))
    @rule(slot=slots, choice=st.lists(outcomes, min_size=1, max_size=4), repeat=st.booleans())
    def settle(self, slot: int, choice: list[str], repeat: bool) -> None:
        picked = list(zip(list(self.held[slot]), choice, strict=False))
        real = [self.settlement(slot, token, outcome) for token, outcome in picked]
        model = [attrs.evolve(each, token=self.tokens[each.token]) for each in real]

        async def call(queue: Any) -> Any:
            return await queue.settle(model if isinstance(queue, MemoryQueue) else real)

        counted = self.same(slot, call, repeat)
        for (token, outcome), counts in zip(picked, counted, strict=True):
            name = job_id(self.held[slot].pop(token).element)
            if counts and name in self.known:
                finals = {"processed": Status.SUCCEEDED, "missed": Status.SUCCEEDED, "dead": Status.DEAD}
                self.known[name].final = finals.get(outcome)

    def settlement(self, slot: int, token: str, outcome: str) -> Settlement:
        element = self.held[slot][token].element
        match outcome:
            case "retry":
                return Settlement.retry(token, element, 3600.0, "boom")
            case "dead":
                return Settlement.dead(token, dead_record(element, error="e", attempts=1, time=0.0))
            case "missed":
                return Settlement.missed(token)
        return Settlement.processed(token, b"result")

    @precondition(lambda self: any(self.held))
    @rule(slot=slots, count=st.integers(1, 3), repeat=st.booleans())
    def release(self, slot: int, count: int, repeat: bool) -> None:
        real = list(self.held[slot])[:count]
        model = [self.tokens[each] for each in real]
        self.both(
            slot, lambda queue: queue.release(model if isinstance(queue, MemoryQueue) else real), repeat
        )
        for token in real:
            del self.held[slot][token]

    @precondition(lambda self: self.known)
    @rule(slot=slots, pick=st.integers(0, 100), repeat=st.booleans())
    def cancel(self, slot: int, pick: int, repeat: bool) -> None:
        name = self.pick(pick)
        before = trio.run(self.real[slot].jobs.get, [name])[0]
        change = self.same(slot, lambda queue: queue.jobs.cancel(name), repeat)
        expected = Change.UNKNOWN if not before else Change.REFUSED if before.status.ended else Change.DONE
        assert change is expected
        if change is Change.DONE:
            self.known[name].final = Status.CANCELLED

    @rule(slot=slots, repeat=st.booleans())
    def revoked(self, slot: int, repeat: bool) -> None:
        real, model = self.both(slot, lambda queue: queue.revoked(), repeat)
        assert {self.tokens[each] for each in real} == model
        for token in real:
            del self.held[slot][token]

    @precondition(lambda self: self.known)
    @rule(slot=slots, pick=st.integers(0, 100), repeat=st.booleans())
    def retry_by_hand(self, slot: int, pick: int, repeat: bool) -> None:
        name = self.pick(pick)
        if self.same(slot, lambda queue: queue.jobs.retry(name), repeat) is Change.DONE:
            self.note_requeued(name)

    def note_requeued(self, name: str) -> None:
        """A dead job is alive again."""
        if name in self.known:
            self.known[name].final, self.known[name].by_hand = None, True

    @precondition(lambda self: self.memory.dead)
    @rule(slot=slots, repeat=st.booleans())
    def requeue_all(self, slot: int, repeat: bool) -> None:
        names = [job_id(letter) for letter in self.memory.dead]
        self.same(slot, lambda queue: queue.dead_letters.requeue_all(), repeat)
        for name in names:
            self.note_requeued(name)

    @precondition(lambda self: self.memory.dead)
    @rule(slot=slots, repeat=st.booleans())
    def purge(self, slot: int, repeat: bool) -> None:
        self.same(slot, lambda queue: queue.dead_letters.purge(), repeat)

    @rule(slot=slots, top=st.integers(1, 3), repeat=st.booleans())
    def pull(self, slot: int, top: int, repeat: bool) -> None:
        self.calls += 1
        names = self.both(slot, lambda queue: queue.jobs.pull_completed(top, f"call{self.calls}"), repeat)
        assert len(set(map(tuple, map(ids_of, names)))) == 1
        again = self.both(slot, lambda queue: queue.jobs.pull_completed(top, f"call{self.calls}"), repeat)
        assert not names[0] or ids_of(again[0]) == ids_of(names[0])

    @precondition(lambda self: self.memory.delayed)
    @rule()
    def retries_fall_due(self) -> None:
        members = self.client.zrange(PREFIX + "retry", 0, -1)
        self.client.zadd(PREFIX + "retry", dict.fromkeys(members, 0))
        # Equal scores are in the order of their members: give the world in memory that very order.
        order = {member.partition(b"\n")[2]: place for place, member in enumerate(members)}
        by_name = {job_id(element) or "m": place for element, place in order.items()}
        self.memory.delayed[:] = sorted(
            (0.0, by_name.get(job_id(element) or "m", 0), element) for _, _, element in self.memory.delayed
        )

    @precondition(lambda self: any(self.held))
    @rule(slot=slots)
    def crash(self, slot: int) -> None:
        """A process dies; another starts in its slot."""
        name = self.names[slot]
        if name in self.memory.heard:
            self.born += 1
            self.client.zadd(PREFIX + "consumers", {name: self.born})
            self.memory.heard[name] = -1e9 + self.born
        self.real[slot].close()
        self.replace(slot)

    @rule(slot=slots, repeat=st.booleans())
    def reap(self, slot: int, repeat: bool) -> None:
        self.client.zadd(PREFIX + "consumers", {self.names[slot]: self.client.time()[0] * 1000})
        self.memory.heard[self.names[slot]] = NOW
        self.client.hset(PREFIX + "ledger", "serving_since", 0)
        self.memory.serving_since = -float("inf")
        if self.names[slot] not in self.memory.retired:
            self.both(slot, lambda queue: queue.reap(), repeat)
        for name, known in self.known.items():
            (found,) = trio.run(self.model[slot].jobs.get, [name])
            if found and found.status is Status.DEAD:
                known.final = Status.DEAD

    @rule(slot=slots, repeat=st.booleans())
    def retire(self, slot: int, repeat: bool) -> None:
        self.both(slot, lambda queue: queue.retire(), repeat)
        self.replace(slot)

    @rule(slot=slots, repeat=st.booleans())
    def heartbeat(self, slot: int, repeat: bool) -> None:
        self.both(slot, lambda queue: queue.heartbeat(), repeat)

    @rule()
    def records_expire(self) -> None:
        """Time passes: every record that is to expire does (one that a ghost needs does so later)."""
        for name in self.known:
            if self.client.pttl(f"{PREFIX}job:{name}") >= 0:
                self.client.delete(f"{PREFIX}job:{name}")
                assert self.memory.jobs._records.pop(name).job.status.ended

    @rule(age=st.integers(0, 10))
    def late_duplicate(self, age: int) -> None:
        """A call that was answered arrives once more, much later: nothing happens."""
        heads = self.real[0]._channel._scripts._heads
        numbered = {heads[name][1] for name in ("submit", "cancel", "settle", "requeue", "purge", "enqueue")}
        calls = [command for command in self.sent if command[1] in numbered]
        if age < len(calls):
            with suppress(redis.ResponseError):  # the outdated are refused
                self.client.execute_command(*calls[-1 - age])

    @rule()
    def save(self) -> None:
        """The server keeps what there is now: for `fall_back`."""
        keys = self.client.keys(PREFIX + "*")
        dumped = {key: (self.client.dump(key), max(0, self.client.pttl(key))) for key in keys}
        self.saved = self.copy(self.memory), dumped, deepcopy(self.known)

    def copy(self, memory: MemoryRedis) -> MemoryRedis:
        return deepcopy(memory)

    @precondition(lambda self: self.saved)
    @rule()
    def fall_back(self) -> None:
        """The server comes back with what it had kept."""
        assert self.saved
        memory, dumped, known = self.copy(self.saved[0]), self.saved[1], deepcopy(self.saved[2])
        created = self.remembered("created")
        lost = max(0, created - memory.counters["created"])
        memory.counters["created"] += lost
        memory.counters["lost"] += lost
        self.client.flushdb()
        for key, (value, ttl) in dumped.items():
            self.client.restore(key, ttl, value)
        self.begin_another_life(memory, known)

    @rule()
    def forget_everything(self) -> None:
        """The server comes back empty."""
        memory = MemoryRedis(lambda: NOW)
        for name in memory.counters:
            memory.counters[name] = self.remembered(name)
        unaccounted = -memory.snapshot().surplus
        memory.counters["lost"] += unaccounted
        self.client.flushdb()
        self.saved = None
        self.begin_another_life(memory, {})

    @rule()
    def restart(self) -> None:
        """The server comes back with everything."""
        self.begin_another_life(self.memory, self.known)

    def remembered(self, counter: str) -> int:
        """The highest figure that a process knows."""
        books = [service._losses._seen.latest for service in self.real]
        return max((getattr(each, counter) for each in books if each), default=0)

    def begin_another_life(self, memory: MemoryRedis, known: dict[str, Known]) -> None:
        self.memory, self.known = memory, known
        for queue in self.model:
            queue.redis = memory
            queue.jobs._jobs = memory.jobs
            queue.jobs._snapshot = memory.snapshot
            queue.dead_letters._server, queue.dead_letters._jobs = memory, memory.jobs
        if self.client.exists(PREFIX + "ledger"):
            self.client.hset(PREFIX + "ledger", "life", "another")
        self.sent.clear()  # their numbers may be forgotten: a late duplicate would be a new call
        for slot in range(3):
            self.heartbeat(slot, False)

    def pick(self, number: int) -> str:
        """Choose a job."""
        return list(self.known)[number % len(self.known)]

    @invariant()
    def both_worlds_say_the_same(self) -> None:
        if not self.real:
            return

        async def look(queue: Any) -> Any:
            jobs = await queue.jobs.get(list(self.known))
            pages = [(await queue.jobs.page(client)).jobs for client in CLIENTS]
            stats = await queue.jobs.stats()
            return [
                list(map(plain, jobs)),
                [ids_of(page) for page in pages],
                attrs.evolve(stats.queue, epoch="", oldest_at=None),  # times are of different clocks
                stats.by_type,
                (stats.lanes, stats.completed),
            ]

        real, model = self.both(0, look)
        for one, other in zip(real, model, strict=True):
            assert one == other

    @invariant()
    def statuses_add_up(self) -> None:
        if not self.real:
            return
        jobs = [each for each in trio.run(self.real[0].jobs.get, list(self.known)) if each]
        snapshot = trio.run(self.real[0].snapshot)
        assert snapshot.surplus == 0
        count = Counter(each.status for each in jobs)
        messages = [element for element in self.memory.messages if job_id(element) not in self.known]
        assert count[Status.QUEUED] + count[Status.RUNNING] + count[Status.RETRYING] + len(messages) == (
            snapshot.queued + snapshot.waiting + snapshot.in_flight + snapshot.delayed
        )
        active = Counter(
            each.client for each in jobs if each.ordered and each.status in (Status.RUNNING, Status.RETRYING)
        )
        assert all(n <= 1 for n in active.values())
        for each in jobs:
            assert self.known[each.id].final in (None, each.status)

    def teardown(self) -> None:
        for service in self.real:
            service.close()
        self.client.close()


def name_of(delivery: Delivery) -> str:
    return job_id(delivery.element) or delivery.element.decode()


def lane(known: Known) -> tuple[str, bool]:
    return known.new.client, known.new.ordered


def ids_of(jobs: list[Job]) -> list[str]:
    return [each.id for each in jobs]


def plain(job: Job | None) -> Any:
    """What both worlds can agree on: everything but the times."""
    if job is None:
        return None
    times = (job.started_at is not None, job.ended_at is not None, job.due_at is not None)
    return job.id, job.client, job.status, job.ordered, times, job.attempts, job.error, job.result


def test_any_order_of_events(each_redis_url: str) -> None:
    """Whatever happens in whatever order, both worlds agree on every job."""

    class Machine(JobMachine):
        def __init__(self) -> None:
            super().__init__(each_redis_url)

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=30,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
