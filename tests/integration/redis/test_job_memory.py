"""What finished jobs leave in Redis: little, and nothing for ever."""

from typing import Any

from loadtest_trio.backends.redis import dead_record
from loadtest_trio.jobs.delivery import Settlement
from loadtest_trio.jobs.store import JobLimits, NewJob

JOBS, BATCH = 4000, 200
BYTES_A_JOB = 700
STAY = {"ledger", "types", "consumers"}
"""A few fields each, however many jobs there were."""


def endless(bare: Any) -> set[str]:
    """Return the keys that never expire."""
    names: set[str] = bare.keys()
    return {name for name in names if bare.client.pttl(f"{{q}}:{name}") < 0}


async def test_finished_jobs_are_small_and_expire(make_service: Any, bare: Any) -> None:
    """A job with a 100-byte result takes less than 700 bytes, and every key that grows with jobs expires."""
    service = make_service(job_limits=JobLimits(per_minute=0))
    await service.connect()
    empty = bare.client.info("memory")["used_memory"]
    for start in range(0, JOBS, BATCH):
        await service.jobs.submit(
            [NewJob("sleep", {}, f"client-{i % 40}", pull=i % 2 == 0) for i in range(start, start + BATCH)]
        )
        while deliveries := await service.claim(BATCH):
            await service.settle([Settlement.processed(each.token, b"r" * 100) for each in deliveries])
    used = bare.client.info("memory")["used_memory"] - empty
    assert used / JOBS < BYTES_A_JOB
    assert (await service.snapshot()).processed == JOBS
    await service.retire()
    assert endless(bare) <= STAY


async def test_every_way_to_end_expires(make_service: Any, bare: Any) -> None:
    """Dead, cancelled and pulled jobs, ghosts, keys and buckets leave nothing behind either."""
    service = make_service(job_limits=JobLimits(per_minute=10))
    await service.connect()
    ids = [
        each.id
        for each in await service.jobs.submit(
            [NewJob("sleep", {}, name, pull=True, idempotency_key="k") for name in ("a", "b", "c", "d")]
            + [NewJob("sleep", {}, "a")]
        )
    ]
    await service.jobs.cancel(ids[0])
    await service.jobs.cancel(ids[4])
    dead, done, cancelled = await service.claim(9)
    letter = dead_record(dead.element, error="e", attempts=1, time=0.0)
    await service.settle([Settlement.dead(dead.token, letter), Settlement.processed(done.token, b"1")])
    await service.jobs.cancel(ids[3])
    assert len(await service.jobs.pull_completed(9, "call")) == 2
    await service.settle([Settlement.processed(cancelled.token)])
    await service.retire()
    assert await service.claim(9) == []
    await service.retire()
    assert endless(bare) <= STAY | {"dead"}
    for one in ids:
        bare.client.delete(f"{{q}}:job:{one}")
    await service.claim(1)
    await service.reap()
    assert bare.client.exists("{q}:dead") == 0
    snapshot = await service.snapshot()
    assert (snapshot.purged, snapshot.cancelled, snapshot.processed, snapshot.surplus) == (1, 3, 1, 0)
