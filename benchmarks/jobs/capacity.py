"""The costs that `preflight` plans capacity with: CPU of the service and of Redis, and memory.

    python -m benchmarks.jobs.capacity            # print them
    python -m benchmarks.jobs.capacity --write    # and put them where `preflight` reads them

It needs only the package, Redis and wrk. Each cost is the median of the rounds. Half of the jobs are a short
chain of SHA-512 and half a small factorial, so that a job's cost is that of the queue.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import cast

import attrs

from benchmarks.jobs.deployment import Deployment
from benchmarks.jobs.load import Mix, run_wrk
from benchmarks.jobs.services import OURS, find_services
from benchmarks.machine import machine
from benchmarks.process import Unavailable
from loadtest_trio.cli.preflight import capacity

_CONNECTIONS = 64
_DRAIN_SECONDS = 120.0
_WARM_UP_SECONDS = 10.0


@attrs.frozen
class _Reading:
    service: float
    redis: float
    memory: int
    jobs: int

    @classmethod
    def of(cls, deployment: Deployment) -> "_Reading":
        info = cast(dict[str, int], deployment.redis.client.info("memory"))
        ledger = cast(dict[bytes, bytes], deployment.redis.client.hgetall("{bench}:ledger"))
        cpu = deployment.redis.child.tree_cpu_seconds()
        return cls(deployment.cpu_seconds(), cpu, info["used_memory"], int(ledger.get(b"created", 0)))


def measure(seconds: float) -> dict[str, float]:
    """Return the costs of one round: CPU in µs, memory in bytes."""
    (service,) = find_services([OURS])
    with Deployment(service) as deployment:
        warm = run_wrk(deployment.url, Mix(), connections=_CONNECTIONS, seconds=_WARM_UP_SECONDS)
        deployment.wait_for_jobs(warm.last_ids, _DRAIN_SECONDS)
        mix = Mix(known_ids=warm.last_ids)
        before = _Reading.of(deployment)
        polls = run_wrk(
            deployment.url, attrs.evolve(mix, submit=0), connections=_CONNECTIONS, seconds=seconds
        )
        between = _Reading.of(deployment)
        jobs = run_wrk(
            deployment.url, attrs.evolve(mix, submit=100), connections=_CONNECTIONS, seconds=seconds
        )
        deployment.wait_for_jobs(jobs.last_ids, _DRAIN_SECONDS)
        after = _Reading.of(deployment)
    made = after.jobs - between.jobs
    return {
        "poll_cpu_us": 1e6 * (between.service - before.service) / polls.sent,
        "poll_redis_us": 1e6 * (between.redis - before.redis) / polls.sent,
        "job_cpu_us": 1e6 * (after.service - between.service) / made,
        "job_redis_us": 1e6 * (after.redis - between.redis) / made,
        "job_bytes": (after.memory - between.memory) / made,
    }


def main(arguments: Sequence[str]) -> int:
    """Measure and print; return 2 if this machine lacks something."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.jobs.capacity")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each of the two loads of a round")
    parser.add_argument("--write", action="store_true", help="put them where preflight reads them")
    options = parser.parse_args(arguments)
    try:
        rounds = [measure(options.seconds) for _ in range(options.rounds)]
    except Unavailable as error:
        print(error, file=sys.stderr)
        return 2
    costs = {name: round(median(each[name] for each in rounds), 1) for name in rounds[0]}
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    found = {"as_of": when, "machine": machine()["cpu"], "rounds": options.rounds, **costs}
    text = json.dumps(found, indent=2) + "\n"
    print(text, end="")
    if options.write:
        Path(capacity.__file__).with_name(capacity.COSTS_FILE).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
