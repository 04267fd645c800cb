"""Every setting, once: its type, default, limits and meaning. `docs/settings.md` is made from it."""

from collections.abc import Callable
from typing import Any, TypeVar

import attrs
from attrs import validators as v

from loadtest_trio.settings.allow_list import AllowList
from loadtest_trio.settings.values import (
    ApiServer,
    ArchiveMode,
    Distribution,
    LogFormat,
    LogLevel,
    MetricsFormat,
    Role,
    SchedulerMode,
    Transport,
    Workers,
    is_redis_url,
    is_s3_endpoint,
    mask_url,
    parse_distribution,
    show,
)

T = TypeVar("T")
REQUIRED: Any = attrs.NOTHING
MOST_WORKERS = 4096


def option(
    default: T,
    meaning: str,
    *,
    allowed: str,
    check: Any = None,
    aliases: tuple[str, ...] = (),
    secret: bool = False,
    mask: Callable[[Any], str] = mask_url,
) -> T:
    """Declare one setting as an attrs field whose metadata `config`, the docs and errors are made from.

    Args:
        default: The value when nobody says otherwise; `REQUIRED` when somebody must.
        meaning: One sentence for the user.
        allowed: What is accepted, continuing "must be …".
        check: An attrs validator for what the type alone does not exclude.
        aliases: Other variables that are looked at, after the first name.
        secret: Whether the value may carry a password.
        mask: How a secret value is shown; an address without its secrets unless said otherwise.
    """
    metadata = {"meaning": meaning, "allowed": allowed, "aliases": aliases, "secret": secret, "mask": mask}
    display: Callable[[Any], str] | bool = mask if secret else True
    field: T = attrs.field(default=default, validator=check, metadata=metadata, repr=display)
    return field


def whole(default: T, meaning: str, *, least: int = 0, most: int | None = None) -> T:
    """Declare a whole-number setting with bounds."""
    bounds = f"a whole number from {least} to {most}" if most else f"a whole number of {least} or more"
    check = v.and_(v.ge(least), v.le(most if most else 2**53))
    return option(default, meaning, allowed=bounds, check=v.optional(check))


def seconds(default: float, meaning: str, *, least: float = 0.0) -> float:
    """Declare a duration in seconds."""
    return option(default, meaning, allowed=f"a number of seconds, {least:g} or more", check=v.ge(least))


def choice(default: T, meaning: str) -> T:
    """Declare a setting that is one of an enumeration's values."""
    values = ", ".join(str(member) for member in type(default))  # type: ignore[attr-defined] # T is an Enum
    return option(default, meaning, allowed=f"one of {values}")


def token(meaning: str) -> str:
    """Declare a secret text that visitors must bring; empty: none is needed."""
    return option(
        "",
        meaning,
        allowed="empty, or 8-200 printable characters without blanks",
        check=v.matches_re(r"|[!-~]{8,200}"),
        secret=True,
        mask=lambda value: "***" if value else "",
    )


@attrs.frozen(kw_only=True)
class Settings:
    """The whole configuration, immutable; the field names in upper case are the environment variables."""

    # Backends
    redis_endpoint: str = option(
        REQUIRED,
        "Redis, as redis://[user:password@]host[:port][/database]; rediss:// for TLS.",
        allowed="redis://[user:password@]host[:port][/database], or rediss:// for TLS",
        check=is_redis_url,
        secret=True,
    )
    s3_bucket: str = option(
        REQUIRED,
        "The bucket to work in.",
        allowed="a bucket name: 3-63 of a-z, 0-9, dot and hyphen",
        check=v.matches_re(r"[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]"),
    )
    s3_prefix: str = option(
        "loadtest/",
        "The prefix of all keys; nothing outside it is listed, changed or deleted.",
        allowed="a prefix of 1-200 characters that does not start with a slash",
        check=v.matches_re(r"[^/\s].{0,199}"),
    )
    s3_endpoint_url: str = option(
        "",
        "An S3-compatible endpoint, as http(s)://host[:port], with path-style addressing; empty for AWS.",
        allowed="an http:// or https:// URL without user, query and fragment, or empty",
        check=is_s3_endpoint,
        aliases=("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
        secret=True,
    )
    s3_create_bucket: bool = option(False, "Create the bucket when it is missing.", allowed="true or false")
    s3_transport: Transport = choice(
        Transport.LEAN, "The HTTP transport: lean is our own, httpx the stock one."
    )
    aws_region: str = option(
        "us-east-1",
        "The bucket's region; requests are signed for it.",
        allowed="a region name such as eu-central-1",
        check=v.matches_re(r"[a-z0-9\-]{2,40}"),
        aliases=("AWS_DEFAULT_REGION",),
    )
    startup_timeout_seconds: float = seconds(30.0, "How long to wait for Redis and S3 at start.", least=0.1)

    # Load
    steady_state_distribution: Distribution = option(
        parse_distribution("READ:50,UPDATE:25,CREATE:10,DELETE:15"),
        "The steady mix of operations, as weights.",
        allowed="OPERATION:WEIGHT pairs such as READ:50,UPDATE:25,CREATE:10,DELETE:15",
    )
    scheduler_mode: SchedulerMode = choice(
        SchedulerMode.RATE, "rate: an open-loop schedule; saturate: keep the queue filled."
    )
    scheduler_messages_per_second: float = option(
        100.0,
        "Messages of the steady mix per second in rate mode; refills come on top.",
        allowed="a number above 0",
        check=v.gt(0),
    )
    scheduler_interval_seconds: float = seconds(
        1.0, "Interval between two batches of the scheduler, in seconds.", least=0.01
    )
    scheduler_target_queue_length: int = whole(
        1000, "The queue length that saturate mode maintains.", least=1, most=10_000_000
    )
    max_queue_length: int = whole(
        100_000,
        "The scheduler stops enqueuing, and the job API answers 503, while queued + delayed + dead messages reach this limit.",
        least=1,
    )
    precondition_min_objects: int = whole(
        100, "Objects are created while there are fewer than this.", least=1
    )
    precondition_max_objects: int = whole(
        1000, "Objects are deleted while there are more than this.", least=1
    )
    inventory_reconcile_seconds: float = seconds(
        60.0,
        "Interval between two LISTs that reconcile the known keys, in seconds; shorter while no key can be chosen.",
        least=1,
    )
    min_file_uuids: int = whole(1000, "Minimum number of UUIDs in a created file.", least=1, most=1_000_000)
    max_file_uuids: int = whole(10_000, "Maximum number of UUIDs in a created file.", least=1, most=1_000_000)
    min_file_size_bytes: int | None = whole(
        None,
        "Minimum size in bytes; set together with `MAX_FILE_SIZE_BYTES`; overrides the UUID counts.",
        least=37,
        most=37_000_000,
    )
    max_file_size_bytes: int | None = whole(
        None,
        "Maximum size in bytes; set together with `MIN_FILE_SIZE_BYTES`; overrides the UUID counts.",
        least=37,
        most=37_000_000,
    )
    max_object_bytes: int = whole(
        64 * 1024 * 1024,
        "Maximum size of an object that is downloaded, in bytes; larger ones are left alone.",
        least=1,
        most=2**40,
    )
    random_seed: int | None = whole(
        None, "Seed of the order of operations and the sizes of new files; unset for a new one each run."
    )

    # Work
    roles: frozenset[Role] = option(
        frozenset([Role.SCHEDULER, Role.WORKER]),
        "The tasks that this process runs; api serves jobs over HTTP.",
        allowed="one or more of scheduler, worker, api, separated by commas",
    )
    queue_name: str = option(
        "loadtest",
        "Names the Redis keys: {NAME}:queue and so on.",
        allowed="1-100 characters of letters, digits, '.', '_' and '-'",
        check=v.matches_re(r"[A-Za-z0-9._\-]{1,100}"),
    )
    worker_concurrency: Workers = option(
        Workers(10),
        "Workers: messages handled at the same time; auto: as many as throughput and latency say.",
        allowed=f"a whole number from 1 to {MOST_WORKERS}, or auto",
        check=v.and_(v.ge(1), v.le(MOST_WORKERS)),
    )
    max_retries: int = whole(
        3, "How often a message is put back after transient failures before it is dead.", most=100
    )
    max_deliveries: int = whole(
        5, "How often a message is delivered to consumers that crash before it is dead.", least=1, most=100
    )
    consumer_ttl_seconds: float = seconds(
        15.0,
        "A consumer without a heartbeat for this many seconds loses its messages to the others.",
        least=1,
    )

    # Jobs
    job_max_seconds: float = seconds(
        60.0,
        "The longest computation or sleep of a job; a longer computation is ended.",
        least=0.1,
    )
    compute_processes: int | None = whole(
        None, "Worker processes for long computations; unset: as many as there are CPUs.", least=1, most=256
    )
    factorial_max_n: int = whole(100_000, "The largest n of a factorial job.", least=1, most=1_000_000)
    sha512_max_iterations: int = whole(
        100_000_000, "The most iterations of a sha512 job.", least=1, most=10_000_000_000
    )
    http_fetch_allow: AllowList = option(
        AllowList(),
        "What http-fetch may reach besides public addresses: addresses, networks, hosts, with a port or not.",
        allowed="a list such as 127.0.0.1:8000,10.0.0.0/8,[::1]:80,intranet.example",
    )
    http_fetch_max_bytes: int = whole(
        5_242_880, "The largest body of an http-fetch job; a longer one is cut off.", most=64 * 1024 * 1024
    )
    http_fetch_timeout_seconds: float = seconds(
        10.0, "The longest that an http-fetch job may take, redirects included.", least=0.1
    )
    http_fetch_max_redirects: int = whole(5, "The most redirects of an http-fetch job.", most=50)

    # Jobs over HTTP
    api_host: str = option(
        "127.0.0.1",
        "The address the job API listens on (ROLES with api).",
        allowed="an address",
        check=v.min_len(1),
    )
    api_port: int = whole(8000, "The port of the job API; 0: any free one.", most=65_535)
    api_server: ApiServer = choice(ApiServer.LEAN, "What serves the job API: our own server, or Hypercorn.")
    api_token: str = token("The bearer token that requests to the job API need; empty: none.")
    api_max_connections: int = whole(10_000, "Connections of the job API at the same time.", least=1)
    api_max_body_bytes: int = whole(1_048_576, "The largest body of a request, in bytes.", least=1024)
    job_rate_limit_per_minute: int = whole(100, "Jobs that one client may submit a minute; 0: no limit.")
    job_ttl_seconds: float = seconds(
        86_400.0, "How long a job's record is kept after its end, and an idempotency key.", least=1
    )
    job_archive: ArchiveMode = choice(
        ArchiveMode.NONE,
        "s3: finished jobs are kept under S3_PREFIX and found there after they expire.",
    )
    job_inline_result_bytes: int = whole(
        16_384, "Results of at most this size stay in Redis; larger ones go to S3.", most=1_048_576
    )
    job_wait_replicas: int = whole(
        0, "Redis replicas that must have a job before it is answered 202 (WAIT).", most=10
    )

    # Life
    run_duration_seconds: float = seconds(86_400.0, "The service ends after this many seconds; 0 for no end.")
    max_cost_usd: float | None = option(
        None,
        "preflight refuses a run that is predicted to cost more.",
        allowed="an amount of 0 or more",
        check=v.optional(v.ge(0)),
    )
    shutdown_grace_seconds: float = seconds(
        30.0, "How long work in hand may take after the first signal, in seconds."
    )
    health_host: str = option(
        "127.0.0.1",
        "The address the health endpoint listens on; `::` for IPv4 and IPv6.",
        allowed="an address",
        check=v.min_len(1),
    )
    health_port: int = whole(8080, "The port of the health endpoint; 0: any free one.", most=65_535)
    health_endpoint_path: str = option(
        "/health",
        "The path of the health endpoint.",
        allowed="a path that starts with /",
        check=v.matches_re(r"/[A-Za-z0-9._~/\-]*"),
    )
    health_stall_seconds: float = seconds(
        60.0, "The health endpoint answers 503 when a task makes no progress for this many seconds.", least=1
    )

    # Watching
    dashboard: bool = option(
        False,
        "Serve a live dashboard at / of the health server; --embedded does unless this says false.",
        allowed="true or false",
    )
    dashboard_token: str = token(
        "What a visitor of the dashboard must bring; without one only this machine may use the controls."
    )
    metrics_endpoint: bool = option(
        False, "Serve /metrics in Prometheus's text format on the health server.", allowed="true or false"
    )

    # Logs
    log_interval_seconds: float = seconds(10.0, "Interval between two metrics lines, in seconds.", least=0.1)
    log_level: LogLevel = choice(LogLevel.INFO, "The least severe level that is written.")
    log_format: LogFormat = choice(
        LogFormat.AUTO, "auto: a live view on a terminal, JSON elsewhere; text: plain lines."
    )
    metrics_format: MetricsFormat = choice(
        MetricsFormat.PLAIN, "emf: metrics lines also carry CloudWatch's embedded metric format."
    )
    metrics_namespace: str = option(
        "loadtest_trio",
        "The CloudWatch namespace of the embedded metrics.",
        allowed="1-255 characters of letters, digits and ./#:_-",
        check=v.matches_re(r"[A-Za-z0-9./#:_\-]{1,255}"),
    )


@attrs.frozen
class SettingInfo:
    """What can be said of a setting without any value.

    Attributes:
        name: The environment variable; in lower case, the TOML key and the attribute.
        aliases: Other variables that are looked at, in order.
        default_text: The default as a user would write it; "" when required or unset.
        required: Whether there is no default.
        meaning: One sentence.
        allowed: What is accepted.
        secret: Whether the value is masked when shown.
        mask: How.
    """

    name: str
    aliases: tuple[str, ...]
    default_text: str
    required: bool
    meaning: str
    allowed: str
    secret: bool
    mask: Callable[[Any], str] = attrs.field(repr=False)

    def shown(self, value: object) -> str:
        """Return a value as text that is safe to print."""
        return self.mask(show(value)) if self.secret else show(value)


def _describe(field: "attrs.Attribute[Any]") -> SettingInfo:
    required = field.default is attrs.NOTHING
    return SettingInfo(
        name=field.name.upper(),
        default_text="" if required else show(field.default),
        required=required,
        **field.metadata,
    )


SETTINGS: tuple[SettingInfo, ...] = tuple(_describe(field) for field in attrs.fields(Settings))
