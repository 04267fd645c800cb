"""The kinds of work that the service does, and the limits that the settings give them."""

from collections.abc import Callable
from random import Random

from loadtest_trio.backends.s3 import S3Service
from loadtest_trio.handlers.compute.factorial import factorial_handler
from loadtest_trio.handlers.compute.pool import ComputeLimits, ComputePool, usable_cpus
from loadtest_trio.handlers.compute.sha512 import sha512_handler
from loadtest_trio.handlers.http_fetch.connect import SystemResolver
from loadtest_trio.handlers.http_fetch.fetch import Fetcher, FetchLimits, fetch_handler
from loadtest_trio.handlers.objects import object_handlers
from loadtest_trio.handlers.registry import Registry
from loadtest_trio.handlers.sleep import sleep_handler
from loadtest_trio.jobs.retry import RetryPolicy, job_put_back
from loadtest_trio.scheduler import FileSizes
from loadtest_trio.settings import Settings


def all_kinds(
    settings: Settings, s3: S3Service, pool: ComputePool, rng: Random, draw_uuids: Callable[[], int]
) -> Registry:
    """Return all kinds of work.

    Args:
        settings: The configuration.
        s3: The bucket that the operations on objects use.
        pool: The worker processes for computations.
        rng: Draws the content of files.
        draw_uuids: Returns the size of a new file in UUIDs.
    """
    objects = RetryPolicy(settings.max_retries)
    put_back = job_put_back(settings.job_retry_base_seconds)
    jobs = RetryPolicy(settings.max_retries, attempts_in_place=1, put_back=put_back)
    return Registry(
        [
            *object_handlers(s3, rng, draw_uuids, objects),
            factorial_handler(pool, jobs),
            sha512_handler(pool, jobs),
            fetch_handler(Fetcher(fetch_limits(settings), SystemResolver()), jobs),
            sleep_handler(settings.job_max_seconds, jobs),
        ]
    )


def file_sizes(settings: Settings, rng: Random) -> FileSizes:
    """Return the sizes of new files: in bytes if those are set, else in UUIDs."""
    least, most = settings.min_file_size_bytes, settings.max_file_size_bytes
    if least is not None and most is not None:
        return FileSizes.in_bytes(least, most, rng)
    return FileSizes(settings.min_file_uuids, settings.max_file_uuids, rng)


def compute_limits(settings: Settings) -> ComputeLimits:
    """Return the limits of computations."""
    return ComputeLimits(
        max_seconds=settings.job_max_seconds,
        processes=settings.compute_processes or usable_cpus(),
        factorial_max_n=settings.factorial_max_n,
        sha512_max_iterations=settings.sha512_max_iterations,
    )


def fetch_limits(settings: Settings) -> FetchLimits:
    """Return the limits of http-fetch."""
    return FetchLimits(
        allow=settings.http_fetch_allow,
        max_bytes=settings.http_fetch_max_bytes,
        timeout_seconds=settings.http_fetch_timeout_seconds,
        max_redirects=settings.http_fetch_max_redirects,
    )
