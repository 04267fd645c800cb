"""A process that takes jobs through all their steps and kills itself at one of them.

    python -m tests.support.killed_job URL QUEUE SCRIPT before|sent|after

``before``: the call is about to be sent; ``sent``: Redis has done it and its reply was not read; ``after``:
the reply was read. The ids of accepted jobs are printed as soon as they are known.
"""

import os
import select
import signal
import sys
from typing import Any

import trio

from loadtest_trio.backends.redis import RedisService, dead_record
from loadtest_trio.backends.redis.connection import Connections
from loadtest_trio.jobs.delivery import Delivery, Settlement
from loadtest_trio.jobs.store import NewJob, Verdict
from tests.support.redis_service import make_redis

SCRIPTS = ("submit", "claim", "settle", "cancel", "requeue", "pull", "release", "heartbeat", "retire")
WHENS = ("before", "sent", "after")
TTL = 0.3


def die() -> None:
    """End this process as a crash does."""
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(service: RedisService, script: str, when: str) -> None:
    """Have the first call of a script be the last thing that this process does."""
    connections: Connections = service._connections
    execute, head = connections.execute, service._channel._scripts._heads[script]

    def deadly(*command: Any, **options: Any) -> Any:
        if command[:2] != head[:2]:
            return execute(*command, **options)
        if when == "before":
            die()
        if when == "sent":
            _, connection, _ = connections._idle[-1]
            connection.send_command(*command)
            select.select([connection._sock], [], [], 10)
            die()
        execute(*command, **options)
        return die()

    connections.execute = deadly  # type: ignore[method-assign]  # the fault


def new(client: str, **options: Any) -> NewJob:
    return NewJob("sleep", {}, client, **options)


async def submit(service: RedisService, *jobs: NewJob) -> list[str]:
    """Submit jobs and tell that they were accepted."""
    submissions = await service.jobs.submit(jobs)
    assert {each.verdict for each in submissions} == {Verdict.ACCEPTED}
    ids = [each.id for each in submissions]
    print("\n".join(ids), flush=True)
    return ids


def end(delivery: Delivery, how: str) -> Settlement:
    """Return the settlement that ends a delivery so."""
    match how:
        case "dead":
            letter = dead_record(delivery.element, error="e", attempts=1, time=0.0)
            return Settlement.dead(delivery.token, letter)
        case "retry":
            return Settlement.retry(delivery.token, delivery.element, 0.0, "e")
    return Settlement.processed(delivery.token, b"result")


async def live(url: str, queue: str, script: str, when: str) -> None:
    """Take jobs through every step."""
    service = make_redis(
        url=url, queue_name=queue, consumer="victim", backoff=lambda _: 0.01, heartbeat_ttl=TTL
    )
    await service.connect()
    await submit(service, new("a", pull=True))
    kill_at(service, script, when)
    ids = await submit(service, *(new(client) for client in "aabbcd"), new("e", ordered=False))
    done, dead, again, *rest = await service.claim(4)
    await service.settle([end(done, "done"), end(dead, "dead"), end(again, "retry")])
    for one in (ids[0], ids[3], ids[5]):
        await service.jobs.cancel(one)
    await service.dead_letters.requeue_all()
    await service.jobs.pull_completed(5, "call")
    await service.release([each.token for each in rest])
    await service.claim(2)
    await service.heartbeat()
    await service.retire()


if __name__ == "__main__":
    url, queue, script, when = sys.argv[1:]
    trio.run(live, url, queue, script, when)
    sys.exit("the fatal step was never reached")
