"""The settings: type, default, limits and meaning of each. `docs/settings.md` is generated from it."""

import attrs
from attrs import validators as v

from loadtest_trio.settings.allow_list import AllowList
from loadtest_trio.settings.option import REQUIRED, choice, option, seconds, token, whole
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
    parse_distribution,
)

MOST_WORKERS = 4096


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
        "The bucket that holds the objects.",
        allowed="a bucket name: 3-63 of a-z, 0-9, dot and hyphen",
        check=v.matches_re(r"[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]"),
    )
    s3_prefix: str = option(
        "loadtest/",
        "The prefix of all keys; objects outside it are never listed, changed or deleted.",
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
    s3_create_bucket: bool = option(False, "Create the bucket if it is missing.", allowed="true or false")
    s3_transport: Transport = choice(
        Transport.LEAN,
        "The HTTP transport for S3: lean (built in) or httpx (the stock one; it mistakes an unexpected "
        "second response for the answer to its next request).",
    )
    aws_region: str = option(
        "us-east-1",
        "The bucket's region, used to sign requests.",
        allowed="a region name such as eu-central-1",
        check=v.matches_re(r"[a-z0-9\-]{2,40}"),
        aliases=("AWS_DEFAULT_REGION",),
    )
    startup_timeout_seconds: float = seconds(
        30.0, "How long to wait for Redis and S3 at start, in seconds.", least=0.1
    )

    # Load
    steady_state_distribution: Distribution = option(
        parse_distribution("READ:50,UPDATE:25,CREATE:10,DELETE:15"),
        "The steady mix of operations, as weights.",
        allowed="OPERATION:WEIGHT pairs such as READ:50,UPDATE:25,CREATE:10,DELETE:15",
    )
    scheduler_mode: SchedulerMode = choice(
        SchedulerMode.RATE, "rate: enqueue on a fixed open-loop schedule; saturate: keep the queue filled."
    )
    scheduler_messages_per_second: float = option(
        100.0,
        "Messages of the steady mix per second in rate mode; refills are added to them.",
        allowed="a number above 0, 1,000,000 at most",
        check=v.and_(v.gt(0), v.le(1_000_000)),
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
        "Interval between two LISTs that reconcile the known keys, in seconds; shorter while no key is available.",
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
        "Maximum size of an object to download, in bytes; larger objects are ignored.",
        least=1,
        most=2**40,
    )
    random_seed: int | None = whole(
        None, "Seed of the order of operations and the sizes of new files; unset: a new one for each run."
    )

    # Work
    roles: frozenset[Role] = option(
        frozenset([Role.SCHEDULER, Role.WORKER]),
        "The tasks that this process runs; api serves jobs over HTTP.",
        allowed="one or more of scheduler, worker, api, separated by commas",
    )
    queue_name: str = option(
        "loadtest",
        "The prefix of all Redis keys: {NAME}:queue and so on.",
        allowed="1-100 characters of letters, digits, '.', '_' and '-'",
        check=v.matches_re(r"[A-Za-z0-9._\-]{1,100}"),
    )
    worker_concurrency: Workers = option(
        Workers(10),
        "Number of messages handled at the same time; auto adjusts it to throughput and latency.",
        allowed=f"a whole number from 1 to {MOST_WORKERS}, or auto",
        check=v.and_(v.ge(1), v.le(MOST_WORKERS)),
    )
    max_retries: int = whole(
        3, "How often a message is put back after transient failures before it becomes dead.", most=100
    )
    max_deliveries: int = whole(
        5,
        "How often a message is delivered to consumers that crash before it becomes dead; with 1, everything that "
        "a crashed consumer held becomes dead.",
        least=1,
        most=100,
    )
    consumer_ttl_seconds: float = seconds(
        15.0,
        "After this many seconds without a heartbeat, a consumer's messages go back to the queue.",
        least=1,
    )

    # Jobs
    job_max_seconds: float = seconds(
        60.0,
        "Maximum duration of a job's computation or sleep, in seconds; a longer computation is stopped.",
        least=0.1,
    )
    job_retry_base_seconds: float = seconds(
        2.0,
        "Longest delay before the first retry of a job, in seconds; doubles with each retry; the delay is random up to it.",
    )
    compute_processes: int | None = whole(
        None, "Worker processes for long computations; unset: one per CPU.", least=1, most=256
    )
    factorial_max_n: int = whole(100_000, "Maximum n of a factorial job.", least=1, most=1_000_000)
    sha512_max_iterations: int = whole(
        100_000_000, "Maximum iterations of a sha512 job.", least=1, most=10_000_000_000
    )
    http_fetch_allow: AllowList = option(
        AllowList(),
        "Non-public addresses, networks or hosts that http-fetch may connect to, optionally with a port.",
        allowed="a list such as 127.0.0.1:8000,10.0.0.0/8,[::1]:80,intranet.example",
    )
    http_fetch_max_bytes: int = whole(
        5_242_880,
        "Maximum body of an http-fetch job, in bytes; a longer one is truncated.",
        most=64 * 1024 * 1024,
    )
    http_fetch_timeout_seconds: float = seconds(
        10.0, "Maximum duration of an http-fetch job including redirects, in seconds.", least=0.1
    )
    http_fetch_max_redirects: int = whole(5, "Maximum redirects of an http-fetch job.", most=50)

    # Jobs over HTTP
    api_host: str = option(
        "127.0.0.1",
        "The address that the job API listens on.",
        allowed="an address",
        check=v.min_len(1),
    )
    api_port: int = whole(8000, "The port of the job API; 0: any free port.", most=65_535)
    api_server: ApiServer = choice(ApiServer.LEAN, "The server of the job API: lean (built in) or hypercorn.")
    api_token: str = token("The bearer token that the job API requires; empty: none.")
    api_drain_seconds: float = seconds(
        0.0,
        "Time after the first signal in which the job API still accepts work while it reports not ready, "
        "so that a load balancer can take it out first, in seconds.",
    )
    api_max_connections: int = whole(
        10_000, "Maximum number of concurrent connections to the job API.", least=1
    )
    api_max_body_bytes: int = whole(1_048_576, "Maximum size of a request body, in bytes.", least=1024)
    job_rate_limit_per_minute: int = whole(100, "Jobs that one client may submit per minute; 0: no limit.")
    job_ttl_seconds: float = seconds(
        86_400.0,
        "How long the record of a finished job and an idempotency key are kept, in seconds.",
        least=1,
    )
    job_archive: ArchiveMode = choice(
        ArchiveMode.NONE,
        "s3: finished jobs are also stored under S3_PREFIX and remain readable after their records expire.",
    )
    job_inline_result_bytes: int = whole(
        16_384, "Maximum size of a result stored in Redis, in bytes; larger ones go to S3.", most=1_048_576
    )
    job_wait_replicas: int = whole(
        0, "Redis replicas that must have received a job before the answer 202 (WAIT).", most=10
    )

    # Life
    run_duration_seconds: float = seconds(86_400.0, "The service ends after this many seconds; 0 for no end.")
    max_cost_usd: float | None = option(
        None,
        "preflight fails if the predicted cost of the run exceeds this amount, or is unknown.",
        allowed="an amount of 0 or more",
        check=v.optional(v.ge(0)),
    )
    shutdown_grace_seconds: float = seconds(
        30.0, "Time for work in progress to finish after the first signal, in seconds."
    )
    health_host: str = option(
        "127.0.0.1",
        "The address that the health endpoint listens on; `::` for IPv4 and IPv6.",
        allowed="an address",
        check=v.min_len(1),
    )
    health_port: int = whole(8080, "The port of the health endpoint; 0: any free port.", most=65_535)
    health_endpoint_path: str = option(
        "/health",
        "The path of the health endpoint.",
        allowed="a path that starts with /",
        check=v.matches_re(r"/[A-Za-z0-9._~/\-]*"),
    )
    health_stall_seconds: float = seconds(
        60.0, "The health endpoint answers 503 if a task makes no progress for this many seconds.", least=1
    )

    # Watching
    dashboard: bool = option(
        False,
        "Serve a live dashboard at / of the health server; the default with --embedded is true.",
        allowed="true or false",
    )
    dashboard_token: str = token(
        "The token for the dashboard; empty: none, and the controls work only from this machine."
    )
    metrics_endpoint: bool = option(
        False, "Serve /metrics in Prometheus format on the health server.", allowed="true or false"
    )

    # Logs
    log_interval_seconds: float = seconds(10.0, "Interval between two metrics lines, in seconds.", least=0.1)
    log_level: LogLevel = choice(LogLevel.INFO, "The lowest level that is logged.")
    log_format: LogFormat = choice(
        LogFormat.AUTO, "auto: a live view on a terminal, otherwise JSON; text: plain lines."
    )
    metrics_format: MetricsFormat = choice(
        MetricsFormat.PLAIN, "emf: metrics lines also carry the CloudWatch embedded metric format."
    )
    metrics_namespace: str = option(
        "loadtest_trio",
        "The CloudWatch namespace of the embedded metrics.",
        allowed="1-255 characters of letters, digits and ./#:_-",
        check=v.matches_re(r"[A-Za-z0-9./#:_\-]{1,255}"),
    )
