"""``preflight``: are the backends fit, and what will the run cost?"""

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
from loadtest_trio.cli.preflight.checks import Finding, Grade, check_redis, check_s3
from loadtest_trio.cli.preflight.cost import Plan, Position, predict, total, unknown
from loadtest_trio.cli.preflight.prices import load_prices
from loadtest_trio.metrics.counters import Metrics
from loadtest_trio.metrics.health_state import HealthState
from loadtest_trio.settings import SchedulerMode, Settings, load

MEANING = "Check Redis and S3, and predict requests, bytes and dollars of the configured run."
_SECONDS_A_DAY = 86_400.0
_HINT = "--rate gives the rate of saturate mode, --prices a price"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the prediction needs beyond the settings."""
    parser.add_argument(
        "--rate",
        type=float,
        metavar="N",
        help="messages a second (the schedule's; in saturate mode nobody else knows)",
    )
    parser.add_argument(
        "--prices", type=Path, metavar="FILE.json", help="prices to use instead of the table's"
    )
    parser.add_argument("--node-type", default="cache.t4g.small", help="ElastiCache node (cache.t4g.small)")
    parser.add_argument("--engine", choices=["valkey", "redis"], default="valkey")
    parser.add_argument("--memory-gb", type=float, default=2.0, help="memory of the Fargate task (2)")
    parser.add_argument("--architecture", choices=["X86_64", "ARM64"], default="X86_64")


def execute(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Print findings and prediction; fails on a failed finding, or unless it is sure of `MAX_COST_USD`."""
    settings = load(environ, options.config).settings
    prices = load_prices(options.prices)
    plan = Plan(
        rate=options.rate or _scheduled_rate(settings),
        seconds=settings.run_duration_seconds or _SECONDS_A_DAY,
        memory_gb=options.memory_gb,
        architecture=options.architecture,
        node_type=options.node_type,
        engine=options.engine,
    )
    findings = trio.run(_check, settings, environ)
    positions = predict(settings, plan, prices)
    console = Console(highlight=False, markup=False)
    _print_findings(console, findings)
    _print_prediction(console, plan, positions, f"{prices['region']}, {prices['as_of']}")
    complaints = [] if settings.max_cost_usd is None else list(_objections(settings.max_cost_usd, positions))
    failed = complaints or any(finding.grade is Grade.FAILED for finding in findings)
    return complain(FAILED if failed else OK, *complaints)


def _scheduled_rate(settings: Settings) -> float | None:
    """Return the rate that the settings announce: none in saturate mode, where one vCPU decides it."""
    saturate = settings.scheduler_mode is SchedulerMode.SATURATE
    return None if saturate else settings.scheduler_messages_per_second


def _objections(limit: float, positions: list[Position]) -> Iterator[str]:
    """Yield why a run may not pass under `MAX_COST_USD`: too dear, or nobody knows what it costs."""
    if total(positions) > limit:
        yield f"the run would cost ${total(positions):.2f}, above MAX_COST_USD={limit:g}"
    for what in unknown(positions):
        yield f"MAX_COST_USD={limit:g} is set, but the price of {what} is unknown ({_HINT})"


async def _check(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    health_state = HealthState(trio.current_time, settings.health_stall_seconds)
    opener = Opener(settings, environ, Metrics(), health_state)
    redis, s3 = opener.redis(f"preflight-{secrets.token_hex(4)}", Random()), await opener.s3()
    try:
        with trio.move_on_after(settings.startup_timeout_seconds):
            return [*await check_redis(redis), *await check_s3(s3, settings.s3_prefix)]
        return [Finding("backends", Grade.FAILED, "no answer in STARTUP_TIMEOUT_SECONDS")]
    finally:
        redis.close()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
            await s3.aclose()


def _print_findings(console: Console, findings: list[Finding]) -> None:
    table = Table("check", "", "found", box=None, pad_edge=False)
    for finding in findings:
        table.add_row(finding.what, finding.grade.value, finding.detail)
    console.print(table)


def _print_prediction(console: Console, plan: Plan, positions: list[Position], prices: str) -> None:
    rate = "an unknown rate (saturate mode: measure it, then give --rate)"
    if plan.rate is not None:
        rate = f"{plan.rate:g} messages/s"
    console.print(f"\n{rate} for {plan.seconds / 3600:g} h on AWS ({prices}; an estimate)")
    table = Table("service", "what", box=None, pad_edge=False)
    for column in ("quantity", "unit", "USD"):
        table.add_column(column, justify="left" if column == "unit" else "right")
    for position in positions:
        quantity = "unknown" if position.quantity is None else f"{position.quantity:,.1f}"
        usd = "unknown" if position.usd is None else f"{position.usd:.2f}"
        table.add_row(position.service, position.what, quantity, position.unit, usd)
    least = "at least " if unknown(positions) else ""
    table.add_row("total", "", "", "", f"{least}{total(positions):.2f}")
    console.print(table)
