"""Two queues behind one load balancer, each with its own Redis: clients are shared by a hash of their id.

One Redis shard bounds one queue (docs/capacity.md). The balancer sends all requests of a client to the same
target group, so a queue knows all jobs of its clients, and their order, limits and idempotency keys hold.
"""

import zlib
from collections import Counter

import trio

from tests.rehearsal.load import loaded
from tests.rehearsal.outcome import Outcome
from tests.rehearsal.stage import Stage


def group_of(client: str, groups: int) -> int:
    """Return the target group of a client, as balancer.conf computes it."""
    return zlib.crc32(client.encode()) % groups


async def two_queues(stage: Stage, customers: int, calm: float) -> Outcome:
    """Load two queues, then take the Redis of one away."""
    outcome = Outcome("two-queues", "Two queues behind one balancer, by a hash of the client")
    groups = len(stage.queues)
    names = [f"customer-{number}" for number in range(customers)]
    shares = Counter(group_of(name, groups) for name in names)
    assert set(shares) == set(range(groups)), shares
    before = [queue.ledger().get("created", 0) for queue in stage.queues]
    async with loaded(stage, customers, 0, names=names) as load:
        await trio.sleep(calm)
        stage.queues[1].redis.primary.kill()
        await trio.sleep(calm)
        await trio.to_thread.run_sync(stage.queues[1].redis.primary.restart)
        await trio.sleep(calm)
    for queue in stage.queues:
        await queue.drained()
    created = [queue.ledger()["created"] - then for queue, then in zip(stage.queues, before, strict=True)]
    strays = [each for each in load.requests if int(each.group) != group_of(each.client, groups)]
    outcome.claim("each client's requests went to its queue", not strays, f"{len(load.requests)} requests")
    jobs = Counter(group_of(client, groups) for client in load.record.clients.values())
    outcome.claim("both queues took jobs", min(created) > 0, f"{created} created, {dict(jobs)} accepted")
    failed = Counter(each.group for each in load.failed)
    outcome.claim("without its Redis only the one queue refused work", set(failed) == {"1"}, dict(failed))
    outcome.figures["clients"] = ", ".join(f"{shares[group]} on queue {group}" for group in range(groups))
    load.tell(outcome)
    return outcome
