"""How much Redis memory finished jobs take, and what is left of it when they have expired."""

import argparse
import itertools
import time

import attrs

from benchmarks.jobs.deployment import Deployment, ServiceError
from benchmarks.jobs.filling import submit_jobs, wait_until_finished
from benchmarks.jobs.load import Mix
from benchmarks.jobs.services import JobService
from benchmarks.output import RunInfo, report_progress, table, write
from benchmarks.redis_server import RedisServer
from benchmarks.targets import HEADS, Target

JOBS = 1_000_000
MOST_MB = 700.0
_FACTORIAL = 69  # 99 digits: a result of about 100 bytes
_WARM_UP_JOBS = 100
_PATIENCE_SECONDS = 1800.0
_EXPIRY_SECONDS = 120.0  # that Redis may take to delete what has expired
_LOOK_SECONDS = 1.0
_OTHER_KEYS = 10  # that a service may have for itself, whatever the number of jobs: a ledger, its consumers


@attrs.frozen
class MemoryUse:
    """Redis at one moment.

    Attributes:
        mb: Memory that Redis has allocated (``used_memory``), in millions of bytes.
        keys: Number of keys.
    """

    mb: float
    keys: int

    @classmethod
    def of(cls, redis: RedisServer) -> "MemoryUse":
        """Return what Redis says now."""
        info, keys = redis.client.info("memory"), redis.client.dbsize()
        assert isinstance(info, dict)  # the asynchronous client's types are in the unions too
        assert isinstance(keys, int)
        return cls(info["used_memory"] / 1e6, keys)


@attrs.frozen
class MemoryResult:
    """What the jobs took.

    Attributes:
        jobs: Finished jobs.
        ttl_seconds: How long their records are kept.
        before: Redis with a warm, idle service.
        full: Redis when all jobs have ended.
        after: Redis when all records have expired.
        left: Names of keys that are still there then, at most `_OTHER_KEYS` of them.
    """

    jobs: int
    ttl_seconds: int
    before: MemoryUse
    full: MemoryUse
    after: MemoryUse
    left: list[str]

    @property
    def targets(self) -> list[Target]:
        """The targets beside what was measured, scaled to the number of jobs."""
        used, left = self.full.mb - self.before.mb, self.after.mb - self.before.mb
        share = self.jobs / JOBS
        name = f"{self.jobs:,} finished jobs"
        return [
            Target(f"Redis memory of {name}", [used], MOST_MB * share, "≤", "MB", digits=0),
            Target("bytes a job", [used * 1e6 / self.jobs], MOST_MB, "≤", "bytes", digits=0),
            Target("keys left after the TTL", [self.after.keys], _OTHER_KEYS, "≤", "keys", digits=0),
            Target("memory left after the TTL", [left], 1.0, "≤", "MB"),
        ]


def measure_memory(service: JobService, options: argparse.Namespace) -> str:
    """Measure, and write jobs-memory.json and jobs-memory.md.

    Args:
        service: Which one.
        options: From the command line: most, clients, ttl, settings, results.

    Returns:
        The Markdown.

    Raises:
        ServiceError: Jobs were refused, did not end, or expired before the last one had ended.
    """
    count = min(JOBS, options.most)
    settings = {"JOB_TTL_SECONDS": str(options.ttl), "MAX_QUEUE_LENGTH": "10000000"}
    with Deployment(service, settings | options.settings) as deployment:
        result = fill_and_expire(deployment, count, options.clients, options.ttl)
    info = RunInfo.now(1)
    text = render(result, info)
    facts = attrs.asdict(info) | attrs.asdict(result)
    write(options.results, "jobs-memory", text, facts | {"targets": list(map(attrs.asdict, result.targets))})
    return text


def fill_and_expire(deployment: Deployment, count: int, clients: int, ttl: int) -> MemoryResult:
    """Let so many jobs end, then wait until they have expired.

    Raises:
        ServiceError: Jobs were refused, did not end, or expired before the last one had ended.
    """
    redis, mix = deployment.redis, Mix(clients=clients, factorial=_FACTORIAL)
    submit_jobs(deployment, _WARM_UP_JOBS, mix)  # connections, scripts and counters are there before
    wait_until_finished(deployment, _PATIENCE_SECONDS)
    before = MemoryUse.of(redis)
    started = time.monotonic()
    submit_jobs(deployment, count, mix)
    wait_until_finished(deployment, _PATIENCE_SECONDS)
    full, took = MemoryUse.of(redis), time.monotonic() - started
    if took > ttl:
        raise ServiceError(f"jobs expired before all had ended, after {took:.0f} s: give a larger --ttl")
    report_progress(f"{count:,} jobs: {full.mb - before.mb:.0f} MB, {full.keys:,} keys; waiting for {ttl} s")
    deadline = time.monotonic() + ttl + _EXPIRY_SECONDS
    while (now := MemoryUse.of(redis)).keys > _OTHER_KEYS and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    left = [key.decode() for key in itertools.islice(redis.client.scan_iter(), _OTHER_KEYS)]
    return MemoryResult(count, ttl, before, full, now, left)


def render(result: MemoryResult, info: RunInfo) -> str:
    """Return the tables with their heading."""
    how = (
        f"{result.jobs:,} jobs with results of about 100 bytes, submitted through the API and done; their "
        f"records live for {result.ttl_seconds:,} s. Memory is used_memory of Redis, in millions of bytes."
    )
    moments = (("before", result.before), ("all done", result.full), ("after the TTL", result.after))
    rows = [[name, f"{use.mb:,.1f}", f"{use.keys:,}"] for name, use in moments]
    targets = [each.row() for each in result.targets]
    blocks = [info.heading("Memory of finished jobs", how), table(["moment", "MB", "keys"], rows), ""]
    blocks += [table(["figure", *HEADS], targets)]
    if result.left:
        blocks += ["", "Keys after the TTL: " + ", ".join(f"`{key}`" for key in sorted(result.left)) + "."]
    return "\n".join(blocks)
