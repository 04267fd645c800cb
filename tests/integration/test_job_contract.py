"""Jobs on the queue, the same on Valkey, on Redis 7.0 and in memory: status, lanes, limits, ledger."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
import redis
import trio

from loadtest_trio.backends.redis import dead_record
from loadtest_trio.errors import JobRejectedError
from loadtest_trio.jobs.delivery import Delivery, Settlement
from loadtest_trio.jobs.job import Job, Status, new_numeric_id
from loadtest_trio.jobs.message import decode
from loadtest_trio.jobs.store import Change, JobLimits, NewJob, Rate, Submission, Verdict
from tests.support.memory_redis import MemoryQueue, MemoryRedis
from tests.support.redis_service import make_redis

PLACES = (
    "queued", "waiting", "in_flight", "delayed", "dead",
    "created", "processed", "missed", "purged", "lost", "cancelled",
)  # fmt: skip

Make = Callable[..., Any]


@pytest.fixture(params=["", "redis_server", "debian_redis_server"], ids=["memory", "valkey", "redis7.0"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Makes consumers of one empty queue."""
    made: list[Any] = []
    memory = None if request.param else MemoryRedis(time.time)
    server: Any = request.getfixturevalue(request.param) if request.param else None
    if server:
        with redis.Redis.from_url(server.url) as client:
            client.flushall()

    def make(consumer: str = "a", **options: Any) -> Any:
        if memory:
            made.append(MemoryQueue(memory, consumer, **options))
        else:
            defaults: dict[str, Any] = {"url": server.url, "queue_name": "q", "backoff": lambda _: 0.02}
            made.append(make_redis(consumer=consumer, **(defaults | options)))
        return made[-1]

    yield make
    for service in made:
        service.close()


@pytest.fixture
def queue(make: Make) -> Any:
    """One consumer."""
    return make()


def new(client: str = "c", **options: Any) -> NewJob:
    """A job to submit."""
    return NewJob("sleep", {"milliseconds": 1}, client, **options)


async def submit(queue: Any, *jobs: NewJob) -> list[str]:
    """Submit jobs that are accepted; return their ids."""
    submissions = await queue.jobs.submit(jobs)
    assert [each.verdict for each in submissions] == [Verdict.ACCEPTED] * len(jobs)
    return [each.id for each in submissions]


async def places(queue: Any) -> dict[str, int]:
    """Return the places and counters that are not 0, after checking that they add up."""
    snapshot = await queue.snapshot()
    assert snapshot.surplus == 0
    return {name: value for name in PLACES if (value := getattr(snapshot, name))}


async def job(queue: Any, one: str) -> Job:
    """Return a job that is known."""
    (found,) = await queue.jobs.get([one])
    assert isinstance(found, Job)
    return found


async def statuses(queue: Any, ids: list[str]) -> list[str | None]:
    """Return how jobs stand; None for one that is unknown."""
    return [each and each.status.value for each in await queue.jobs.get(ids)]


async def claim(queue: Any, limit: int = 10) -> dict[str, Delivery]:
    """Claim; return the deliveries by message one."""
    return {decode(each.element).id: each for each in await queue.claim(limit)}


async def finish(queue: Any, delivery: Delivery, result: bytes = b"done") -> None:
    assert await queue.settle([Settlement.processed(delivery.token, result)]) == [True]


async def fail(queue: Any, delivery: Delivery, delay: float) -> None:
    again = decode(delivery.element).put_back(retries=1, attempts=1).encode()
    assert await queue.settle([Settlement.retry(delivery.token, again, delay, "boom")]) == [True]


async def give_up(queue: Any, delivery: Delivery) -> None:
    letter = dead_record(delivery.element, error="hopeless", attempts=4, time=1.0)
    assert await queue.settle([Settlement.dead(delivery.token, letter)]) == [True]


async def test_from_submission_to_result(queue: Any) -> None:
    """The record says at each step where the message is, and in the end what came out."""
    (submission,) = await queue.jobs.submit([new()])
    assert submission.job == await job(queue, submission.id)
    assert submission.job.status is Status.QUEUED
    assert await places(queue) == {"created": 1, "queued": 1}
    (delivery,) = await queue.claim(5)
    message = decode(delivery.element)
    assert (message.id, message.operation, message.client) == (submission.id, "sleep", "c")
    assert message.params == {"milliseconds": 1}
    running = await job(queue, submission.id)
    assert (running.status, running.attempts) == (Status.RUNNING, 1)
    assert running.started_at is not None
    assert running.started_at >= running.submitted_at
    await finish(queue, delivery, b"result\nof\x00any bytes\xff\n")
    ended = await job(queue, submission.id)
    assert (ended.status, ended.result, ended.error) == (
        Status.SUCCEEDED, b"result\nof\x00any bytes\xff\n", ""
    )  # fmt: skip
    assert ended.ended_at is not None
    assert await places(queue) == {"created": 1, "processed": 1}


async def test_result_kept_elsewhere(queue: Any) -> None:
    """A large result is a reference in the record."""
    (one,) = await submit(queue, new())
    (delivery,) = await queue.claim(1)
    await queue.settle([Settlement.processed(delivery.token, result_ref="results/1")])
    ended = await job(queue, one)
    assert (ended.status, ended.result, ended.result_ref) == (Status.SUCCEEDED, None, "results/1")


async def test_no_result(queue: Any) -> None:
    """Work without a result, and work with nothing to do, succeed."""
    ids = await submit(queue, new("a"), new("b"))
    one, two = await queue.claim(2)
    await queue.settle([Settlement.processed(one.token), Settlement.missed(two.token)])
    assert await statuses(queue, ids) == ["succeeded", "succeeded"]
    assert await places(queue) == {"created": 2, "processed": 1, "missed": 1}


async def test_unknown_job(queue: Any) -> None:
    """What was never submitted is not there, and cannot be changed."""
    assert await queue.jobs.get(["no", "", "ü\n"]) == [None, None, None]
    assert await queue.jobs.cancel("no") is Change.UNKNOWN
    assert await queue.jobs.retry("no") is Change.UNKNOWN
    assert await queue.jobs.get([]) == await queue.jobs.submit([]) == []


async def test_messages_and_jobs_share_the_queue(queue: Any) -> None:
    """A message without a record passes jobs by, even one that looks like a job."""
    await queue.enqueue([b'{"id":"1"}', b'{"job":true,"id":"x","operation":"sleep"}', b'{"j', b""])
    (one,) = await submit(queue, new())
    deliveries = await queue.claim(9)
    assert len(deliveries) == 5
    assert await queue.settle([Settlement.processed(each.token, b"r") for each in deliveries]) == [True] * 5
    assert await statuses(queue, ["x", "1", one]) == [None, None, "succeeded"]
    assert await places(queue) == {"created": 5, "processed": 5}


async def test_copy_of_a_job_is_only_a_message(queue: Any) -> None:
    """Who pushes a job's element again runs its work again, and does not touch its record."""
    (one,) = await submit(queue, new())
    (first,) = await queue.claim(1)
    await queue.enqueue([first.element])
    (copy,) = await queue.claim(1)
    await give_up(queue, copy)
    assert await statuses(queue, [one]) == ["running"]
    await finish(queue, first)
    assert await statuses(queue, [one]) == ["succeeded"]


async def test_ordered_jobs_take_turns(queue: Any) -> None:
    """Of one client one job is out at a time, in order; another client's goes in between."""
    one, two, three = await submit(queue, new("a"), new("a"), new("a"))
    (other,) = await submit(queue, new("b"))
    assert await places(queue) == {"created": 4, "queued": 2, "waiting": 2}
    for expected in ([one, other], [two], [three], []):
        claimed = await claim(queue)
        assert list(claimed) == expected
        for delivery in claimed.values():
            await finish(queue, delivery)
    assert await places(queue) == {"created": 4, "processed": 4}
    assert (await queue.jobs.stats()).lanes == 0


async def test_unordered_jobs_run_side_by_side(queue: Any) -> None:
    """They do not wait for each other, nor for the client's ordered ones."""
    ids = await submit(queue, new(), new(ordered=False), new(ordered=False))
    assert list(await claim(queue)) == ids


async def test_many_jobs_of_one_client_do_not_delay_another(make: Make) -> None:
    """Ordered or not: what is in front of another client's first job is bounded."""
    queue = make(job_limits=JobLimits(per_minute=0))
    for ordered in (True, False):
        await submit(queue, *(new("many", ordered=ordered) for _ in range(300)))
    (first,) = await submit(queue, new("few"))
    claimed = await claim(queue, 1000)
    assert len(claimed) == 1 + 100 + 1
    assert first in claimed
    assert await places(queue) == {"created": 601, "in_flight": 102, "waiting": 499}
    for delivery in claimed.values():
        await finish(queue, delivery)
    assert len(await claim(queue, 1000)) == 1 + 100


async def test_order_survives_a_retry(queue: Any) -> None:
    """While a job waits for its retry the client's next one waits for it."""
    one, two = await submit(queue, new(), new())
    (delivery,) = await queue.claim(1)
    await fail(queue, delivery, 60.0)
    retrying = await job(queue, one)
    assert (retrying.status, retrying.error, retrying.attempts) == (Status.RETRYING, "boom", 1)
    assert retrying.due_at is not None
    assert retrying.due_at > retrying.submitted_at + 50
    assert await places(queue) == {"created": 2, "delayed": 1, "waiting": 1}
    assert await queue.claim(5) == []
    assert await statuses(queue, [one, two]) == ["retrying", "queued"]


async def test_retry_falls_due(queue: Any) -> None:
    """It is handed out again, and its error is forgotten when it succeeds."""
    (one,) = await submit(queue, new())
    (delivery,) = await queue.claim(1)
    await fail(queue, delivery, 0.0)
    await trio.sleep(0.005)
    (again,) = await queue.claim(1)
    assert decode(again.element).retries == 1
    running = await job(queue, one)
    assert (running.status, running.attempts, running.error) == (Status.RUNNING, 2, "boom")
    await finish(queue, again)
    assert (await job(queue, one)).error == ""


async def test_released_job_was_not_attempted(queue: Any) -> None:
    """A job that nobody started is queued as before; one of a crashed consumer was attempted."""
    one, two = await submit(queue, new(), new())
    (delivery,) = await queue.claim(1)
    await queue.release([delivery.token])
    released = await job(queue, one)
    assert (released.status, released.attempts) == (Status.QUEUED, 0)
    assert list(await claim(queue)) == [one]
    await queue.retire()
    assert (await job(queue, one)).attempts == 0
    assert list(await claim(queue)) == [one]
    assert await statuses(queue, [one, two]) == ["running", "queued"]


async def test_dead_job_releases_its_lane(queue: Any) -> None:
    """The next one's turn has come; the dead one says why, and lies on the dead list."""
    one, two = await submit(queue, new(), new())
    (delivery,) = await queue.claim(1)
    await give_up(queue, delivery)
    dead = await job(queue, one)
    assert (dead.status, dead.error) == (Status.DEAD, "hopeless")
    assert list(await claim(queue)) == [two]
    assert await places(queue) == {"created": 2, "dead": 1, "in_flight": 1}


async def test_dead_job_is_retried_by_hand(queue: Any) -> None:
    """It goes behind its client's others, its attempts starting anew; it can be retried once."""
    one, two = await submit(queue, new(), new())
    (delivery,) = await queue.claim(1)
    assert await queue.jobs.retry(one) is Change.REFUSED
    await give_up(queue, delivery)
    assert await queue.jobs.retry(one) is Change.DONE
    assert await queue.jobs.retry(one) is Change.REFUSED
    again = await job(queue, one)
    assert (again.status, again.attempts, again.error, again.ended_at) == (Status.QUEUED, 0, "", None)
    assert await places(queue) == {"created": 2, "queued": 1, "waiting": 1}
    for expected in (two, one):
        claimed = await claim(queue)
        assert list(claimed) == [expected]
        assert decode(claimed[expected].element).retries == 0
        await finish(queue, claimed[expected])
    counts = (await queue.jobs.stats()).by_type["sleep"]
    assert (counts.submitted, counts.succeeded, counts.dead) == (2, 2, 0)


async def test_cancelled_while_queued(queue: Any) -> None:
    """It is never handed out, and its client's next one takes its place."""
    one, two = await submit(queue, new(), new())
    assert await queue.jobs.cancel(one) is Change.DONE
    assert await queue.jobs.cancel(one) is Change.REFUSED
    assert await statuses(queue, [one, two]) == ["cancelled", "queued"]
    assert await places(queue) == {"created": 2, "cancelled": 1, "queued": 1}
    assert list(await claim(queue)) == [two]
    assert await places(queue) == {"created": 2, "cancelled": 1, "in_flight": 1}


async def test_cancelled_while_waiting(queue: Any) -> None:
    """It is passed over when its turn comes; the ledger has counted it at once."""
    ids = await submit(queue, *(new() for _ in range(4)))
    assert await queue.jobs.cancel(ids[1]) is Change.DONE
    assert await queue.jobs.cancel(ids[2]) is Change.DONE
    assert await places(queue) == {"created": 4, "cancelled": 2, "queued": 1, "waiting": 1}
    await finish(queue, (await claim(queue))[ids[0]])
    assert await places(queue) == {"created": 4, "cancelled": 2, "processed": 1, "queued": 1}
    assert list(await claim(queue)) == [ids[3]]


async def test_long_run_of_cancelled_jobs(make: Make) -> None:
    """However many of a lane are cancelled, its last one gets its turn, and nothing is counted twice."""
    queue = make(job_limits=JobLimits(per_minute=0))
    ids = await submit(queue, *(new() for _ in range(252)))
    for one in ids[1:-1]:
        await queue.jobs.cancel(one)
    await finish(queue, (await claim(queue))[ids[0]])
    found = await places(queue)
    assert found.pop("waiting", 0) + found.pop("queued", 0) == 1
    assert found == {"created": 252, "processed": 1, "cancelled": 250}
    assert list(await claim(queue)) == [ids[-1]]
    assert await places(queue) == {"created": 252, "processed": 1, "cancelled": 250, "in_flight": 1}


async def test_cancelled_while_retrying(queue: Any) -> None:
    """It does not come back when it falls due."""
    one, two = await submit(queue, new(), new())
    await fail(queue, (await claim(queue))[one], 0.0)
    assert await queue.jobs.cancel(one) is Change.DONE
    assert await places(queue) == {"created": 2, "cancelled": 1, "queued": 1}
    await trio.sleep(0.005)
    assert list(await claim(queue)) == [two]
    assert await places(queue) == {"created": 2, "cancelled": 1, "in_flight": 1}


async def test_cancelled_while_running(queue: Any) -> None:
    """Its settlement is stale, its worker can see that, and the next one's turn has come."""
    one, two = await submit(queue, new(), new())
    (delivery,) = await queue.claim(1)
    assert await queue.revoked() == set()
    assert await queue.jobs.cancel(one) is Change.DONE
    assert await queue.revoked() == {delivery.token}
    assert await queue.revoked() == set()
    assert await queue.settle([Settlement.processed(delivery.token)]) == [False]
    assert await statuses(queue, [one, two]) == ["cancelled", "queued"]
    assert await places(queue) == {"created": 2, "cancelled": 1, "queued": 1}


async def test_ended_job_cannot_be_cancelled(queue: Any) -> None:
    """Neither one that succeeded nor one that is dead."""
    one, two = await submit(queue, new("a"), new("b"))
    claimed = await claim(queue)
    await finish(queue, claimed[one])
    await give_up(queue, claimed[two])
    assert await queue.jobs.cancel(one) is Change.REFUSED
    assert await queue.jobs.cancel(two) is Change.REFUSED
    assert await places(queue) == {"created": 2, "processed": 1, "dead": 1}


async def test_bucket_of_each_client(make: Make) -> None:
    """So many at once and no more; each client for itself; the answer says when to come again."""
    queue = make(job_limits=JobLimits(per_minute=3))
    answers: list[Submission] = await queue.jobs.submit([new("a") for _ in range(5)] + [new("b")])
    assert [each.verdict.value for each in answers] == ["accepted"] * 3 + ["limited"] * 2 + ["accepted"]
    assert [each.rate.remaining for each in answers] == [2, 1, 0, 0, 0, 2]
    assert [each.rate.limit for each in answers] == [3] * 6
    assert [round(each.rate.reset) for each in answers] == [20, 40, 60, 60, 60, 20]
    assert [round(each.rate.wait) for each in answers] == [0, 0, 20, 20, 20, 0]
    assert (answers[3].id, answers[3].job) == ("", None)
    assert await places(queue) == {"created": 4, "queued": 2, "waiting": 2}


async def test_bucket_refills(make: Make) -> None:
    """After its share of a minute there is one token again, and only one."""
    queue = make(job_limits=JobLimits(per_minute=120))
    answers = await queue.jobs.submit([new() for _ in range(121)])
    assert answers[-1].verdict is Verdict.LIMITED
    assert 0 < answers[-1].rate.wait <= 0.5
    await trio.sleep(0.5)
    verdicts = [each.verdict.value for each in await queue.jobs.submit([new() for _ in range(3)])]
    assert verdicts[0] == "accepted"
    assert verdicts[-1] == "limited"


async def test_unlimited_submissions(make: Make) -> None:
    """Where no limit applies none is shown, and no token is taken."""
    queue = make(job_limits=JobLimits(per_minute=1))
    (free, limited) = await queue.jobs.submit([new(limited=False), new()])
    assert free.rate == Rate(0, 0, 0, 0)
    assert (free.verdict, limited.verdict) == (Verdict.ACCEPTED, Verdict.ACCEPTED)


async def test_full_queue(make: Make) -> None:
    """Beyond the limit none is accepted and no token is taken; waiting, delayed and dead ones count."""
    queue = make(job_limits=JobLimits(per_minute=10, max_queue_length=3))
    one, two, _ = await submit(queue, new("a"), new("a"), new("b"))
    (full,) = await queue.jobs.submit([new("c")])
    assert (full.verdict, full.id, full.rate.remaining) == (Verdict.FULL, "", 10)
    claimed = await claim(queue)
    await give_up(queue, claimed.pop(one))
    await fail(queue, claimed.popitem()[1], 60.0)
    assert await places(queue) == {"created": 3, "dead": 1, "queued": 1, "delayed": 1}
    assert (await queue.jobs.submit([new("c")]))[0].verdict is Verdict.FULL
    assert list(await claim(queue)) == [two]
    assert (await queue.jobs.submit([new("c")]))[0].verdict is Verdict.ACCEPTED


async def test_idempotency_key(make: Make) -> None:
    """The same work under the same key is the first job, at no cost; other work is a conflict."""
    queue = make(job_limits=JobLimits(per_minute=5))
    (one,) = await submit(queue, new(idempotency_key="k"))
    other = NewJob("sleep", {"milliseconds": 2}, "c", idempotency_key="k")
    again, conflict, else_ = await queue.jobs.submit(
        [new(idempotency_key="k"), other, new("d", idempotency_key="k")]
    )
    assert (again.verdict, again.id, again.rate.remaining) == (Verdict.REPEATED, one, 4)
    assert (conflict.verdict, conflict.id, conflict.rate.remaining) == (Verdict.CONFLICT, one, 4)
    assert else_.verdict is Verdict.ACCEPTED
    assert await places(queue) == {"created": 2, "queued": 2}


async def test_idempotent_repeat_when_nothing_else_is_taken(make: Make) -> None:
    """With an empty bucket and a full queue the first job is still found; a refusal leaves no key behind."""
    queue = make(job_limits=JobLimits(per_minute=1, max_queue_length=1))
    (one,) = await submit(queue, new(idempotency_key="k"))
    for _ in range(2):
        again, limited, full = await queue.jobs.submit(
            [new(idempotency_key="k"), new(idempotency_key="l"), new("d", idempotency_key="k")]
        )
        assert (again.verdict, again.id) == (Verdict.REPEATED, one)
        assert (limited.verdict, full.verdict) == (Verdict.LIMITED, Verdict.FULL)


async def test_key_of_a_cancelled_job_gives_that_job(queue: Any) -> None:
    """A submission is repeated because its answer was lost; new work has a new key."""
    (one,) = await submit(queue, new(idempotency_key="k"))
    assert await queue.jobs.cancel(one) is Change.DONE
    (again,) = await queue.jobs.submit([new(idempotency_key="k")])
    assert (again.verdict, again.id) == (Verdict.REPEATED, one)
    (other,) = await queue.jobs.submit([new(idempotency_key="k2")])
    assert other.verdict is Verdict.ACCEPTED


async def test_idempotency_key_expires(make: Make) -> None:
    """After its time the key is free again."""
    queue = make(job_limits=JobLimits(idempotency_ttl=0.05))
    await submit(queue, new(idempotency_key="k"))
    await trio.sleep(0.1)
    await submit(queue, new(idempotency_key="k"))


@pytest.mark.parametrize("name", ["", "a b", "a\n", "ü", "x" * 129])
async def test_names_that_are_not_allowed(queue: Any, name: str) -> None:
    """A client or key that could break a record or a key name is refused, and nothing submitted."""
    with pytest.raises(JobRejectedError):
        await queue.jobs.submit([new(), new(name)])
    with pytest.raises(JobRejectedError):
        await queue.jobs.submit([NewJob(name, {}, "c")])
    if name:
        with pytest.raises(JobRejectedError):
            await queue.jobs.submit([new(idempotency_key=name)])
    assert await places(queue) == {}


async def test_bad_job_fails_nobody_else(queue: Any) -> None:
    """What travels in one call with others does not take them along."""
    refused: list[JobRejectedError] = []

    async def submit_bad() -> None:
        with pytest.raises(JobRejectedError) as caught:
            await queue.jobs.submit([NewJob("sleep", {"text": "\ud800"}, "c")])
        refused.append(caught.value)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(submit, queue, new(ordered=False))
            nursery.start_soon(submit_bad)
            nursery.start_soon(queue.jobs.cancel, "\ud800")
            nursery.start_soon(queue.jobs.get, ["\ud800"])
    assert len(refused) == 3
    assert await queue.jobs.retry("\ud800") is Change.UNKNOWN
    assert (await queue.jobs.page("\ud800")).jobs == []
    assert await places(queue) == {"created": 3, "queued": 3}


async def test_no_client_can_use_another_ones_keys(queue: Any) -> None:
    """Colons in names do not make two clients' idempotency keys equal."""
    await submit(queue, new("a:b", idempotency_key="c"), new("a", idempotency_key="b:c"))
    await submit(queue, new("a%3Ab", idempotency_key="c"))


async def test_records_expire(make: Make) -> None:
    """Some time after its end a job is unknown; one that has not ended is not."""
    queue = make(job_limits=JobLimits(ttl=0.1))
    one, two, three, four = await submit(queue, *(new(name) for name in "abcd"))
    claimed = await claim(queue, 3)
    await finish(queue, claimed[one])
    await give_up(queue, claimed[two])
    await queue.jobs.cancel(three)
    await trio.sleep(0.2)
    assert await statuses(queue, [one, two, three, four]) == [None, None, None, "queued"]
    assert await places(queue) == {"created": 4, "processed": 1, "dead": 1, "cancelled": 1, "queued": 1}


async def test_ghost_does_not_outlive_its_record(make: Make) -> None:
    """A job cancelled on the queue is never handed out, however long it lies there."""
    queue = make(job_limits=JobLimits(ttl=0.05))
    (one,) = await submit(queue, new())
    await queue.jobs.cancel(one)
    await trio.sleep(0.1)
    assert await claim(queue) == {}
    assert await places(queue) == {"created": 1, "cancelled": 1}
    await trio.sleep(0.1)
    assert await statuses(queue, [one]) == [None]


async def test_latest_jobs_of_a_client(queue: Any) -> None:
    """Newest first, page by page, and by status."""
    ids = await submit(queue, *(new() for _ in range(5)))
    await submit(queue, new("d"))
    await finish(queue, (await claim(queue))[ids[0]])
    page = await queue.jobs.page("c", size=3)
    assert [each.id for each in page.jobs] == ids[:1:-1]
    await submit(queue, new())
    rest = await queue.jobs.page("c", size=3, token=page.token)
    assert [each.id for each in rest.jobs] == ids[1::-1]
    assert rest.token == ""
    found = await queue.jobs.page("c", status=Status.SUCCEEDED)
    assert [each.id for each in found.jobs] == ids[:1]
    assert (await queue.jobs.page("nobody")).jobs == []
    assert (await queue.jobs.page("c", token="no such")).jobs == []


async def test_completed_jobs_are_pulled_once(queue: Any) -> None:
    """Each end is handed out once, oldest first; the same call may be repeated."""
    ids = await submit(
        queue, *(new(str(i), pull=i != 2, id=new_numeric_id(), ordered=False) for i in range(5))
    )
    claimed = await claim(queue)
    for one in ids[:4]:
        await finish(queue, claimed[one], one.encode())
    await give_up(queue, claimed[ids[4]])
    assert (await queue.jobs.stats()).completed == 4
    first = await queue.jobs.pull_completed(2, "call 1")
    assert [(each.id, each.result) for each in first] == [(one, one.encode()) for one in ids[:2]]
    assert await queue.jobs.pull_completed(2, "call 1") == first
    rest = await queue.jobs.pull_completed(10, "call 2")
    assert [(each.id, each.status) for each in rest] == [(ids[3], "succeeded"), (ids[4], "dead")]
    assert await queue.jobs.pull_completed(10, "call 3") == []
    assert await queue.jobs.pull_completed(0, "call 1") == []


async def test_expired_record_is_remembered_for_a_while(queue: Any) -> None:
    """A job read back from the archive is cached under its one, and does not replace a live one."""
    (one,) = await submit(queue, new())
    await finish(queue, (await claim(queue))[one])
    ended = await job(queue, one)
    old = Job("old", "sha512", "d", Status.DEAD, False, 1.0, 2.0, 3.5, None, 4, "why")
    await queue.jobs.remember(old, 60.0)
    await queue.jobs.remember(Job(one, "x", "y", Status.DEAD, False, 1.0), 60.0)
    assert await queue.jobs.get(["old", one]) == [old, ended]


async def test_reaper_tells_which_jobs_it_buried(make: Make) -> None:
    """A job that was delivered too often is dead; only jobs have an id to tell."""
    alive = make("alive", heartbeat_ttl=0.2, max_deliveries=1)
    victim = make("victim", heartbeat_ttl=0.2)
    (one,) = await submit(victim, new())
    await victim.enqueue([b"no job"])
    assert len(await victim.claim(2)) == 2
    with trio.fail_after(5):
        while not (result := await alive.reap()).dead:  # noqa: ASYNC110  # so does a service
            await trio.sleep(0.05)
    assert (result.dead, result.dead_jobs) == (2, (one,))
    assert await statuses(alive, [one]) == ["dead"]


async def test_stats(queue: Any) -> None:
    """One look says where all jobs are, of which types, and how old the next one is."""
    ids = await submit(queue, new("a"), new("b"), NewJob("sha512", {}, "c"), new("c"), new("d"))
    claimed = await claim(queue, 3)
    await finish(queue, claimed[ids[0]])
    await give_up(queue, claimed[ids[1]])
    await queue.jobs.cancel(ids[2])
    stats = await queue.jobs.stats()
    assert stats.queue == await queue.snapshot()
    sleep, sha512 = stats.by_type["sleep"], stats.by_type["sha512"]
    assert (sleep.submitted, sleep.succeeded, sleep.dead, sleep.cancelled) == (4, 1, 1, 0)
    assert (sha512.submitted, sha512.cancelled) == (1, 1)
    assert stats.lanes == 2
    assert stats.queue.oldest_at is not None
    assert -1 < stats.now - stats.queue.oldest_at < 30


async def test_dead_list_knows_jobs(queue: Any) -> None:
    """The commands of the dead list work on jobs, with their records."""
    one, two = await submit(queue, new("a"), new("b"))
    for delivery in (await claim(queue)).values():
        await give_up(queue, delivery)
    letter = await queue.dead_letters.find(one)
    assert (letter.id, letter.operation, letter.error) == (one, "sleep", "hopeless")
    assert orjson.loads(letter.element)["client"] == "a"
    assert await queue.dead_letters.requeue(one)
    assert await statuses(queue, [one, two]) == ["queued", "dead"]
    assert await queue.dead_letters.purge() == 1
    assert await queue.jobs.retry(two) is Change.PURGED, "its message is gone"
    assert await places(queue) == {"created": 2, "purged": 1, "queued": 1}
    await give_up(queue, (await claim(queue))[one])
    assert await queue.dead_letters.requeue_all() == 1
    assert await statuses(queue, [one, two]) == ["queued", "dead"]
