"""What somebody else has put into our keys stops nobody: it is left out, or delivered as it is."""

from typing import Any

from loadtest_trio.backends.redis import dead_record
from loadtest_trio.backends.redis.job_replies import parse_types
from loadtest_trio.jobs.delivery import Settlement
from loadtest_trio.jobs.store import Change, NewJob, TypeCounts


async def test_stranger_in_flight_stops_neither_claims_nor_jobs(make_service: Any, bare: Any) -> None:
    """A message on its last delivery does not wait for it, and the tokens are still compared."""
    service = make_service(max_deliveries=2)
    await service.enqueue([b"1"])
    bare.client.hset("{q}:inflight:a", b"\xff", b"foreign")
    bare.client.hset("{q}:deliveries", b"1", 1)
    assert [each.element for each in await service.claim(3)] == [b"1"]
    assert await service.revoked() == set()


async def test_stranger_among_the_consumers_hides_no_outage(make_service: Any, bare: Any) -> None:
    """Its sign of life from the future is not taken for one that was heard in time."""
    bare.client.zadd("{q}:consumers", {b"\xff": float("inf")})
    service = make_service()
    await service.enqueue([b"1"])
    assert len(await service.claim(1)) == 1
    assert bare.client.hexists("{q}:ledger", "serving_since")


async def test_strangers_in_lists_and_counts_of_jobs_are_left_out(make_service: Any, bare: Any) -> None:
    """A client's latest jobs and the statistics show what is ours."""
    service = make_service()
    await service.jobs.submit([NewJob("sleep", {}, "c")])
    bare.client.lpush("{q}:client:c", b"\xff")
    bare.client.hset("{q}:types", mapping={b"\xff": 1, b"other:sleep": 1, b"dead:sleep": b"many", b"dead": 1})
    assert [job.client for job in (await service.jobs.page("c")).jobs] == ["c"]
    assert (await service.jobs.stats()).by_type == {"sleep": TypeCounts(submitted=1)}
    assert parse_types({b"dead:sleep": b"9" * 5000}) == {}


async def test_a_strangers_letter_keeps_no_expired_one(make_service: Any, bare: Any) -> None:
    """Letters of jobs that have expired are purged behind it, too; itself it stays."""
    service = make_service()
    bare.client.lpush("{q}:dead", b"foreign")
    await service.jobs.submit([NewJob("sleep", {}, "c")])
    (delivery,) = await service.claim(1)
    letter = dead_record(delivery.element, error="e", attempts=1, time=0.0)
    await service.settle([Settlement.dead(delivery.token, letter)])
    await service.reap()
    assert bare.client.llen("{q}:dead") == 2
    bare.client.delete(*bare.client.keys("{q}:job:*"))
    await service.reap()
    assert bare.client.lrange("{q}:dead", 0, -1) == [b"foreign"]
    assert (await service.snapshot()).purged == 1


async def test_thousands_of_strangers_letters_keep_no_expired_one(make_service: Any, bare: Any) -> None:
    """A call looks at a thousand, and the next one goes on behind them."""
    service = make_service()
    bare.client.lpush("{q}:dead", *[b"foreign %d" % number for number in range(2500)])
    await service.jobs.submit([NewJob("sleep", {}, "c")])
    (delivery,) = await service.claim(1)
    letter = dead_record(delivery.element, error="e", attempts=1, time=0.0)
    await service.settle([Settlement.dead(delivery.token, letter)])
    bare.client.delete(*bare.client.keys("{q}:job:*"))
    for _ in range(3):
        await service.reap()
    assert bare.client.llen("{q}:dead") == 2500
    assert (await service.snapshot()).purged == 1
    for _ in range(3):  # it begins anew at the end
        await service.reap()
    assert (await service.snapshot()).surplus == 2500


async def test_dead_consumer_of_the_future_is_reaped(make_service: Any, bare: Any) -> None:
    """The server's clock was set back by a day: its consumers are judged by the new time."""
    dead, alive = make_service("dead"), make_service("alive")
    await dead.enqueue([b"1"])
    await dead.claim(1)
    (now, _) = bare.client.time()
    bare.client.zadd("{q}:consumers", {"dead": (now + 86_400) * 1000})
    await alive.reap()
    score = bare.client.zscore("{q}:consumers", "dead")
    assert abs(score / 1000 - now) < 60
    await bare.silence("dead", alive=alive)
    assert (await alive.reap()).requeued == 1


async def test_strangers_key_under_a_jobs_name_is_an_unknown_job(make_service: Any, bare: Any) -> None:
    """Reading, cancelling and pulling a job whose key holds something else find no job."""
    service = make_service()
    (submission,) = await service.jobs.submit([NewJob("sleep", {}, "c", pull=True)])
    assert submission.job
    name = submission.job.id
    bare.client.delete(f"{{q}}:job:{name}")
    bare.client.lpush(f"{{q}}:job:{name}", b"foreign")
    bare.client.rpush("{q}:completed", name)
    assert await service.jobs.get([name]) == [None]
    assert await service.jobs.cancel(name) is Change.UNKNOWN
    assert await service.jobs.pull_completed(5, "call") == []
    assert len(await service.claim(1)) == 1
