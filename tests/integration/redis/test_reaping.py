"""Consumers that die, stall, or only seem to."""

from typing import Any

import orjson
import pytest
import trio

from loadtest_trio.backends.redis import ReapResult, RedisService
from loadtest_trio.jobs.delivery import Settlement
from loadtest_trio.jobs.job import Status
from loadtest_trio.jobs.store import NewJob


async def test_work_of_a_dead_consumer_goes_back(make_service: Any, bare: Any) -> None:
    """Its messages go out next, in their old order, with their deliveries counted; it is forgotten."""
    dead, alive = make_service("dead"), make_service("alive")
    await dead.enqueue([b"1", b"2", b"3"])
    await dead.claim(2)
    await bare.silence("dead", alive=alive)
    assert await alive.reap() == ReapResult(consumers=1, requeued=2, dead=0)
    assert bare.reaped() == {b"1": 1, b"2": 1}
    assert [delivery.element for delivery in await alive.claim(3)] == [b"1", b"2", b"3"]
    assert await alive.reap() == ReapResult(0, 0, 0)
    snapshot = await alive.snapshot()
    assert (snapshot.consumers, snapshot.in_flight, snapshot.surplus) == (1, 3, 0)


async def test_delivery_count_ends_with_the_message(make_service: Any, bare: Any) -> None:
    """Once settled, nothing of the count is left behind."""
    dead, alive = make_service("dead"), make_service("alive")
    await dead.enqueue([b"1", b"2"])
    await dead.claim(2)
    await bare.silence("dead", alive=alive)
    await alive.reap()
    one, two = await alive.claim(2)
    assert "deliveries" in bare.keys()  # noqa: SIM118  # not a dictionary
    await alive.settle([Settlement.processed(one.token), Settlement.retry(two.token, b"2'", 60.0)])
    assert "deliveries" not in bare.keys()  # noqa: SIM118


async def test_release_does_not_raise_the_count(make_service: Any, bare: Any) -> None:
    """What was reaped once and then released has still been delivered in vain only once."""
    dead, alive = make_service("dead"), make_service("alive")
    await dead.enqueue([b"1"])
    await dead.claim(1)
    await bare.silence("dead", alive=alive)
    await alive.reap()
    for _ in range(3):
        (delivery,) = await alive.claim(1)
        await alive.release([delivery.token])
    assert bare.reaped() == {b"1": 1}


async def test_late_settlement_is_stale(make_service: Any, bare: Any) -> None:
    """A consumer that was taken for dead and comes back hears that its work no longer counts."""
    slow, other = make_service("slow"), make_service("other")
    await slow.enqueue([b"1"])
    (late,) = await slow.claim(1)
    await bare.silence("slow", alive=other)
    await other.reap()
    (again,) = await other.claim(1)
    assert again.element == late.element
    assert await slow.settle([Settlement.processed(late.token)]) == [False]
    assert await slow.release([late.token]) == 0
    assert (await slow.snapshot()).processed == 0
    assert await other.settle([Settlement.processed(again.token)]) == [True]
    snapshot = await other.snapshot()
    assert (snapshot.processed, snapshot.surplus) == (1, 0)


async def test_stalled_consumer_can_go_on(make_service: Any, bare: Any) -> None:
    """After it was reaped, a consumer that comes back claims and settles as before."""
    slow, other = make_service("slow"), make_service("other")
    await slow.enqueue([b"1"])
    await slow.claim(1)
    await bare.silence("slow", alive=other)
    await other.reap()
    (delivery,) = await slow.claim(1)
    assert bare.reaped() == {b"1": 1}
    assert await slow.settle([Settlement.processed(delivery.token)]) == [True]


async def test_poison_ends_on_the_dead_list(make_service: Any, bare: Any) -> None:
    """A message that kills every consumer is delivered `max_deliveries` times, then dead with its story."""
    alive = make_service("alive", max_deliveries=3, clock=lambda: 77.0)
    poison = orjson.dumps({"id": "p1", "operation": "READ", "key": "k"})
    await alive.enqueue([poison, b"harmless"])
    for n in (1, 2, 3):
        victim = make_service(f"victim{n}")
        (delivery,) = await victim.claim(1)
        assert (delivery.element, bare.reaped().get(poison, 0)) == (poison, n - 1)
        await bare.silence(f"victim{n}", alive=alive)
        assert await alive.reap() == ReapResult(1, int(n < 3), int(n == 3))
    (letter,) = await alive.dead_letters.page()
    assert (letter.id, letter.operation, letter.key, letter.attempts, letter.time) == (
        "p1",
        "READ",
        "k",
        3,
        77.0,
    )
    assert letter.element == poison
    assert letter.error == "delivered 3 times and never settled"
    assert "deliveries" not in bare.keys()  # noqa: SIM118
    assert [delivery.element for delivery in await alive.claim(5)] == [b"harmless"]
    assert (await alive.snapshot()).surplus == 0


async def test_poison_that_is_retried_by_hand_begins_anew(make_service: Any, bare: Any) -> None:
    """Whoever has mended the cause gives it all deliveries again, and not only the last."""
    alive = make_service("alive", max_deliveries=2)
    await alive.enqueue([b'{"id":"p","operation":"READ","key":"k"}'])
    for n in (1, 2):
        await make_service(f"victim{n}", max_deliveries=2).claim(1)
        await bare.silence(f"victim{n}", alive=alive)
        await alive.reap()
    assert await alive.dead_letters.requeue("p")
    await make_service("victim3", max_deliveries=2).claim(1)
    await bare.silence("victim3", alive=alive)
    assert await alive.reap() == ReapResult(1, 1, 0)


async def test_job_that_kills_its_consumers_has_an_end(make_service: Any, bare: Any) -> None:
    """Its record is dead, with the time and the reason, as any other dead job's."""
    alive = make_service("alive", max_deliveries=1)
    (submission,) = await alive.jobs.submit([NewJob("sleep", {"ms": 1}, "c")])
    await make_service("victim", max_deliveries=1).claim(1)
    await bare.silence("victim", alive=alive)
    assert await alive.reap() == ReapResult(1, 0, 1, (submission.id,))
    (job,) = await alive.jobs.get([submission.id])
    assert job.status is Status.DEAD
    assert job.ended_at >= job.started_at > 0
    assert "delivered 1 times" in job.error


async def test_equal_elements_are_not_poison_by_number(make_service: Any, bare: Any) -> None:
    """Ten equal elements in one dead consumer's hands are one failed delivery of each, not ten of one."""
    dead, alive = make_service("dead"), make_service("alive")
    await dead.enqueue([b"same"] * 10)
    await dead.claim(10)
    await bare.silence("dead", alive=alive)
    assert await alive.reap() == ReapResult(1, 10, 0)
    assert bare.reaped() == {b"same": 1}
    assert len(await alive.claim(10)) == 10


async def test_reaping_is_bounded(make_service: Any, bare: Any) -> None:
    """One call moves 500 messages at most; the order survives several calls."""
    dead, alive = make_service("dead"), make_service("alive")
    await dead.enqueue([b"%d" % n for n in range(700)])
    await dead.claim(700)
    await bare.silence("dead", alive=alive)
    assert await alive.reap() == ReapResult(0, 500, 0)
    assert await alive.reap() == ReapResult(1, 200, 0)
    assert bare.queue() == [b"%d" % n for n in range(700)]


async def test_revived_owner_keeps_its_poison(
    make_service: Any, bare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An owner that beats again between the reaper's two steps keeps the message it is working on."""
    slow, reaper = make_service("slow"), make_service("reaper", max_deliveries=1)
    await slow.enqueue([b"1"])
    (delivery,) = await slow.claim(1)
    await bare.silence("slow", alive=reaper)
    script = reaper._channel.script

    async def meanwhile(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "bury":
            await slow.heartbeat()
        return await script(name, *arguments, **options)

    monkeypatch.setattr(reaper._channel, "script", meanwhile)
    assert await reaper.reap() == ReapResult(0, 0, 0)
    assert await slow.settle([Settlement.processed(delivery.token)]) == [True]


async def test_heartbeat_keeps_a_consumer_alive(make_service: Any) -> None:
    """In real time: who beats is spared, who is silent for longer than the time to live is reaped."""
    ttl = 1.5
    names = ("dead", "beating", "reaper")
    dead, beating, reaper = (make_service(name, heartbeat_ttl=ttl) for name in names)
    await reaper.enqueue([b"1", b"2"])
    await dead.claim(1)
    (kept,) = await beating.claim(1)
    with trio.fail_after(60):
        while True:
            # A machine that stalls spoils nothing: when the last beat is that old, nobody is judged.
            await beating.heartbeat()
            result = await reaper.reap()
            if result.requeued:
                break
            await trio.sleep(ttl / 30)
    assert result == ReapResult(1, 1, 0)
    assert await beating.settle([Settlement.processed(kept.token)]) == [True]


async def test_nobody_is_judged_right_after_an_outage(make_service: Any, bare: Any) -> None:
    """When Redis itself was away, all heartbeats are old: everybody first gets time to come back."""
    one, other = make_service("one"), make_service("other")
    await one.enqueue([b"1"])
    (delivery,) = await one.claim(1)
    await other.heartbeat()
    for consumer in ("one", "other"):
        bare.client.zadd("{q}:consumers", {consumer: 1})
    assert await other.reap() == ReapResult(0, 0, 0)
    assert await one.settle([Settlement.processed(delivery.token)]) == [True]


async def test_heartbeat_returns_strays(make_service: Any, bare: Any) -> None:
    """What is in flight here without anybody knowing goes back; what is known stays."""
    service: RedisService = make_service()
    await service.enqueue([b"1", b"2", b"3"])
    (kept,) = await service.claim(1)
    lost = await service.claim(1)
    service._held.difference_update(delivery.token for delivery in lost)
    await service.heartbeat()
    assert bare.queue() == [b"2", b"3"]
    assert bare.in_flight("a") == {kept.token.encode(): b"1"}


async def test_cancelled_claim_loses_nothing(make_service: Any, proxy: Any, through: str, bare: Any) -> None:
    """A claim given up while its reply was lost leaves the messages in flight, and they come back."""
    service: RedisService = make_service(url=through, backoff=lambda _: 3600.0)
    await service.connect()
    await service.enqueue([b"1", b"2"])
    proxy.lose = 1
    with trio.move_on_after(0.5):
        await service.claim(2)
    assert len(bare.in_flight("a")) == 2
    await service.heartbeat()
    assert bare.queue() == [b"1", b"2"]
    assert bare.in_flight("a") == {}
    assert len(await service.claim(2)) == 2
