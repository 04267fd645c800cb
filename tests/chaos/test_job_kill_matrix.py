"""SIGKILL at every step of a job: what was accepted ends in one final status, and the ledger is closed."""

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import attrs
import pytest
import redis
import trio

from loadtest_trio.backends.embedded import RedisServer
from loadtest_trio.jobs.delivery import Settlement
from loadtest_trio.jobs.job import Job
from loadtest_trio.jobs.store import Stats
from tests.support.killed_job import SCRIPTS, TTL, WHENS
from tests.support.redis_service import make_redis

POINTS = [(script, when) for script in SCRIPTS for when in WHENS]
SIDE_BY_SIDE = 3


@attrs.frozen
class Aftermath:
    """What the survivors found when all was done."""

    signal: int
    accepted: list[str]
    jobs: list[Job | None]
    stats: Stats


@pytest.fixture(scope="module")
def aftermaths(
    redis_server: RedisServer, request: pytest.FixtureRequest
) -> Iterator[dict[tuple[str, str], Future[Aftermath]]]:
    """The trials of all points, some side by side, each on a queue of its own."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    pool = ThreadPoolExecutor(SIDE_BY_SIDE)
    yield {point: pool.submit(kill_and_recover, redis_server.url, *point) for point in POINTS}
    pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("point", POINTS, ids=".".join)
def test_killed_at(aftermaths: dict[tuple[str, str], Future[Aftermath]], point: tuple[str, str]) -> None:
    """Whatever was told to be accepted has ended, once, and no lane or message is left behind."""
    found = aftermaths[point].result()
    assert found.signal == signal.SIGKILL
    assert len(found.accepted) == (1 if point[0] == "submit" else 8)
    assert all(each and each.status.ended for each in found.jobs)
    counts, queue = found.stats.by_type["sleep"], found.stats.queue
    assert counts.submitted == counts.succeeded + counts.dead + counts.cancelled
    statuses = Counter(each.status.value for each in found.jobs if each)
    if point[0] != "submit":  # else some were accepted and nobody heard of it
        assert statuses == +Counter(succeeded=counts.succeeded, dead=counts.dead, cancelled=counts.cancelled)
    assert (queue.surplus, queue.lost) == (0, 0)
    assert (queue.queued, queue.waiting, queue.delayed, queue.in_flight) == (0, 0, 0, 0)
    assert found.stats.lanes == 0


def kill_and_recover(url: str, script: str, when: str) -> Aftermath:
    """Let a process die at a point; then do what is left."""
    queue = f"{script}-{when}"
    command = [sys.executable, "-m", "tests.support.killed_job", url, queue, script, when]
    victim = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=False)
    accepted = victim.stdout.split()
    jobs, stats = trio.run(recover, url, queue, accepted)
    return Aftermath(-victim.returncode, accepted, jobs, stats)


async def recover(url: str, queue: str, accepted: list[str]) -> tuple[list[Job | None], Stats]:
    """Take over what the victim had, and finish it."""
    survivor = make_redis(
        url=url, queue_name=queue, consumer="survivor", backoff=lambda _: 0.01, heartbeat_ttl=TTL
    )
    with trio.fail_after(30):
        while True:
            deliveries = await survivor.claim(10)
            await survivor.settle([Settlement.processed(each.token, b"late") for each in deliveries])
            stats = await survivor.jobs.stats()
            left = stats.queue
            if not (left.queued or left.waiting or left.delayed or left.in_flight):
                break
            await survivor.reap()
            await trio.sleep(TTL / 10)
    jobs = await survivor.jobs.get(accepted)
    survivor.close()
    return jobs, stats
