"""The two doors to the outside: Redis and S3 as the settings name them, observed, not connected."""

import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random

import attrs

from loadtest_trio.backends.redis import RedisService
from loadtest_trio.backends.s3 import BucketLocation, S3Service, find_credentials
from loadtest_trio.backends.s3.instrumented import InstrumentedTransport
from loadtest_trio.errors import (
    ConfigurationError,
    LoadtestError,
    S3ThrottledError,
    S3UnreachableError,
    SettingFault,
)
from loadtest_trio.http.client.deadline_watch import DeadlineWatch
from loadtest_trio.http.client.transport import open_transport
from loadtest_trio.jobs.retry import RECONNECT
from loadtest_trio.metrics import logs
from loadtest_trio.metrics.counters import Metrics
from loadtest_trio.metrics.health_state import HealthState
from loadtest_trio.scheduler.inventory import Inventory
from loadtest_trio.settings import Settings

_SPARE_CONNECTIONS = 2  # for LIST and the check at start, beside one connection a worker


@attrs.frozen
class Delays:
    """What is added on purpose, for experiments, in seconds.

    Attributes:
        redis: To every Redis call, in its thread.
        s3: To every S3 request.
    """

    redis: float = 0.0
    s3: float = 0.0


def open_redis(
    settings: Settings,
    consumer: str,
    rng: Random,
    metrics: Metrics,
    health_state: HealthState,
    inventory: Inventory,
    delay: float = 0.0,
) -> RedisService:
    """Return the queue, not connected."""

    def lost(messages: int) -> None:
        inventory.forget_plans()
        if messages:  # 0: another process has booked and told it
            logs.event("redis_data_lost", "ERROR", messages=messages)

    return RedisService(
        url=settings.redis_endpoint,
        queue_name=settings.queue_name,
        consumer=consumer,
        backoff=lambda attempt: RECONNECT.delay(attempt, rng),
        observe=metrics.observe_redis,
        heartbeat_ttl=settings.consumer_ttl_seconds,
        max_deliveries=settings.max_deliveries,
        on_outage=lambda error: note_backend(health_state, "redis", error),
        on_data_loss=lost,
        delay_seconds=delay,
    )


async def open_s3(
    settings: Settings,
    environ: Mapping[str, str],
    metrics: Metrics,
    health_state: HealthState,
    delay: float = 0.0,
) -> S3Service:
    """Return the bucket, not connected.

    Raises:
        ConfigurationError: AWS_CA_BUNDLE cannot be read.
        CredentialsError: There are no AWS credentials.
    """

    def observe(kind: str, seconds: float, size: int, error: LoadtestError | None) -> None:
        metrics.observe_s3(kind, seconds, size, error)
        metrics.totals["throttled"] += isinstance(error, S3ThrottledError)
        note_backend(health_state, "s3", error if isinstance(error, S3UnreachableError) else None)

    bundle, watch = environ.get("AWS_CA_BUNDLE"), DeadlineWatch()
    transport = open_transport(
        settings.s3_transport.value,
        max_connections=settings.worker_concurrency + _SPARE_CONNECTIONS,
        verify=_authorities(bundle) if bundle else None,
        watch=watch,
    )
    return S3Service(
        transport=InstrumentedTransport(transport, metrics.observe_first_byte, delay),
        location=BucketLocation(
            settings.s3_bucket, settings.aws_region, settings.s3_endpoint_url or None, settings.s3_prefix
        ),
        credentials=await find_credentials(environ, home=Path.home(), unix_clock=time.time),
        observe=observe,
        deadline_watch=watch,
    )


def _authorities(bundle: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=bundle)
    except (OSError, ValueError) as error:
        allowed = f"a file of certificates ({getattr(error, 'strerror', None) or error})"
        raise ConfigurationError([SettingFault("AWS_CA_BUNDLE", bundle, allowed, "environment")]) from error


def note_backend(health_state: HealthState, name: str, error: LoadtestError | None) -> None:
    """Record whether a backend answers, and say once when that changes."""
    if not health_state.backend(name, error):
        return
    # As failures: one that comes and goes, many times a second perhaps, must not flood the log.
    if error is None:
        logs.failure("backend_recovered", f"{name} recovered", "INFO", backend=name)
    else:
        logs.failure("backend_unavailable", f"{name} unavailable", backend=name, error=str(error))
