"""What every field and event of the log means; `docs/log-lines.md` is made from it, and tests hold it."""

FIELDS: dict[str, str] = {
    "uptime_seconds": "Time since the process started.",
    "phase": "`precondition` until the bucket holds the wanted number of objects, then `steady`; `paused` while a "
    "control says so. Worker-only processes always report `steady`.",
    "scheduler_mode": "`rate` or `saturate` now; null in a process that does not schedule.",
    "rate_target": "The scheduler's rate now; null in saturate mode.",
    "workers": "The number of workers now; null in a process that does not work.",
    "degraded": "Backends in an outage, each with the reason; empty when all is well.",
    "stuck": "Tasks without progress, each with its seconds; empty when all is well.",
    "queue_length": "Messages on the Redis list (LLEN).",
    "in_flight": "Messages claimed by a consumer and not settled.",
    "delayed": "Messages waiting for a retry.",
    "dead": "Messages on the dead list.",
    "messages_created": "Messages put on the queue.",
    "messages_processed": "Messages done.",
    "messages_missed": "Messages whose object was already gone: not an error.",
    "messages_failed": "Messages that this process gave up and moved to the dead list.",
    "messages_withheld": "Messages due but not enqueued, since the queue was full or no object was known.",
    "messages_retried": "Messages put back to wait after transient failures.",
    "settlements_stale": "Completions that came too late: another consumer had taken the message over.",
    "errors": "Failed attempts at operations and LISTs, and elements that are no messages. Failed Redis calls are "
    "counted in `redis`.",
    "requests_throttled": "S3 requests answered with 503 SlowDown or 429.",
    "rate_per_second": "Messages that this process did a second, over the last interval.",
    "objects": "Objects known to exist; null in a worker-only process.",
    "objects_skipped": "Objects under the prefix that the load leaves alone: folder markers, empty, archived or too large ones, and those whose messages died.",
    "cpu_percent": "CPU time of the process over wall time since the last line; 100 is one CPU.",
    "cpu_wait_percent": "Share of that time in which the main thread was ready to run and got no CPU; null where the "
    "kernel does not report it.",
    "machine_cpus": "The number of CPUs of this machine.",
    "machine_cpu_percent": "Busy time of all CPUs of this machine over their total time, over the last interval; "
    "100 is the whole machine. Time stolen by a hypervisor counts as busy.",
    "backend_cpu": "For `redis` and `s3` the CPU of the server's processes: `cpu_percent` (100 is one CPU) and "
    "`machine_percent` (100 is all CPUs). `unknown` with the reason where the server runs elsewhere, or belongs to "
    "another user. Who listens on the endpoint's port counts: of a server behind a local proxy that is the proxy.",
    "memory_mb": "Resident memory.",
    "open_fds": "Open file descriptors.",
    "cpu_limit": "CPUs that the ECS task may use; null elsewhere.",
    "memory_limit_mb": "Memory that the ECS task may use; null elsewhere.",
    "loop_lag_ms": "The longest delay of the event loop within the interval.",
    "schedule_lag_ms": "The longest delay of the scheduler within the interval.",
    "redis_latency_ms": "The p99 of the slowest kind of Redis call, measured inside its thread.",
    "end_to_end_p99_ms": "p99 from due to done, over all operations.",
    "enqueue_wait_ms": "p50, p95, p99 and max from due until on the queue.",
    "settle_wait_ms": "p50, p95, p99 and max from done until Redis knew: a kill in between repeats the work.",
    "oldest_seconds": "Time since the next message to be claimed was due; null for an empty queue, or if the message "
    "has no `created_at`.",
    "snapshot_age_seconds": "Age of the queue's figures; above 0 when Redis does not answer.",
    "by_operation": "For each operation `created`, `processed`, `missed`, `failed`, `share_nominal` and `share_actual` "
    "(percent of the steady messages scheduled), and p50, p95, p99 and max of `queue_wait_ms`, `service_ms` and "
    "`end_to_end_ms`.",
    "s3": "For each kind of S3 request `count`, `bytes`, `errors`, and p50, p95, p99 and max of `latency_ms`; for GET "
    "also of `first_byte_ms`.",
    "redis": "For each kind of Redis call `count`, `elements`, `errors`, and p50, p95, p99 and max of `latency_ms`.",
    "ledger": "Where every message is; `difference` is 0 unless somebody else put messages on the list.",
    "histograms": "The interval's distributions in HdrHistogram's compressed V2 form, in microseconds. Merge these, "
    "never percentiles.",
}
"""Of the metrics line."""

JOB_FIELDS: dict[str, str] = {
    "requests": "For each route of the job API the answers by status, and p50, p95, p99 and max of `latency_ms`.",
    "jobs": "Jobs `byStatus` and `byType`, the age of the oldest waiting job (`oldestSeconds`), open `lanes`, results "
    "to pull (`completedToPull`), and the `cache` of records with its `hitRate`.",
}
"""Of the metrics line of a process that serves the job API."""

EVENTS: dict[str, str] = {
    "service_starting": "The process has begun; the backends are not checked yet.",
    "service_started": "The backends can be used. Carries versions, machine, settings and addresses.",
    "setting_unknown": "A variable looks like a setting with a typing error.",
    "precondition_met": "The bucket holds the wanted number of objects.",
    "metrics": "One line each `LOG_INTERVAL_SECONDS`; its fields are above.",
    "details": "The continuation of a line that would be longer than 16,000 bytes.",
    "operation_failed": "One attempt failed: operation, key, attempt, error, and whether it will be retried.",
    "message_malformed": "An element of the queue that nobody can work on went to the dead list.",
    "messages_withheld": "The queue is full, so messages that were due are not enqueued.",
    "settlement_stale": "A completion came too late: another consumer had taken the message over.",
    "failures_summarised": "How many failures of one kind were not logged one by one.",
    "backend_unavailable": "A backend stopped answering.",
    "backend_recovered": "A backend answers again.",
    "redis_may_evict": "Redis has a memory limit at which it may delete messages instead of refusing new ones.",
    "redis_data_lost": "Redis came back with less than it had; the messages are counted as lost.",
    "proxy_used": "S3 is reached through this proxy.",
    "proxy_ignored": "This variable names a proxy, but S3's endpoint is plain HTTP and is reached directly.",
    "clock_corrected": "Requests are signed with S3's clock, which is ahead by so many seconds.",
    "objects_skipped": "Why objects are left alone, and how many.",
    "consumers_reaped": "Messages of consumers that died went back to the queue.",
    "list_failed": "A LIST of the bucket failed and is repeated.",
    "credentials_not_renewed": "The source of the AWS credentials did not renew them.",
    "task_limits_unknown": "ECS did not say what the task may use.",
    "task_crashed": "A long-lived task crashed; the service ends in order with exit code 1.",
    "request_crashed": "A request to the job API hit a fault of the service.",
    "control_used": "Somebody used a control of the dashboard: its value and the one before.",
    "dashboard_open": "The dashboard listens on an address that others reach, without a token.",
    "api_open": "The job API listens on an address that others reach, without a token.",
    "log_lines_dropped": "Standard output took nothing for so long that lines were dropped.",
    "service_stopping": "There is a reason to stop.",
    "service_stopped": "The end, with the totals and the ledger.",
    "users_started": "Simulated users begin: scenario, profile, target.",
    "users": "One line each interval: users, requests, jobs, the generator's own lag.",
    "users_routes": "The routes of an interval.",
    "users_step": "The end of a step, with its statistics.",
    "users_limit": "Fewer users run than wanted, since this machine allows no more.",
    "users_stop_condition": "Why the load stops growing, with the evidence.",
    "users_recovery_started": "Fewer users now: does the target recover?",
    "users_scenario_failed": "A scenario raised an error.",
    "users_threshold": "A threshold with its verdict.",
    "users_verdict": "What the target sustained, and what gave in.",
    "users_stopped": "The end of the simulated users.",
}
"""What a line's `event` can be."""
