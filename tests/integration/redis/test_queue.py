"""Enqueue, claim, settle, release: contents, order and books, on Valkey and on Redis 7.0."""

import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from loadtest_trio.backends.redis import RedisService, dead_record
from loadtest_trio.errors import LoadtestError, RedisRejectedError
from loadtest_trio.jobs.delivery import Settlement
from loadtest_trio.jobs.store import NewJob

GARBAGE = [b"", b"\x00", b"\xff\xfe\n\r\n", b"r500\nx", b"{}", "ü".encode() * 100]


async def books(service: RedisService) -> dict[str, int]:
    """Return the places and counters that are not 0, after checking that they balance."""
    snapshot = await service.snapshot()
    assert snapshot.surplus == 0
    names = ("queued", "in_flight", "delayed", "dead", "created", "processed", "missed", "purged", "lost")
    return {name: value for name in names if (value := getattr(snapshot, name))}


async def test_connect_says_what_the_server_is(make_service: Any) -> None:
    """The first contact returns version, role and persistence."""
    info = await make_service().connect()
    assert info.server in ("redis", "valkey")
    assert int(info.version.partition(".")[0]) >= 7
    assert (info.mode, info.role, info.append_only) == ("standalone", "master", True)
    assert info.maxmemory_policy == "noeviction"


async def test_first_in_first_out(make_service: Any, bare: Any) -> None:
    """Messages go out in the order in which they came in, each once."""
    service = make_service()
    assert await service.enqueue([b"1", b"2"]) == 2
    assert await service.enqueue([b"3"]) == 3
    assert await service.length() == 3
    assert [delivery.element for delivery in await service.claim(2)] == [b"1", b"2"]
    assert [delivery.element for delivery in await service.claim(2)] == [b"3"]
    assert await service.claim(2) == []
    assert len(bare.in_flight("a")) == 3


async def test_nothing_to_do(make_service: Any) -> None:
    """Empty batches and a limit of 0 are not errors, and move nothing."""
    service = make_service()
    assert await service.enqueue([]) == 0
    assert await service.settle([]) == []
    assert await service.release([]) == 0
    assert await books(service) == {}
    await service.enqueue([b"1"])
    assert await service.claim(0) == []
    assert await books(service) == {"created": 1, "queued": 1}


async def test_claim_is_on_record(make_service: Any, bare: Any) -> None:
    """Redis holds each claim's number, the server's time and what it took, under tokens of that number."""
    service = make_service()
    await service.enqueue([b"x", b"y"])
    before = bare.client.time()[0] * 1000
    deliveries = await service.claim(5)
    number, claimed, at = bare.client.hmget("{q}:session:a", "claim", "claimed", "claimed_at")
    assert [delivery.token.encode() for delivery in deliveries] == [number + b".0001", number + b".0002"]
    assert bare.in_flight("a") == {each.token.encode(): each.element for each in deliveries}
    assert int(claimed) == 2
    assert before <= int(at) <= (bare.client.time()[0] + 1) * 1000


async def test_any_bytes_travel(make_service: Any) -> None:
    """Elements are bytes, whatever they hold: they come back unchanged, also through the retry set."""
    service = make_service()
    await service.enqueue(GARBAGE)
    deliveries = await service.claim(100)
    assert [delivery.element for delivery in deliveries] == GARBAGE
    assert all(await service.settle([Settlement.retry(each.token, each.element, 0.0) for each in deliveries]))
    assert sorted(delivery.element for delivery in await service.claim(100)) == sorted(GARBAGE)


async def test_each_outcome_is_booked(make_service: Any, bare: Any) -> None:
    """Processed and missed are counted, retries wait, dead ones are listed; the rest is in flight."""
    service = make_service()
    await service.enqueue([b"1", b"2", b"3", b"4", b"5"])
    one, two, three, four, _ = await service.claim(5)
    record = dead_record(four.element, error="e", attempts=1, time=1.0)
    settlements = [
        Settlement.processed(one.token),
        Settlement.missed(two.token),
        Settlement.retry(three.token, b"3'", 60.0),
        Settlement.dead(four.token, record),
    ]
    assert await service.settle(settlements) == [True] * 4
    assert await books(service) == {
        "created": 5, "processed": 1, "missed": 1, "delayed": 1, "dead": 1, "in_flight": 1
    }  # fmt: skip
    assert bare.client.lrange("{q}:dead", 0, -1) == [record]


async def test_settling_twice_is_stale(make_service: Any) -> None:
    """A token counts once; unknown tokens never."""
    service = make_service()
    await service.enqueue([b"1"])
    (delivery,) = await service.claim(1)
    twice = [Settlement.processed(delivery.token)] * 2
    assert await service.settle(twice) == [True, False]
    assert await service.settle([*twice, Settlement.missed("1234567890123456.0001")]) == [False] * 3
    assert await books(service) == {"created": 1, "processed": 1}


async def test_retry_waits_its_delay(make_service: Any, bare: Any) -> None:
    """A retry is not handed out before it is due, and then before everything that waits on the queue."""
    service = make_service()
    await service.enqueue([b"1", b"2"])
    (first,) = await service.claim(1)
    await service.settle([Settlement.retry(first.token, b"1'", 3600.0)])
    (second,) = await service.claim(1)
    assert second.element == b"2"
    assert await service.claim(1) == []
    await service.enqueue([b"3"])
    bare.end_delays()
    assert [delivery.element for delivery in await service.claim(5)] == [b"1'", b"3"]


async def test_earliest_retry_goes_out_first(make_service: Any) -> None:
    """Several retries that are due go out in the order in which they fell due."""
    service = make_service()
    await service.enqueue([b"late", b"early", b"middle"])
    delays = {b"late": 0.03, b"early": 0.01, b"middle": 0.02}
    deliveries = await service.claim(3)
    await service.settle(
        [Settlement.retry(each.token, each.element, delays[each.element]) for each in deliveries]
    )
    await trio.sleep(0.1)
    assert [delivery.element for delivery in await service.claim(3)] == [b"early", b"middle", b"late"]


async def test_short_delay_ends_by_itself(make_service: Any) -> None:
    """The delay is measured by the server's clock."""
    service = make_service()
    await service.enqueue([b"1"])
    (first,) = await service.claim(1)
    start = trio.current_time()
    await service.settle([Settlement.retry(first.token, b"1'", 0.2)])
    with trio.fail_after(30):
        while not (deliveries := await service.claim(1)):  # noqa: ASYNC110  # nobody says when it is due
            await trio.sleep(0.01)
    assert trio.current_time() - start >= 0.19  # the server counts whole milliseconds
    assert [delivery.element for delivery in deliveries] == [b"1'"]


async def test_equal_elements_stay_apart(make_service: Any) -> None:
    """Three equal elements are three messages: in flight, in the retry set and back."""
    service = make_service()
    await service.enqueue([b"same"] * 3)
    deliveries = await service.claim(3)
    assert len({delivery.token for delivery in deliveries}) == 3
    await service.settle([Settlement.retry(delivery.token, b"same", 0.0) for delivery in deliveries])
    assert await books(service) == {"created": 3, "delayed": 3}
    assert len(await service.claim(10)) == 3


async def test_equal_retries_of_two_consumers_stay_apart(make_service: Any, bare: Any) -> None:
    """Two consumers whose claim numbers coincide put equal elements into the retry set: both stay."""
    one, two = make_service("one"), make_service("two")
    two._claim = one._claim
    await one.enqueue([b"same"] * 2)
    (first,) = await one.claim(1)
    (second,) = await two.claim(1)
    assert first.token == second.token
    await one.settle([Settlement.retry(first.token, b"same", 60.0)])
    await two.settle([Settlement.retry(second.token, b"same", 60.0)])
    assert await books(one) == {"created": 2, "delayed": 2}


async def test_release_keeps_the_order(make_service: Any, bare: Any) -> None:
    """What is released goes out next, in its old order, over several claims, as if never claimed."""
    service = make_service()
    await service.enqueue([b"%d" % n for n in range(6)])
    deliveries = [*await service.claim(2), *await service.claim(2)]
    tokens = [delivery.token for delivery in reversed(deliveries[1:])]
    assert await service.release(tokens) == 3
    assert bare.queue() == [b"1", b"2", b"3", b"4", b"5"]
    assert await service.release(tokens) == 0
    assert [delivery.element for delivery in await service.claim(3)] == [b"1", b"2", b"3"]
    assert bare.reaped() == {}
    assert await books(service) == {"created": 6, "in_flight": 4, "queued": 2}


async def test_batches_beyond_the_limit_of_a_script(make_service: Any) -> None:
    """2,500 messages in one call travel as several scripts; a claim takes 1,000 at most."""
    service = make_service()
    assert await service.enqueue([b"%d" % n for n in range(2500)]) == 2500
    deliveries = [delivery for limit in (5000, 1000, 1000) for delivery in await service.claim(limit)]
    assert [int(delivery.element) for delivery in deliveries] == list(range(2500))
    assert await service.release([delivery.token for delivery in deliveries[:1200]]) == 1200
    assert [int(delivery.element) for delivery in await service.claim(3)] == [0, 1, 2]
    rest = [Settlement.processed(delivery.token) for delivery in deliveries[1200:]]
    assert await service.settle(rest) == [True] * 1300
    assert await books(service) == {"created": 2500, "processed": 1300, "queued": 1197, "in_flight": 3}


async def test_strangers_show_as_surplus(make_service: Any, bare: Any) -> None:
    """Elements that somebody pushes past us are worked off and show as a surplus of the ledger."""
    service = make_service()
    bare.push(b"foreign")
    (delivery,) = await service.claim(1)
    await service.settle([Settlement.processed(delivery.token)])
    snapshot = await service.snapshot()
    assert (snapshot.created, snapshot.processed, snapshot.surplus) == (0, 1, 1)


async def test_stranger_among_the_retries_stops_no_claim(make_service: Any, bare: Any) -> None:
    """What somebody else has put there is delivered like any element that is pushed past us."""
    service = make_service()
    bare.client.zadd("{q}:retry", {b"foreign": 1.0})
    await service.enqueue([b"1"])
    assert [delivery.element for delivery in await service.claim(3)] == [b"foreign", b"1"]


async def test_retire_leaves_nothing_behind(make_service: Any, bare: Any) -> None:
    """A consumer that leaves gives back what it held and is no longer registered."""
    service = make_service()
    await service.enqueue([b"1", b"2"])
    await service.claim(2)
    await service.retire()
    assert bare.queue() == [b"1", b"2"]
    assert bare.keys() == {"queue", "ledger", "session:a"}
    assert 0 < bare.client.ttl("{q}:session:a") <= 600
    assert (await service.snapshot()).consumers == 0


async def test_two_consumers_share_the_work(make_service: Any) -> None:
    """Concurrent consumers get different messages and all of them."""
    await make_service("p").enqueue([b"%d" % n for n in range(300)])
    seen: list[bytes] = []

    async def work(service: RedisService) -> None:
        while deliveries := await service.claim(7):
            assert all(await service.settle([Settlement.processed(each.token) for each in deliveries]))
            seen.extend(delivery.element for delivery in deliveries)

    async with trio.open_nursery() as nursery:
        for name in ("a", "b", "c"):
            nursery.start_soon(work, make_service(name))
    assert sorted(map(int, seen)) == list(range(300))
    assert await books(make_service("p")) == {"created": 300, "processed": 300}


async def test_concurrent_calls_of_one_service(make_service: Any) -> None:
    """Tasks of one process may enqueue, claim and settle at once: no batch is taken for a repeat."""
    service = make_service()
    done: list[bytes] = []

    async def produce(first: int) -> None:
        for n in range(first, first + 50):
            await service.enqueue([b"%d" % n])

    async def consume() -> None:
        with trio.fail_after(20):
            while len(done) < 200:
                deliveries = await service.claim(3)
                assert all(await service.settle([Settlement.processed(each.token) for each in deliveries]))
                done.extend(delivery.element for delivery in deliveries)

    async with trio.open_nursery() as nursery:
        for first in range(0, 200, 50):
            nursery.start_soon(produce, first)
        for _ in range(3):
            nursery.start_soon(consume)
    assert sorted(map(int, done)) == list(range(200))
    assert await books(service) == {"created": 200, "processed": 200}


async def test_calls_are_observed(make_service: Any) -> None:
    """Every call is told to the observer with the number of elements that it moved."""
    calls: list[tuple[str, int]] = []

    def observe(kind: str, seconds: float, size: int, error: LoadtestError | None) -> None:
        assert error is None
        assert 0 < seconds < 10
        calls.append((kind, size))

    service = make_service(observe=observe)
    await service.enqueue([b"1", b"2", b"3"])
    one, two, _ = await service.claim(5)
    await service.settle([Settlement.processed(one.token)])
    await service.release([two.token])
    await service.length()
    await service.heartbeat()
    assert calls == [
        ("enqueue", 3), ("claim", 3), ("settle", 1), ("release", 1), ("length", 0), ("heartbeat", 0)
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["queue", "retry", "dead", "ledger", "consumers", "deliveries", "types", "completed"]
)
async def test_key_of_another_type_is_rejected(make_service: Any, bare: Any, name: str) -> None:
    """A key that holds something else is named as the user's to solve, at connect and at work."""
    bare.client.set(f"{{q}}:{name}", "mine")
    service = make_service()
    with pytest.raises(RedisRejectedError, match="choose another QUEUE_NAME"):
        await service.connect()
    if name == "queue":
        with pytest.raises(RedisRejectedError, match="WRONGTYPE"):
            await service.enqueue([b"1"])
    assert bare.client.get(f"{{q}}:{name}") == b"mine"


async def test_name_used_by_two_processes_is_noticed(make_service: Any) -> None:
    """A second process under the same consumer name makes the slower one's claims fail loudly."""
    one, two = make_service("same"), make_service("same")
    await two.claim(1)
    one._claim = two._claim - 100
    with pytest.raises(RedisRejectedError, match="same consumer name"):
        await one.claim(1)


async def test_heartbeat_does_not_wait_for_slow_calls(
    make_service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While every other kind of caller is inside a call that hangs, the heartbeat still gets through."""
    service = make_service()
    await service.connect()
    run, begun, go_on = service._channel._scripts.run, set[str](), threading.Event()
    all_begun = trio.Event()

    def slow(name: str, *arguments: Any) -> Any:
        if name != "heartbeat":
            begun.add(name)
            if begun == set(calls):
                trio.from_thread.run_sync(all_begun.set)
            go_on.wait(30)
        return run(name, *arguments)

    monkeypatch.setattr(service._channel._scripts, "run", slow)
    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "enqueue": lambda: service.enqueue([b"1"]),
        "claim": lambda: service.claim(1),
        "settle": lambda: service.settle([Settlement.processed("1234567890123456.0001")]),
        "reap": service.reap,
        "snapshot": service.snapshot,
    }
    async with trio.open_nursery() as nursery:
        try:
            for call in calls.values():
                nursery.start_soon(call)
            with trio.fail_after(10):
                await all_begun.wait()
                await service.heartbeat()
        finally:
            go_on.set()


async def test_erase_forgets_jobs_too(make_service: Any, bare: Any) -> None:
    """No lane stays behind in which a client's next job would wait for ever; other queues are left alone."""
    service, other = make_service(), make_service("b", queue_name="q*")
    for each in (service, other):
        await each.jobs.submit([NewJob("sleep", {}, "c", idempotency_key="k") for _ in range(2)])
    await service.erase()
    assert bare.client.keys("{q}:*") == []
    assert await other.length() == 1
    await service.jobs.submit([NewJob("sleep", {}, "c")])
    assert len(await service.claim(5)) == 1
