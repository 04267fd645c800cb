"""``preflight``: checks the backends and predicts the cost of the run."""

import argparse
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random

import trio
from rich.console import Console
from rich.table import Table

from loadtest_trio.backends.opening import Opener
from loadtest_trio.cli.exits import FAILED, OK, complain
from loadtest_trio.cli.preflight.capacity import Demand, load_costs, objections, plan
from loadtest_trio.cli.preflight.checks import CheckResult, Grade, check_redis, check_s3
from loadtest_trio.cli.preflight.cost import CostInputs, LineItem, predict, total, unknown
from loadtest_trio.cli.preflight.prices import load_prices
from loadtest_trio.metrics.counters import Metrics
from loadtest_trio.metrics.health_state import HealthState
from loadtest_trio.settings import Role, SchedulerMode, Settings, load

MEANING = "Check Redis and S3, and predict requests, bytes and dollars of the configured run."
_SECONDS_A_DAY = 86_400.0
_JOBS_PER_SECOND = 10.0  # the default of terraform's expected_jobs_per_second
_HINT = "--rate gives the rate of saturate mode, --prices a price"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the inputs of the prediction that are not settings."""
    parser.add_argument(
        "--rate",
        type=float,
        metavar="N",
        help="messages per second (default: the schedule's; needed in saturate mode), or jobs (10)",
    )
    parser.add_argument(
        "--prices", type=Path, metavar="FILE.json", help="prices that replace those of the built-in table"
    )
    parser.add_argument("--node-type", default="cache.t4g.small", help="ElastiCache node (cache.t4g.small)")
    parser.add_argument("--engine", choices=["valkey", "redis"], default="valkey")
    parser.add_argument("--memory-gb", type=float, default=2.0, help="memory of the Fargate task (2)")
    parser.add_argument("--architecture", choices=["X86_64", "ARM64"], default="X86_64")
    demand = parser.add_argument_group("capacity of a job service (docs/capacity.md)")
    demand.add_argument("--clients", type=_positive, metavar="N", help="clients that poll at the same time")
    demand.add_argument("--poll", type=_positive, default=1.0, metavar="S", help="seconds between polls (1)")
    demand.add_argument("--jobs", type=_positive, metavar="J", help="jobs a second (default: clients / 10)")
    demand.add_argument(
        "--job-seconds", type=float, default=0.0, metavar="S", help="CPU seconds that a job computes (0)"
    )
    demand.add_argument("--api-tasks", type=int, default=4, metavar="N", help="most API tasks (4)")


def _positive(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise ValueError(text)
    return number


def execute(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Print checks and prediction; fail on a failed check or if `MAX_COST_USD` may be exceeded."""
    settings = load(environ, options.config).settings
    prices = load_prices(options.prices)
    inputs = CostInputs(
        rate=options.rate or _scheduled_rate(settings),
        seconds=settings.run_duration_seconds or _SECONDS_A_DAY,
        memory_gb=options.memory_gb,
        architecture=options.architecture,
        node_type=options.node_type,
        engine=options.engine,
    )
    if Role.API in settings.roles:
        inputs = inputs.of_job_service()
    results = trio.run(_check, settings, environ)
    items = predict(settings, inputs, prices)
    console = Console(highlight=False, markup=False)
    _print_results(console, results)
    _print_prediction(console, inputs, items, f"{prices['region']}, {prices['as_of']}")
    complaints = [] if settings.max_cost_usd is None else list(_objections(settings.max_cost_usd, items))
    complaints += _check_capacity(console, options, settings)
    failed = complaints or any(result.grade is Grade.FAILED for result in results)
    return complain(FAILED if failed else OK, *complaints)


def _check_capacity(console: Console, options: argparse.Namespace, settings: Settings) -> list[str]:
    """Print the capacity that `--clients` need; return what the configured deployment lacks."""
    if options.clients is None:
        return []
    demand = Demand(
        clients=options.clients,
        poll_seconds=options.poll,
        jobs_per_second=options.jobs or options.clients / 10,
        compute_seconds=options.job_seconds,
        ttl_seconds=settings.job_ttl_seconds,
    )
    costs = load_costs()
    capacity = plan(demand, costs)
    console.print(
        f"\n{demand.clients:g} clients polling every {demand.poll_seconds:g} s, "
        f"{demand.jobs_per_second:g} jobs/s (costs measured {costs.as_of} on {costs.machine})"
    )
    table = Table("needs", "", box=None, pad_edge=False)
    table.add_row("requests a second", f"{capacity.requests_per_second:,.0f}")
    table.add_row("API tasks of 1 vCPU", f"{capacity.api_tasks}")
    table.add_row("worker tasks of 1 vCPU", f"{capacity.worker_tasks}")
    table.add_row("queues, each on its Redis shard", f"{capacity.queues}")
    shard = f"{capacity.redis_percent:.0f} % of a core, {capacity.memory_gib:.1f} GiB of finished jobs"
    table.add_row("each shard", f"{shard}: {capacity.node_type or 'no node type of the price table'}")
    console.print(table)
    return objections(capacity, tasks=options.api_tasks, node_type=options.node_type)


def _scheduled_rate(settings: Settings) -> float | None:
    """Return the configured rate; None in saturate mode, where the CPU determines it."""
    if Role.API in settings.roles:
        return _JOBS_PER_SECOND
    saturate = settings.scheduler_mode is SchedulerMode.SATURATE
    return None if saturate else settings.scheduler_messages_per_second


def _objections(limit: float, items: list[LineItem]) -> Iterator[str]:
    """Yield why a run may exceed `MAX_COST_USD`: it costs more, or its cost is unknown."""
    if total(items) > limit:
        yield f"the run would cost ${total(items):.2f}, above MAX_COST_USD={limit:g}"
    for what in unknown(items):
        yield f"MAX_COST_USD={limit:g} is set, but the price of {what} is unknown ({_HINT})"


async def _check(settings: Settings, environ: Mapping[str, str]) -> list[CheckResult]:
    health_state = HealthState(trio.current_time, settings.health_stall_seconds)
    opener = Opener(settings, environ, Metrics(), health_state)
    redis, s3 = opener.redis(f"preflight-{secrets.token_hex(4)}", Random()), await opener.s3()
    try:
        with trio.move_on_after(settings.startup_timeout_seconds):
            return [*await check_redis(redis), *await check_s3(s3, settings.s3_prefix)]
        return [CheckResult("backends", Grade.FAILED, "no answer in STARTUP_TIMEOUT_SECONDS")]
    finally:
        redis.close()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
            await s3.aclose()


def _print_results(console: Console, results: list[CheckResult]) -> None:
    table = Table("check", "", "found", box=None, pad_edge=False)
    for result in results:
        table.add_row(result.what, result.grade.value, result.detail)
    console.print(table)


def _print_prediction(console: Console, inputs: CostInputs, items: list[LineItem], prices: str) -> None:
    rate = "an unknown rate (saturate mode: measure it, then give --rate)"
    if inputs.rate is not None:
        rate = f"{inputs.rate:g} {'jobs' if inputs.load_balancers else 'messages'}/s"
    console.print(f"\n{rate} for {inputs.seconds / 3600:g} h on AWS ({prices}; an estimate)")
    table = Table("service", "what", box=None, pad_edge=False)
    for column in ("quantity", "unit", "USD"):
        table.add_column(column, justify="left" if column == "unit" else "right")
    for item in items:
        quantity = "unknown" if item.quantity is None else f"{item.quantity:,.1f}"
        usd = "unknown" if item.usd is None else f"{item.usd:.2f}"
        table.add_row(item.service, item.what, quantity, item.unit, usd)
    least = "at least " if unknown(items) else ""
    table.add_row("total", "", "", "", f"{least}{total(items):.2f}")
    console.print(table)
