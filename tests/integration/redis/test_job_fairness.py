"""A client with 100,000 jobs, half of them ordered, and another one's first job."""

from typing import Any

import trio

from loadtest_trio.jobs.delivery import Settlement
from loadtest_trio.jobs.message import job_id
from loadtest_trio.jobs.store import JobLimits, NewJob

MANY, BATCH, WORKERS = 100_000, 500, 10


async def test_many_jobs_do_not_delay_another_client(service_of: Any, redis_url: str) -> None:
    """Ten workers at 10 ms a job start the other client's job within a second."""
    service = service_of(url=redis_url, job_limits=JobLimits(per_minute=0, max_queue_length=2 * MANY))
    for _ in range(MANY // BATCH):
        await service.jobs.submit([NewJob("sleep", {}, "many", ordered=i % 2 == 0) for i in range(BATCH)])
    (first,) = await service.jobs.submit([NewJob("sleep", {}, "few")])
    snapshot = await service.snapshot()
    assert (snapshot.created, snapshot.surplus) == (MANY + 1, 0)
    assert snapshot.waiting == MANY - 1 - 100, "one ordered and a hundred unordered ones are active"
    began, found = trio.current_time(), False
    while not found:
        deliveries = await service.claim(WORKERS)
        found = first.id in {job_id(each.element) for each in deliveries}
        await trio.sleep(0.01)
        await service.settle([Settlement.processed(each.token) for each in deliveries])
    assert trio.current_time() - began < 1
