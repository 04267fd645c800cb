"""What helps against which bottleneck, the cheapest step first."""

_STEPS = {
    "CPU": (
        "Give the process a whole vCPU of its own: on Fargate 1 vCPU or more; on a shared host pin it.",
        "Run more worker processes (`ROLES=worker`, Terraform `worker_count`): one process is one core.",
        "Smaller files cost less: see the prediction table under *Cost per operation*.",
        "Keep `S3_TRANSPORT=lean`; with a private S3 endpoint on a trusted network, plain HTTP saves TLS.",
    ),
    "Redis": (
        "Put Redis into the same availability zone: claims and settlements wait for its round trip.",
        "Raise `WORKER_CONCURRENCY`: claims are batches of up to 32, and never more than there are workers.",
        "Look for slow commands of others on the same Redis (`SLOWLOG GET`) and for its CPU.",
        "Run several worker processes: each claims by itself.",
    ),
    "S3": (
        "Spread keys over more prefixes (`S3_PREFIX` per instance): S3 limits requests a second by prefix.",
        "Ramp up slowly: S3 raises the limits under sustained load, and answers 503 meanwhile.",
        "With an S3-compatible server of your own: give it more CPU or more nodes.",
        "Keep the rate below the saturation point found here; retries of throttled requests cost twice.",
    ),
    "network": (
        "Use smaller files, or fewer bytes an operation: bandwidth, not requests, is the limit.",
        "Choose a larger task size: Fargate's bandwidth grows with vCPU and memory.",
        "Use the S3 gateway endpoint of the VPC, so that traffic does not pass a NAT gateway.",
    ),
    "configuration": (
        "Raise `WORKER_CONCURRENCY`: all workers wait while CPU, Redis and S3 idle; the sweep shows how far.",
        "In rate mode, check `MAX_QUEUE_LENGTH` and `SCHEDULER_MESSAGES_PER_SECOND`.",
    ),
    "mixed": (
        "Two resources are near their limits: relieving one alone gives little. Begin with the higher score.",
        "Run `tune` again when nobody else uses the machine: noise also looks like this.",
    ),
}


def advice(bottleneck: str) -> tuple[str, ...]:
    """Return steps against a bottleneck as `tune` names it."""
    return _STEPS.get(bottleneck, ())
