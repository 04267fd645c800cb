"""A day in virtual time: the real service on backends in memory, with an outage an hour.

Everything between the daemon and the two backends is the real thing: scheduler, inventory, mix, workers,
attempts, settlements, retries, metrics service, health state and application, log. Redis and S3 are those of
`tests.support`, which the contract tests hold to the behaviour of real servers.

A message through all of that costs more than 100 µs of CPU: 24 hours at 50 messages a second, 4.5 million
messages, take minutes, and not the two that a test run may spend on them. Of rate and length it is the rate
that gives way, as drift shows only over the length: what always runs is the whole day at 3 messages a
second, in about 75 seconds of CPU. The rate of 50 is one command and eight minutes of CPU.

    VIRTUAL_DAY_RATE=50 ./scripts/test tests/chaos/test_virtual_day.py

Set up to be cheap: small objects; a queue with nothing on it is looked at every few seconds instead of 20
times a second; a consumer's TTL of 30 s instead of 15; requests travel in waves; equal histograms are encoded
once. Nothing depends on the speed of the machine: keys, choices and Trio's order of tasks are seeded, so
every day sends the same messages.
"""

import gc
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from math import floor
from random import Random
from typing import Any
from unittest.mock import patch
from uuid import UUID

import attrs
import orjson
import pytest
import trio
from loguru import logger

from loadtest_trio.daemon import Daemon
from loadtest_trio.jobs.message import Message, Operation, Phase
from loadtest_trio.metrics import collecting, latencies, logs
from loadtest_trio.metrics import service as metrics_service
from loadtest_trio.scheduler import planner
from loadtest_trio.worker import claimer
from tests.support.in_memory import UNIX_EPOCH, InMemory, build_in_memory, loaded
from tests.support.leap_clock import LeapClock
from tests.support.memory_bucket import Fault, MemoryBucket

RATE = float(os.environ.get("VIRTUAL_DAY_RATE", "3"))
HOURS = 24
SECONDS = HOURS * 3600
INTERVAL = 10.0
VARIABLES: dict[str, float] = {
    "SCHEDULER_MESSAGES_PER_SECOND": RATE,
    "SCHEDULER_INTERVAL_SECONDS": INTERVAL,
    "RUN_DURATION_SECONDS": SECONDS,
    "RANDOM_SEED": 7,
    "WORKER_CONCURRENCY": 64,
    "CONSUMER_TTL_SECONDS": 30,  # half of the outages of Redis are longer
    "MIN_FILE_UUIDS": 1,
    "MAX_FILE_UUIDS": 3,
    # More than the longest outage of S3 can delete, so that there always is an object to choose.
    "PRECONDITION_MIN_OBJECTS": int(100 + 20 * RATE),
    "PRECONDITION_MAX_OBJECTS": int(1000 + 20 * RATE),
}


@attrs.define
class Judge:
    """Reads the log as it is written, so that a day of it need not be kept."""

    uptimes: list[float] = attrs.field(factory=list)
    unbalanced: list[dict[str, Any]] = attrs.field(factory=list)
    events: Counter[str] = attrs.field(factory=Counter)
    last: dict[str, Any] = attrs.field(factory=dict)
    longest: int = 0

    def write(self, text: str) -> None:
        """Take in one record: a line, and the details that follow a metrics line."""
        line, *details = map(orjson.loads, text.splitlines())
        self.events[line["event"]] += 1
        self.longest = max(self.longest, *map(len, text.splitlines(keepends=True)))
        assert {each["event"] for each in details} <= {"details"}
        if line["event"] == "metrics":
            self.uptimes.append(line["uptime_seconds"])
            books = dict(line["ledger"])
            if books.pop("difference") or books.pop("created") != sum(books.values()):
                self.unbalanced.append(line["ledger"])
        self.last = line

    def flush(self) -> None:
        """Nothing to flush."""


@attrs.define
class Day:
    """What happened."""

    service: InMemory
    code: int = -1
    due: Counter[float] = attrs.field(factory=Counter)
    steady: Counter[str] = attrs.field(factory=Counter)
    outages: list[tuple[str, int]] = attrs.field(factory=list)
    unhealthy: list[tuple[float, Any]] = attrs.field(factory=list)
    unnoticed: list[tuple[str, int]] = attrs.field(factory=list)

    def watch_the_schedule(self) -> None:
        """Note when each steady message was due."""
        counters = self.service.service.metrics
        count = counters.scheduled

        def scheduled(message: Message) -> None:
            count(message)
            if message.phase is Phase.STEADY:
                self.due[message.created_at - UNIX_EPOCH] += 1
                self.steady[message.operation] += 1

        counters.scheduled = scheduled  # type: ignore[method-assign] # the one place every message passes

    async def cut(self) -> None:
        """Cut off Redis and S3 in turn, once an hour, for 1 to 60 seconds."""
        rng, service = Random(7), self.service
        for hour in range(HOURS):
            await trio.sleep_until(hour * 3600 + rng.uniform(600, 3000))
            seconds = rng.randint(1, 60)
            name = "redis" if hour % 2 == 0 else "s3"
            if name == "redis":
                service.redis.go_away()
            else:
                service.bucket.break_down(Fault.UNREACHABLE if hour % 4 == 1 else Fault.LOST_ANSWER)
            await trio.sleep(seconds)
            await self.ask_health(name, seconds)
            service.redis.come_back()
            service.bucket.recover()
            self.outages.append((name, seconds))
            await trio.sleep(60)
            await self.ask_health("", 0)

    async def ask_health(self, outage: str, seconds: int) -> None:
        """Ask the health application as ECS would."""
        health: Any = self.service.service.health
        response = await health.app.test_client().get("/health")
        body = await response.get_json()
        if response.status_code != 200 or (not outage and body != {"status": "OK"}):
            self.unhealthy.append((trio.current_time(), body))
        if seconds > 2 * INTERVAL and outage not in body.get("degraded", {}):
            self.unnoticed.append((outage, seconds))


@lru_cache(4096)
def encoded_once(counts: frozenset[tuple[int, int]]) -> str:
    """Return counts as an encoded histogram, the same for all that are equal: in virtual time most are."""
    return latencies.encoded(dict(counts))


def encoded(counts: Mapping[int, int]) -> str:
    """Return what `latencies.encoded` does."""
    return encoded_once(frozenset(counts.items()))


@pytest.fixture(scope="module")
def judge() -> Judge:
    """What was read in the log."""
    return Judge()


@pytest.fixture(scope="module")
def day(judge: Judge) -> Iterator[Day]:
    """The day, lived through once for all claims."""

    async def live() -> Day:
        configuration = loaded(**VARIABLES)
        bucket = MemoryBucket(latency=0.004, waves=True)
        day = Day(await build_in_memory(configuration.settings, bucket=bucket))
        day.watch_the_schedule()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(day.cut)
            day.code = await Daemon(day.service.service, configuration).run()
            nursery.cancel_scope.cancel()
        return day

    keys, thresholds = Random(7), gc.get_threshold()
    logs.configure(judge, json=True)
    gc.freeze()
    gc.set_threshold(100_000)  # a fifth of the time
    with (
        patch.object(claimer, "_SHORTEST_PAUSE", 0.25),
        patch.object(claimer, "_LONGEST_PAUSE", 5.0),
        patch.object(metrics_service, "_PROBE_SECONDS", INTERVAL),
        patch.object(collecting, "encoded", encoded),
        patch.object(planner, "uuid4", lambda: UUID(int=keys.getrandbits(128), version=4)),
        patch.multiple(trio._core._run, _ALLOW_DETERMINISTIC_SCHEDULING=True, _r=Random(7)),
    ):
        yield trio.run(live, clock=LeapClock())
    logger.remove()
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def test_day_ran_to_its_end(day: Day, judge: Judge) -> None:
    """The day ended by itself without a crash, with an outage in each hour."""
    assert day.code == 0
    assert judge.last["event"] == "service_stopped"
    assert judge.last["reason"] == "the run's duration is over"
    assert judge.events["task_crashed"] == 0
    assert Counter(name for name, _ in day.outages) == {"redis": 12, "s3": 12}
    assert judge.events["backend_unavailable"] == judge.events["backend_recovered"] >= 20


def test_day_has_8640_lines(day: Day, judge: Judge) -> None:
    """There is a metrics line every ten seconds, 8,640 in all, plus the last one; none drifts."""
    *scheduled, final = judge.uptimes
    assert len(scheduled) == 8640
    start = scheduled[0] - 10  # the backends were looked at first
    assert 0 <= start < 0.1
    late = [uptime - start - 10 * number for number, uptime in enumerate(scheduled, 1)]
    assert all(0 <= seconds <= 2.001 for seconds in late)  # a line waits for an absent Redis for two seconds
    assert sum(seconds > 0 for seconds in late) <= 12 * 7
    assert SECONDS <= final < SECONDS + 5


def test_ledger_balances_in_every_line(day: Day, judge: Judge) -> None:
    """Every line of the day accounts for every message, and so does the end."""
    assert judge.unbalanced == []
    assert judge.last["ledger"]["difference"] == 0
    snapshot = day.service.redis.snapshot()
    assert (snapshot.surplus, snapshot.queued, snapshot.in_flight, snapshot.delayed) == (0, 0, 0, 0)


def test_no_message_is_lost_or_dead(day: Day, judge: Judge) -> None:
    """Through 24 outages every message is processed or missed; none is dead or stale."""
    snapshot = day.service.redis.snapshot()
    assert snapshot.created == snapshot.processed + snapshot.missed
    assert snapshot.missed <= snapshot.created // 1000
    assert (snapshot.dead, judge.last["settlements_stale"]) == (0, 0)


def test_schedule_does_not_drift(day: Day) -> None:
    """Every tick of the day has its messages, at its own time; their sum is rate times steady time."""
    ticks = sorted(day.due)
    start = ticks[0] - INTERVAL
    steady_seconds = SECONDS - start
    assert start < 60
    assert len(ticks) == floor(steady_seconds / INTERVAL + 0.01)
    assert ticks == [
        pytest.approx(start + number * INTERVAL, abs=1e-6) for number in range(1, len(ticks) + 1)
    ]
    withheld = day.service.service.metrics.totals["withheld"]
    total = sum(day.due.values())
    assert abs(total + withheld - RATE * steady_seconds) <= RATE * INTERVAL
    assert withheld == 0
    assert set(day.due.values()) <= {floor(RATE * INTERVAL), floor(RATE * INTERVAL) + 1}


def test_mix_is_exact(day: Day) -> None:
    """After a day the steady messages are within 5 of nominal, for each operation."""
    total = sum(day.steady.values())
    shares = {Operation.READ: 0.5, Operation.UPDATE: 0.25, Operation.CREATE: 0.1, Operation.DELETE: 0.15}
    assert all(abs(day.steady[operation] - total * share) < 5 for operation, share in shares.items())


def test_inventory_equals_the_bucket(day: Day) -> None:
    """At the end the service knows exactly the objects that exist."""
    inventory = day.service.service.inventory
    assert set(inventory._keys) == day.service.bucket.objects.keys()
    assert inventory.objects == inventory.planned == len(day.service.bucket.objects)
    assert 100 <= inventory.objects <= VARIABLES["PRECONDITION_MAX_OBJECTS"]


def test_health_stayed_good(day: Day) -> None:
    """Health was always 200, named each long outage while it lasted, and nothing a minute later."""
    assert day.unhealthy == []
    assert day.unnoticed == []


def test_memory_and_lines_stay_bounded(day: Day, judge: Judge) -> None:
    """Lines at the end of the day are bounded in length, and nothing of the day is left in memory."""
    assert judge.longest < 64_000
    assert day.service.under_way() == 0
    redis = day.service.redis
    assert (redis.in_flight, redis.heard, redis.deliveries) == ({}, {}, {})
    assert judge.events["failures_summarised"] > 0
    assert sum(judge.events.values()) < 8641 + 24 * 200
