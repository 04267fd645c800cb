"""The experiments: each changes one resource, to see whether throughput depends on it. Pure.

Each change is large enough to stand out from noise (burning 5 % of a core would drown in the 10 % by which
one second differs from the next), and small enough to say something about the service as it is configured.
"""

from math import ceil

import attrs

from loadtest_trio.tune.plan.observations import Observation
from loadtest_trio.tune.plan.steps import Handicap

BURN = 0.4
HALF = 0.5
_SLOWER = 0.75  # share of a call's duration that is added to it
_MIN_REDIS_MS, _MIN_S3_MS = 1.0, 2.0
_WORKERS = 1.6  # factor on the number of workers


@attrs.frozen
class Experiment:
    """One change of one resource.

    Attributes:
        name: ``cpu``, ``size``, ``redis``, ``s3``, ``more workers`` or ``fewer workers``.
        change: The change in words.
        workers: Concurrency.
        handicap: What is slowed down.
        factor: Factor on the resource; its logarithm is the elasticity's denominator. Below 1 the resource
            becomes scarcer, and throughput is expected to fall.
    """

    name: str
    change: str
    workers: int
    handicap: Handicap
    factor: float


def most_workers(workers: int) -> int:
    """Return the highest concurrency in any experiment."""
    return max(workers + 1, ceil(_WORKERS * workers))


def design(workers: int, baseline: Observation) -> list[Experiment]:
    """Return the experiments for a system that behaves like `baseline`."""
    usage = baseline.usage
    redis, s3 = max(usage.redis_ms, 0.1), max(usage.s3_ms, 0.1)
    more_redis, more_s3 = max(_MIN_REDIS_MS, _SLOWER * redis), max(_MIN_S3_MS, _SLOWER * s3)
    more, fewer = most_workers(workers), max(1, int(workers / _WORKERS))
    none = Handicap()
    slow_redis, slow_s3 = Handicap(redis_seconds=more_redis / 1000), Handicap(s3_seconds=more_s3 / 1000)
    redis_words, s3_words = f"+{more_redis:.3g} ms on Redis calls", f"+{more_s3:.3g} ms on S3 requests"
    found = [
        Experiment("cpu", f"{BURN:.0%} of a core burnt", workers, Handicap(cpu=BURN), 1 - BURN),
        Experiment("size", "half the file size", workers, Handicap(size=HALF), 1 / HALF),
        Experiment("redis", redis_words, workers, slow_redis, redis / (redis + more_redis)),
        Experiment("s3", s3_words, workers, slow_s3, s3 / (s3 + more_s3)),
        Experiment("more workers", f"{more} instead of {workers} workers", more, none, more / workers),
    ]
    if fewer < workers:
        change = f"{fewer} instead of {workers} workers"
        found.append(Experiment("fewer workers", change, fewer, none, fewer / workers))
    return found
