"""Job calls whose replies are lost, and servers that are away, frozen, restarted or without their replica."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from loadtest_trio.backends.embedded import RedisServer
from loadtest_trio.backends.redis import RedisService, dead_record
from loadtest_trio.errors import RedisUnavailableError
from loadtest_trio.jobs.delivery import Settlement
from loadtest_trio.jobs.job import Job, Status
from loadtest_trio.jobs.store import Change, JobLimits, NewJob, Submission, Verdict

Spoil = Callable[[], None]


def new(client: str = "c", **options: Any) -> NewJob:
    return NewJob("sleep", {}, client, **options)


async def submit(service: RedisService, *jobs: NewJob) -> list[str]:
    submissions = await service.jobs.submit(jobs)
    assert {each.verdict for each in submissions} == {Verdict.ACCEPTED}
    return [each.id for each in submissions]


async def job(service: RedisService, name: str) -> Job:
    (found,) = await service.jobs.get([name])
    assert found
    return found


async def surplus(service: RedisService) -> int:
    return (await service.snapshot()).surplus


@pytest.fixture(params=["lost", "truncated"])
def spoil(request: pytest.FixtureRequest, proxy: Any) -> Spoil:
    """Spoils the reply to the next script call."""

    def do() -> None:
        proxy.lose = int(request.param == "lost")
        proxy.truncate = int(request.param == "truncated")

    return do


@pytest.fixture
async def service(make_service: Any, through: str) -> RedisService:
    """A consumer behind the proxy, connected (its scripts are loaded)."""
    service: RedisService = make_service(url=through, job_limits=JobLimits(per_minute=5))
    await service.connect()
    return service


async def test_submission_is_not_doubled(service: RedisService, spoil: Spoil) -> None:
    """The repeated call gives the first one's verdicts, charges no more, and puts nothing on the queue."""
    jobs = [new(), new("d", idempotency_key="k"), new("d", idempotency_key="k"), *(new() for _ in range(6))]
    spoil()
    submissions = await service.jobs.submit(jobs)
    verdicts = ["accepted", "accepted", "repeated", *["accepted"] * 4, "limited", "limited"]
    assert [each.verdict.value for each in submissions] == verdicts
    (again,) = await service.jobs.submit([new("d")])
    assert again.rate.remaining == 3
    snapshot = await service.snapshot()
    assert (snapshot.created, snapshot.queued, snapshot.waiting, snapshot.surplus) == (7, 2, 5, 0)


async def test_result_is_there_once(service: RedisService, spoil: Spoil) -> None:
    """A repeated settlement puts one job on the queue, not two, and offers the end once."""
    await submit(service, *(new(pull=True) for _ in range(3)))
    (delivery,) = await service.claim(5)
    spoil()
    assert await service.settle([Settlement.processed(delivery.token, b"1")]) == [True]
    snapshot = await service.snapshot()
    assert (snapshot.processed, snapshot.queued, snapshot.waiting, snapshot.surplus) == (1, 1, 1, 0)
    assert len(await service.jobs.pull_completed(9, "call")) == 1


async def test_claim_starts_a_job_once(service: RedisService, spoil: Spoil) -> None:
    """The repeated claim hands out the same job, attempted once."""
    (one,) = await submit(service, new())
    spoil()
    assert len(await service.claim(5)) == 1
    assert (await job(service, one)).attempts == 1


async def test_cancellation_says_done(service: RedisService, spoil: Spoil) -> None:
    """The repeated call does not find that the job has ended already."""
    one, two = await submit(service, new(), new())
    spoil()
    assert await service.jobs.cancel(one) is Change.DONE
    snapshot = await service.snapshot()
    assert (snapshot.cancelled, snapshot.queued, snapshot.surplus) == (1, 1, 0)
    assert (await job(service, two)).status is Status.QUEUED


async def test_retry_by_hand_says_done(service: RedisService, spoil: Spoil) -> None:
    """The repeated call moves nothing and says that it did."""
    (one,) = await submit(service, new())
    (delivery,) = await service.claim(1)
    letter = dead_record(delivery.element, error="e", attempts=1, time=1.0)
    await service.settle([Settlement.dead(delivery.token, letter)])
    spoil()
    assert await service.jobs.retry(one) is Change.DONE
    assert await surplus(service) == 0
    assert len(await service.claim(5)) == 1


async def test_pull_is_not_a_second_one(service: RedisService, spoil: Spoil) -> None:
    """What an unheard reply handed out is in the repeated one."""
    ids = await submit(service, *(new(name, pull=True) for name in "abc"))
    await service.settle([Settlement.processed(each.token, b"1") for each in await service.claim(5)])
    spoil()
    assert [each.id for each in await service.jobs.pull_completed(2, "one")] == ids[:2]
    spoil()
    assert [each.id for each in await service.jobs.pull_completed(2, "two")] == ids[2:]


@pytest.fixture(params=[None, Path("/usr/bin/redis-server")], ids=["valkey", "redis7.0"])
def own_redis(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own that keeps every write it has acknowledged, to be mistreated."""
    if request.param and not request.param.exists():
        pytest.skip("apt-get install redis-server")
    always = {"appendfsync": "always"}
    with RedisServer.start(tmp_path, binary=request.param, directives=always) as server:
        yield server


async def refused(service: RedisService) -> float:
    """Submit and look in vain; return the seconds that it took."""
    began = trio.current_time()
    with pytest.raises(RedisUnavailableError):
        await service.jobs.submit([new()])
    with pytest.raises(RedisUnavailableError):
        await service.jobs.get(["x"])
    return trio.current_time() - began


async def test_absent_redis_refuses_at_once_and_loses_nothing(
    own_redis: RedisServer, service_of: Any
) -> None:
    """Killed and started again: nobody waits meanwhile, and what was accepted is there."""
    told: list[Any] = []
    service = service_of(url=own_redis.url, on_outage=told.append)
    await service.connect()
    ids = await submit(service, new(), new(), new("d"))
    await service.claim(1)
    await trio.to_thread.run_sync(own_redis.kill)
    assert await refused(service) < 1
    assert await refused(service) < 0.1
    assert isinstance(told[0], RedisUnavailableError)
    await trio.to_thread.run_sync(own_redis.restart)
    await trio.sleep(0.3)
    assert [each.status.value for each in await service.jobs.get(ids)] == ["running", "queued", "queued"]
    assert told[-1] is None
    await submit(service, new())
    snapshot = await service.snapshot()
    assert (snapshot.created, snapshot.lost, snapshot.surplus) == (4, 0, 0)


async def test_frozen_redis_holds_up_one_call(own_redis: RedisServer, service_of: Any) -> None:
    """Whoever comes while the first call waits for its reply in vain travels with the next, or is refused."""
    service = service_of(url=own_redis.url, timeout=0.5)
    await service.connect()
    own_redis.pause()
    try:
        with trio.fail_after(5), pytest.raises(RedisUnavailableError):
            await service.jobs.get(["x"])
        began = trio.current_time()
        with pytest.raises(RedisUnavailableError):
            await service.jobs.get(["x"])
        assert trio.current_time() - began < 0.2
    finally:
        own_redis.resume()
    await trio.sleep(0.3)
    assert await service.jobs.get(["x"]) == [None]


async def test_lost_memory_is_counted(own_redis: RedisServer, service_of: Any) -> None:
    """When Redis comes back empty, jobs are unknown and counted as lost; new ones are taken."""
    losses: list[int] = []
    service = service_of(url=own_redis.url, on_data_loss=losses.append)
    await service.connect()
    one, _ = await submit(service, new(), new())
    await service.jobs.cancel(one)
    service_of("other", url=own_redis.url)._connections.execute(b"FLUSHALL")
    (again,) = await submit(service, new())
    snapshot = await service.snapshot()
    assert (snapshot.created, snapshot.lost, snapshot.cancelled, snapshot.queued) == (3, 1, 1, 1)
    assert snapshot.surplus == 0
    assert losses == [1]
    assert await service.jobs.get([one]) == [None]
    assert (await job(service, again)).status is Status.QUEUED


async def test_bucket_is_exact_under_concurrent_submitters(make_service: Any) -> None:
    """50 tasks over two processes' connections: exactly as many as the bucket holds are accepted."""
    limits = JobLimits(per_minute=100)
    services = [make_service(name, job_limits=limits) for name in ("a", "b")]
    answers: list[Submission] = []

    async def hammer(service: RedisService) -> None:
        for _ in range(6):
            answers.extend(await service.jobs.submit([new("one")]))

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for i in range(50):
            nursery.start_soon(hammer, services[i % 2])
    accepted = [each for each in answers if each.verdict is Verdict.ACCEPTED]
    assert 100 <= len(accepted) <= 100 + (trio.current_time() - began) / 0.6 + 1
    assert len({each.id for each in accepted}) == len(accepted)
    assert len(answers) == 300


async def test_accepted_means_on_the_replica(own_redis: RedisServer, service_of: Any, tmp_path: Path) -> None:
    """With `replicas`, a submission that a replica did not get in time is not answered as accepted."""
    follow = {"replicaof": f"127.0.0.1 {own_redis.port}", "masterauth": own_redis.password}
    (tmp_path / "replica").mkdir()
    # The first one waits until the replica is in step.
    patient = service_of(
        url=own_redis.url, timeout=20.0, job_limits=JobLimits(replicas=1, replica_timeout=15.0)
    )
    hasty = service_of("b", url=own_redis.url, job_limits=JobLimits(replicas=1, replica_timeout=0.3))
    with RedisServer.start(tmp_path / "replica", binary=own_redis.binary, directives=follow) as replica:
        (one,) = await submit(patient, new())
        reader = service_of("r", url=replica.url)
        assert (await job(reader, one)).status is Status.QUEUED
        replica.pause()
        try:
            with pytest.raises(RedisUnavailableError, match="0 of 1 replicas"):
                await hasty.jobs.submit([new()])
        finally:
            replica.resume()
