"""The capacity of a job service, from costs that are easy to multiply."""

import attrs
import pytest

from loadtest_trio.cli.preflight.capacity import (
    BURSTABLE,
    CPU_SHARE,
    NODES_GIB,
    Costs,
    Demand,
    load_costs,
    objections,
    plan,
)
from loadtest_trio.cli.preflight.prices import load_prices

COSTS = Costs(
    poll_cpu_us=100,
    poll_redis_us=10,
    job_cpu_us=500,
    job_redis_us=50,
    job_bytes=1000,
    as_of="2026-11-25",
    machine="test",
    rounds=1,
)
SMALL = Demand(clients=100, poll_seconds=1, jobs_per_second=10)


def test_small_demand_takes_the_least() -> None:
    """Two API tasks for two zones, one worker, one queue, a small node."""
    found = plan(SMALL, COSTS)
    assert (found.api_tasks, found.worker_tasks, found.queues) == (2, 1, 1)
    assert found.requests_per_second == 110
    assert found.node_type == "cache.t4g.small"  # 10 jobs a second for a day: 0.8 GiB
    assert objections(found, tasks=4, node_type="cache.t4g.small") == []


def test_tasks_follow_polls_and_workers_follow_jobs() -> None:
    """20,000 polls a second take two vCPUs; 1,000 jobs a second that compute 1 ms take one and a half."""
    demand = Demand(
        clients=40_000, poll_seconds=2, jobs_per_second=1000, compute_seconds=0.001, ttl_seconds=60
    )
    found = plan(demand, COSTS)
    assert found.api_tasks == 3  # 2.0 / 0.7
    assert found.worker_tasks == 3  # 1.5 / 0.7
    assert found.redis_percent == pytest.approx(25)
    assert found.node_type is not None
    assert not found.node_type.startswith(BURSTABLE)


def test_one_shard_has_a_limit_beyond_which_queues_share_the_clients() -> None:
    """A core of commands, filled to 70 %, is the limit of one queue; two take nearly twice as much."""
    limit = CPU_SHARE / (COSTS.poll_redis_us * 1e-6)
    within = plan(Demand(clients=limit * 0.99, poll_seconds=1, jobs_per_second=1e-9), COSTS)
    beyond = plan(Demand(clients=limit * 1.01, poll_seconds=1, jobs_per_second=1e-9), COSTS)
    assert (within.queues, beyond.queues) == (1, 2)
    assert any(
        "one Redis shard is not enough" in each for each in objections(beyond, tasks=999, node_type="x")
    )


def test_memory_of_finished_jobs_chooses_the_node() -> None:
    """A record is kept for its TTL: a shorter one needs a smaller node, many jobs need more shards."""
    day = attrs.evolve(SMALL, jobs_per_second=100)
    assert plan(day, COSTS).memory_gib == pytest.approx(100 * 86_400 * 1000 / 2**30)
    assert plan(day, COSTS).node_type == "cache.m7g.xlarge"
    assert plan(attrs.evolve(day, ttl_seconds=3600), COSTS).node_type == "cache.t4g.micro"
    assert plan(attrs.evolve(day, jobs_per_second=1000), COSTS).queues > 1


def test_deployment_that_is_too_small_is_told_each_lack() -> None:
    """Too few tasks, too little memory, and a burstable node under steady load."""
    found = plan(Demand(clients=40_000, poll_seconds=1, jobs_per_second=100), COSTS)
    lacks = objections(found, tasks=4, node_type="cache.t4g.micro")
    assert [each.split()[1] for each in lacks] == ["API", "jobs", "does"]
    assert objections(found, tasks=found.api_tasks, node_type="cache.r7g.4xlarge") == []


def test_measured_costs_are_plausible_and_every_node_has_a_price() -> None:
    """The file that benchmarks.jobs.capacity writes is whole; the node types are those of the price table."""
    costs = load_costs()
    assert 0 < costs.poll_redis_us < costs.job_redis_us
    assert 0 < costs.poll_cpu_us < costs.job_cpu_us
    assert 100 < costs.job_bytes < 100_000
    assert set(NODES_GIB) == set(load_prices()["redis_node_hour"])
