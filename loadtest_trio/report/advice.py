"""Steps against each bottleneck, the cheapest first."""

from collections.abc import Iterator

CROWDED = 0.1
"""The share of time without a core from which the advice names other programs."""

_SMALLER = ("Smaller files cost less: see the prediction table under *Cost per operation*.", "size")
_CROWDED_STEPS = (
    (
        "Other programs use this machine's CPUs: pin the process to one core and the servers to others.",
        "cpu",
    ),
    ("Run `tune` again on an otherwise idle machine: results on a shared core vary.", ""),
    _SMALLER,
)
_STEPS = {
    "CPU": (
        (
            "Give the process a whole vCPU: at least 1 vCPU on Fargate; on a shared host, pin it to a core.",
            "cpu",
        ),
        (
            "Run more processes (`ROLES=worker`, Terraform `worker_task_count`): each uses one core.",
            "",
        ),
        _SMALLER,
        (
            "Keep `S3_TRANSPORT=lean`; to a private S3 endpoint on a trusted network, HTTP saves TLS's CPU.",
            "",
        ),
    ),
    "Redis": (
        (
            "Put Redis into the same availability zone: claims and settlements wait for a round trip.",
            "redis",
        ),
        (
            "Raise `WORKER_CONCURRENCY`: a claim takes at most as many messages as there are workers.",
            "more workers",
        ),
        ("Look for slow commands of other clients (`SLOWLOG GET`) and at Redis's CPU.", ""),
        ("Run several worker processes: each has its own connection for claims.", ""),
    ),
    "S3": (
        ("Spread keys over more prefixes (`S3_PREFIX` per instance): S3 limits requests per prefix.", "s3"),
        ("Ramp up slowly: S3 raises its limits under sustained load and answers 503 until then.", ""),
        ("Give an S3-compatible server of your own more CPU or more nodes.", "s3"),
        ("Keep the rate below this saturation point: a throttled request has to be sent again.", ""),
    ),
    "network": (
        ("Use smaller files: the limit is bandwidth, not the number of requests.", "size"),
        ("Choose a larger task size: Fargate's bandwidth grows with vCPU and memory.", ""),
        ("Use the VPC's S3 gateway endpoint, so that traffic does not pass a NAT gateway.", ""),
    ),
    "configuration": (
        (
            "Raise `WORKER_CONCURRENCY`: all workers wait while CPU, Redis and S3 are idle.",
            "more workers",
        ),
        ("In rate mode, check `MAX_QUEUE_LENGTH` and `SCHEDULER_MESSAGES_PER_SECOND`.", ""),
    ),
    "mixed": (
        ("Begin with the highest score; when none stands out, relieving one gains little.", ""),
        ("Run `tune` again for longer (`--seconds`): noise can look like this.", ""),
    ),
}


def advice(bottleneck: str, cpu_wait: float = 0.0) -> Iterator[tuple[str, str]]:
    """Yield steps against a bottleneck.

    Args:
        bottleneck: As `tune` names it.
        cpu_wait: Share of time that the process waited for a core. When other programs use the cores, more
            processes would only wait too.

    Yields:
        The step, and the name of the experiment that shows its effect; empty when there is none.
    """
    crowded = cpu_wait >= CROWDED
    if crowded:
        yield from _CROWDED_STEPS
    if not (crowded and bottleneck in ("CPU", "mixed")):
        yield from _STEPS.get(bottleneck, ())
