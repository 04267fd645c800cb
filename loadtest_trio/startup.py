"""Before the first task: are both backends there and usable? A bounded retry, then one clear line."""

from collections.abc import Awaitable, Callable
from random import Random

import trio

from loadtest_trio.assembly import Assembly
from loadtest_trio.backends.s3 import S3Service
from loadtest_trio.errors import BackendUnavailableError, BucketMissingError, LoadtestError
from loadtest_trio.jobs.retry import RECONNECT
from loadtest_trio.settings import Settings, mask_url


async def check_backends(parts: Assembly) -> None:
    """Wait until Redis and S3 answer and accept us; create the bucket where that is wanted.

    Raises:
        BackendUnavailableError: One of them did not within `STARTUP_TIMEOUT_SECONDS`, or refused.
    """
    settings = parts.settings
    redis = f"Redis at {mask_url(settings.redis_endpoint)}"
    await _insist(
        redis, "REDIS_ENDPOINT (rediss:// for TLS)", parts.redis.connect, settings.startup_timeout_seconds
    )
    place = mask_url(settings.s3_endpoint_url) or f"AWS ({settings.aws_region})"
    bucket = f"S3 bucket {settings.s3_bucket} at {place}"
    hint = "S3_BUCKET, AWS_REGION, S3_ENDPOINT_URL and the AWS credentials"
    await _insist(bucket, hint, lambda: _open_bucket(parts.s3, settings), settings.startup_timeout_seconds)


async def _open_bucket(s3: S3Service, settings: Settings) -> None:
    try:
        await s3.check_bucket()
    except BucketMissingError:
        if not settings.s3_create_bucket:
            raise
        await s3.create_bucket()


async def _insist(what: str, hint: str, attempt: Callable[[], Awaitable[object]], timeout: float) -> None:
    deadline, rng, attempts = trio.current_time() + timeout, Random(), 0
    while True:
        attempts += 1
        try:
            await attempt()
        except LoadtestError as error:
            if not error.retryable or trio.current_time() >= deadline:
                raise BackendUnavailableError(f"{what} cannot be used: {error}; check {hint}") from error
        else:
            return
        await trio.sleep(min(RECONNECT.delay(attempts, rng), max(0.0, deadline - trio.current_time())))
