"""Plans the capacity of a job service: tasks, workers and the Redis node for so many clients. Pure.

    requests  = clients / poll seconds + jobs
    API CPU   = clients / poll seconds x cost of a poll
    job CPU   = jobs x (cost of a job + its own computation)
    Redis CPU = clients / poll seconds x Redis cost of a poll + jobs x Redis cost of a job
    memory    = jobs x JOB_TTL_SECONDS x bytes of a finished job

The costs are measured (``python -m benchmarks.jobs.capacity``); tasks and Redis are filled to a share that
leaves room, tasks to the target of the scaling policy. One queue lives on one Redis shard, which runs
commands on one core: beyond it, several queues share the clients (docs/capacity.md).
"""

import json
import math
from importlib.resources import files

import attrs

COSTS_FILE = "capacity.json"
CPU_SHARE = 0.7
"""Of a task's vCPU, and of the core on which Redis runs commands."""
LEAST_API_TASKS = 2
"""In two zones, so that one may fail."""
MEMORY_SHARE = 0.75
"""Of a node's memory; ElastiCache reserves the rest (reserved-memory-percent)."""
NODES_GIB = {
    "cache.t4g.micro": 0.5,
    "cache.t4g.small": 1.37,
    "cache.t4g.medium": 3.09,
    "cache.m7g.large": 6.38,
    "cache.m7g.xlarge": 12.93,
    "cache.r7g.large": 13.07,
}
"""GiB of the node types with a known price, the smallest first (ElastiCache, "Supported node types")."""
BURSTABLE = "cache.t4g."
"""These sustain a share of their cores only (ElastiCache, "Burstable performance")."""
BURSTABLE_SHARE = 0.2
_GIB = 2**30
_US = 1e-6


@attrs.frozen
class Costs:
    """What one request and one job cost.

    Attributes:
        poll_cpu_us: CPU of the API for a status request, in µs.
        poll_redis_us: CPU of Redis for it, in µs.
        job_cpu_us: CPU for a job from its submission to its end, without its computation, in µs.
        job_redis_us: CPU of Redis for it, in µs.
        job_bytes: Memory of Redis for a finished job.
        as_of: Date of the measurement.
        machine: CPU that it was made on.
        rounds: Rounds of the measurement.
    """

    poll_cpu_us: float
    poll_redis_us: float
    job_cpu_us: float
    job_redis_us: float
    job_bytes: float
    as_of: str
    machine: str
    rounds: int


@attrs.frozen(kw_only=True)
class Demand:
    """What the service has to take.

    Attributes:
        clients: Clients that poll at the same time.
        poll_seconds: Seconds between two polls of one client.
        jobs_per_second: Jobs submitted a second.
        compute_seconds: CPU seconds that a job computes.
        ttl_seconds: How long the record of a finished job is kept.
    """

    clients: float
    poll_seconds: float
    jobs_per_second: float
    compute_seconds: float = 0.0
    ttl_seconds: float = 86_400.0


@attrs.frozen
class Capacity:
    """What it takes.

    Attributes:
        requests_per_second: Polls and submissions.
        api_tasks: Tasks of 1 vCPU with the roles ``api,worker`` that take the requests.
        worker_tasks: Tasks with the role ``worker`` beside them that take the jobs' CPU.
        queues: Queues, each on a Redis shard of its own.
        redis_percent: Load of the busiest shard's command core, in percent.
        memory_gib: Memory of each shard.
        node_type: The smallest node type for a shard; None if none of the price table is large enough.
    """

    requests_per_second: float
    api_tasks: int
    worker_tasks: int
    queues: int
    redis_percent: float
    memory_gib: float
    node_type: str | None


def load_costs() -> Costs:
    """Return the measured costs."""
    text = files(__package__).joinpath(COSTS_FILE).read_text(encoding="utf-8")
    return Costs(**json.loads(text))


def plan(demand: Demand, costs: Costs) -> Capacity:
    """Return the capacity that a demand needs."""
    polls = demand.clients / demand.poll_seconds
    jobs = demand.jobs_per_second
    serving = polls * costs.poll_cpu_us * _US
    working = jobs * (costs.job_cpu_us * _US + demand.compute_seconds)
    redis = (polls * costs.poll_redis_us + jobs * costs.job_redis_us) * _US
    stored = jobs * demand.ttl_seconds * costs.job_bytes / _GIB
    most = max(NODES_GIB.values()) * MEMORY_SHARE
    queues = max(1, math.ceil(redis / CPU_SHARE), math.ceil(stored / most))
    return Capacity(
        requests_per_second=polls + jobs,
        api_tasks=max(LEAST_API_TASKS, math.ceil(serving / CPU_SHARE)),
        worker_tasks=max(1, math.ceil(working / CPU_SHARE)),
        queues=queues,
        redis_percent=100 * redis / queues,
        memory_gib=stored / queues,
        node_type=_node(redis / queues, stored / queues),
    )


def objections(capacity: Capacity, *, tasks: int, node_type: str) -> list[str]:
    """Return what a configured deployment lacks, a line each.

    Args:
        capacity: What is needed.
        tasks: Most API tasks that are configured.
        node_type: The configured Redis node.
    """
    lacks = []
    if capacity.api_tasks > tasks:
        lacks.append(
            f"{capacity.api_tasks} API tasks are needed, and at most {tasks} are configured (--api-tasks)"
        )
    if capacity.queues > 1:
        lacks.append(f"one Redis shard is not enough: {capacity.queues} queues share it (docs/capacity.md)")
    memory = NODES_GIB.get(node_type)
    if memory is not None and capacity.memory_gib > memory * MEMORY_SHARE:
        room = (
            f"finished jobs take {capacity.memory_gib:.1f} GiB, {node_type} has {memory * MEMORY_SHARE:.1f}"
        )
        lacks.append(f"{room}: take a larger node or a shorter JOB_TTL_SECONDS")
    if node_type.startswith(BURSTABLE) and capacity.redis_percent > 100 * BURSTABLE_SHARE:
        lacks.append(
            f"{node_type} does not sustain {capacity.redis_percent:.0f} % of a core: take m7g or r7g"
        )
    return lacks


def _node(redis: float, gib: float) -> str | None:
    for name, memory in NODES_GIB.items():
        enough = redis <= BURSTABLE_SHARE or not name.startswith(BURSTABLE)
        if enough and gib <= memory * MEMORY_SHARE:
            return name
    return None
