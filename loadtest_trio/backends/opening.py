"""Opens the clients of Redis and S3 as the settings name them: observed, not connected."""

import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

import attrs
import httpx

from loadtest_trio.backends.redis import RedisObservers, RedisOptions, RedisService
from loadtest_trio.backends.redis.connection import Endpoint
from loadtest_trio.backends.s3 import BucketLocation, S3Service, Signing, find_credentials
from loadtest_trio.backends.s3.addressing import locate
from loadtest_trio.backends.s3.instrumented import InstrumentedTransport
from loadtest_trio.backends.s3.outage_detector import Outage
from loadtest_trio.errors import (
    ConfigurationError,
    LoadtestError,
    S3ThrottledError,
    SettingFault,
)
from loadtest_trio.http.client.deadline_watch import DeadlineWatch
from loadtest_trio.http.client.proxy import Proxy, ProxySettingError, find_proxy, ignored_proxy
from loadtest_trio.http.client.transport import open_transport
from loadtest_trio.jobs.retry import RECONNECT
from loadtest_trio.jobs.store import JobLimits
from loadtest_trio.metrics import logs
from loadtest_trio.metrics.backend_cpu import ServerAddress
from loadtest_trio.metrics.counters import Metrics
from loadtest_trio.metrics.health_state import HealthState
from loadtest_trio.settings import MOST_WORKERS, Settings

_LISTING_BYTES = 8 * 1024 * 1024  # more than a page of 1,000 keys takes, however they are encoded
_SPARE_CONNECTIONS = 2  # for LIST and the check at start, beside one connection a worker


@attrs.frozen
class Clients:
    """What is made; tests pass classes whose backends live in memory.

    Attributes:
        redis: Makes the queue; called with the arguments of `RedisService`.
        s3: Makes the bucket; called with the arguments of `S3Service`.
        transport: Makes the transport under the bucket; called with the arguments of `open_transport`.
    """

    redis: Callable[..., RedisService] = RedisService
    s3: Callable[..., S3Service] = S3Service
    transport: Callable[..., httpx.AsyncBaseTransport] = open_transport


@attrs.define
class Delays:
    """Latency added on purpose, for experiments, in seconds; it can change while the clients are in use.

    Attributes:
        redis: To every Redis call, in its thread.
        s3: To every S3 request.
    """

    redis: float = 0.0
    s3: float = 0.0


@attrs.frozen
class Opener:
    """Opens both clients for one process, and observes them.

    Attributes:
        settings: Where the backends are.
        environ: Where AWS credentials are looked for.
        metrics: Where calls are counted.
        health_state: Where outages are noted.
        clients: What is made.
        delays: Latency added on purpose.
    """

    settings: Settings
    environ: Mapping[str, str]
    metrics: Metrics
    health_state: HealthState
    clients: Clients = attrs.field(factory=Clients)
    delays: Delays = attrs.field(factory=Delays)

    def redis(
        self, consumer: str, rng: Random, on_data_loss: Callable[[int], None] = lambda _: None
    ) -> RedisService:
        """Return the queue, not connected.

        Args:
            consumer: Unique to this process over all instances and restarts.
            rng: Jitter between attempts.
            on_data_loss: Called with the number of messages that Redis itself has lost; 0 when another
                process has counted them already.
        """
        settings = self.settings
        options = RedisOptions(
            url=settings.redis_endpoint,
            queue_name=settings.queue_name,
            consumer=consumer,
            heartbeat_ttl=settings.consumer_ttl_seconds,
            max_deliveries=settings.max_deliveries,
            delay=lambda: self.delays.redis,
            job_limits=JobLimits(
                per_minute=settings.job_rate_limit_per_minute,
                max_queue_length=settings.max_queue_length,
                ttl=settings.job_ttl_seconds,
                idempotency_ttl=settings.job_ttl_seconds,
                replicas=settings.job_wait_replicas,
            ),
        )
        observers = RedisObservers(
            observe=self.metrics.observe_redis,
            on_outage=lambda error: note_backend(self.health_state, "redis", error),
            on_data_loss=on_data_loss,
        )
        return self.clients.redis(options, observers, backoff=lambda attempt: RECONNECT.delay(attempt, rng))

    async def s3(self) -> S3Service:
        """Return the bucket, not connected.

        Raises:
            ConfigurationError: AWS_CA_BUNDLE cannot be read, or HTTPS_PROXY cannot be used.
            CredentialsError: There are no AWS credentials.
        """
        settings, watch = self.settings, DeadlineWatch()
        location, authorities = _location(settings), _authorities(self.environ)
        credentials = await find_credentials(
            self.environ,
            home=_home(),
            unix_clock=time.time,
            transport=lambda: httpx.AsyncHTTPTransport(verify=authorities or True),
        )
        transport = self.clients.transport(
            settings.s3_transport.value,
            max_connections=_most_workers(settings) + _SPARE_CONNECTIONS,
            verify=authorities,
            max_body_bytes=max(settings.max_object_bytes, _LISTING_BYTES),
            watch=watch,
            proxy=_proxy(self.environ, locate(location).base),
        )
        return self.clients.s3(
            transport=InstrumentedTransport(
                transport, self.metrics.observe_first_byte, lambda: self.delays.s3
            ),
            location=location,
            signing=Signing(credentials),
            observe=self._observe_s3,
            on_outage=self._note_s3,
            deadline_watch=watch,
        )

    def _note_s3(self, outage: Outage | None) -> None:
        if outage is None:
            note_backend(self.health_state, "s3", None)
        else:
            note_backend(self.health_state, "s3", outage.error, outage.since)

    def _observe_s3(self, kind: str, seconds: float, size: int, error: LoadtestError | None) -> None:
        self.metrics.observe_s3(kind, seconds, size, error)
        self.metrics.totals["throttled"] += isinstance(error, S3ThrottledError)


def server_addresses(settings: Settings) -> dict[str, ServerAddress]:
    """Return where the clients of each backend connect: ``redis`` and ``s3``.

    Raises:
        RedisRejectedError: The address of Redis is none.
    """
    redis, s3 = Endpoint.parse(settings.redis_endpoint).options, locate(_location(settings)).base
    port = s3.port or (443 if s3.scheme == "https" else 80)
    return {"redis": ServerAddress(redis["host"], redis["port"]), "s3": ServerAddress(s3.host, port)}


def _location(settings: Settings) -> BucketLocation:
    return BucketLocation(
        settings.s3_bucket,
        settings.aws_region,
        settings.s3_endpoint_url or None,
        settings.s3_prefix,
        settings.max_object_bytes,
    )


def _most_workers(settings: Settings) -> int:
    """Return how many workers there may be at once: their number can grow where somebody can change it."""
    changes = settings.dashboard or settings.worker_concurrency.adapts
    return MOST_WORKERS if changes else settings.worker_concurrency


def _proxy(environ: Mapping[str, str], url: httpx.URL) -> Proxy | None:
    try:
        proxy = find_proxy(environ, url)
    except ProxySettingError as error:
        fault = SettingFault(error.name, "…", error.reason.removeprefix("must be "), "environment")
        raise ConfigurationError([fault]) from None
    if proxy is not None:
        logs.event("proxy_used", proxy=str(proxy), host=url.host)
    elif name := ignored_proxy(environ, url):
        logs.event("proxy_ignored", "WARNING", variable=name, host=url.host)
    return proxy


def _home() -> Path:
    """Return the home directory; the root where there is none, as for a container's arbitrary user id."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/")


def _authorities(environ: Mapping[str, str]) -> ssl.SSLContext | None:
    """Return the TLS context of the first variable that names certificates; None for httpx's authorities."""
    name = next((each for each in ("AWS_CA_BUNDLE", "SSL_CERT_FILE") if environ.get(each)), None)
    if name is None:
        return None
    try:
        return ssl.create_default_context(cafile=environ[name])
    except (OSError, ValueError) as error:
        allowed = f"a file of certificates ({getattr(error, 'strerror', None) or error})"
        raise ConfigurationError([SettingFault(name, environ[name], allowed, "environment")]) from error


def note_backend(
    health_state: HealthState, name: str, error: LoadtestError | None, since: float | None = None
) -> None:
    """Record whether a backend answers, and log once when that changes.

    Args:
        health_state: Where to record it.
        name: ``redis`` or ``s3``.
        error: The reason of the outage, or None when the backend answers.
        since: When the outage began, in monotonic seconds, if it was not known at once.
    """
    if not health_state.backend(name, error, since):
        return
    # As failures, since a backend that comes and goes many times a second must not flood the log.
    if error is None:
        logs.failure("backend_recovered", f"{name} recovered", "INFO", backend=name)
    else:
        logs.failure("backend_unavailable", f"{name} unavailable", backend=name, error=str(error))
