"""What helps against which bottleneck, the cheapest step first."""

from collections.abc import Iterator

CROWDED = 0.1
"""From this share of the time without a core on, other programs are part of the answer."""

_SMALLER = ("Smaller files cost less: see the prediction table under *Cost per operation*.", "size")
_CROWDED_STEPS = (
    (
        "Other programs hold this machine's CPUs: give the process a core of its own, the servers others.",
        "cpu",
    ),
    ("Run `tune` again when nobody else uses the machine: a shared core also makes figures restless.", ""),
    _SMALLER,
)
_STEPS = {
    "CPU": (
        (
            "Give the process a whole vCPU of its own: on Fargate 1 vCPU or more; on a shared host pin it.",
            "cpu",
        ),
        (
            "Run more processes (`ROLES=worker`, Terraform `worker_task_count`): one process is one core.",
            "",
        ),
        _SMALLER,
        (
            "Keep `S3_TRANSPORT=lean`; with a private S3 endpoint on a trusted network, HTTP saves TLS.",
            "",
        ),
    ),
    "Redis": (
        (
            "Put Redis into the same availability zone: claims and settlements wait for its round trip.",
            "redis",
        ),
        (
            "Raise `WORKER_CONCURRENCY`: claims are batches, and never more than there are workers.",
            "more workers",
        ),
        ("Look for slow commands of others on the same Redis (`SLOWLOG GET`) and for its CPU.", ""),
        ("Run several worker processes: each claims by itself.", ""),
    ),
    "S3": (
        ("Spread keys over more prefixes (`S3_PREFIX` per instance): S3 limits requests by prefix.", "s3"),
        ("Ramp up slowly: S3 raises the limits under sustained load, and answers 503 meanwhile.", ""),
        ("With an S3-compatible server of your own: give it more CPU or more nodes.", "s3"),
        ("Keep the rate below the saturation point found here; throttled requests cost twice.", ""),
    ),
    "network": (
        ("Use smaller files, or fewer bytes an operation: bandwidth, not requests, is the limit.", "size"),
        ("Choose a larger task size: Fargate's bandwidth grows with vCPU and memory.", ""),
        ("Use the S3 gateway endpoint of the VPC, so that traffic does not pass a NAT gateway.", ""),
    ),
    "configuration": (
        ("Raise `WORKER_CONCURRENCY`: all workers wait while CPU, Redis and S3 idle.", "more workers"),
        ("In rate mode, check `MAX_QUEUE_LENGTH` and `SCHEDULER_MESSAGES_PER_SECOND`.", ""),
    ),
    "mixed": (
        ("Begin with the highest score; where none stands out, relieving one alone gives little.", ""),
        ("Run `tune` again, for longer (`--seconds`): noise also looks like this.", ""),
    ),
}


def advice(bottleneck: str, cpu_wait: float = 0.0) -> Iterator[tuple[str, str]]:
    """Yield steps against a bottleneck as `tune` names it.

    Args:
        bottleneck: The verdict.
        cpu_wait: Share of the time that the process waited for a core: where others hold the cores, more
            processes here would only wait too.

    Yields:
        The step, and the name of the experiment that shows what it may bring; empty where none does.
    """
    crowded = cpu_wait >= CROWDED
    if crowded:
        yield from _CROWDED_STEPS
    if not (crowded and bottleneck in ("CPU", "mixed")):
        yield from _STEPS.get(bottleneck, ())
