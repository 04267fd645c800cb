"""Waits at start until both backends are usable; after a timeout, fails with one clear message."""

from collections.abc import Awaitable, Callable
from random import Random

import trio

from loadtest_trio.backends.redis import RedisService
from loadtest_trio.backends.s3 import S3Service
from loadtest_trio.errors import BackendUnavailableError, BucketMissingError, LoadtestError
from loadtest_trio.jobs.retry import RECONNECT
from loadtest_trio.metrics import logs
from loadtest_trio.settings import Settings, mask_url


async def wait_until_ready(redis: RedisService, s3: S3Service, settings: Settings) -> None:
    """Wait until Redis and S3 accept requests; create the bucket if configured.

    Raises:
        BackendUnavailableError: A backend did not answer within `STARTUP_TIMEOUT_SECONDS`, or refused.
    """
    timeout = settings.startup_timeout_seconds
    server = f"Redis at {mask_url(settings.redis_endpoint)}"
    hint = "REDIS_ENDPOINT (rediss:// for TLS)"
    await _retry_until_ready(server, hint, lambda: _open_queue(redis), timeout)
    place = mask_url(settings.s3_endpoint_url) or f"AWS ({settings.aws_region})"
    bucket = f"S3 bucket {settings.s3_bucket} at {place}"
    hint = "S3_BUCKET, AWS_REGION, S3_ENDPOINT_URL and the AWS credentials"
    await _retry_until_ready(bucket, hint, lambda: _open_bucket(s3, settings.s3_create_bucket), timeout)


async def _open_queue(redis: RedisService) -> None:
    info = await redis.connect()
    if info.may_evict:
        advice = "set maxmemory-policy noeviction"
        logs.event("redis_may_evict", "WARNING", policy=info.maxmemory_policy, advice=advice)


async def _open_bucket(s3: S3Service, create: bool) -> None:
    try:
        await s3.check_bucket()
    except BucketMissingError:
        if not create:
            raise
        await s3.create_bucket()


async def _retry_until_ready(
    what: str, hint: str, attempt: Callable[[], Awaitable[object]], timeout: float
) -> None:
    deadline, rng, attempts = trio.current_time() + timeout, Random(), 0
    while True:
        attempts += 1
        try:
            await attempt()
        except LoadtestError as error:
            if not error.retryable or error.fatal_at_start or trio.current_time() >= deadline:
                raise BackendUnavailableError(f"{what} cannot be used: {error}; check {hint}") from error
        else:
            return
        await trio.sleep(min(RECONNECT.delay(attempts, rng), max(0.0, deadline - trio.current_time())))
