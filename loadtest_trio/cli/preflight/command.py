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
from loadtest_trio.cli.preflight.checks import CheckResult, Grade, check_redis, check_s3
from loadtest_trio.cli.preflight.cost import CostInputs, LineItem, predict, total, unknown
from loadtest_trio.cli.preflight.prices import load_prices
from loadtest_trio.metrics.counters import Metrics
from loadtest_trio.metrics.health_state import HealthState
from loadtest_trio.settings import SchedulerMode, Settings, load

MEANING = "Check Redis and S3, and predict requests, bytes and dollars of the configured run."
_SECONDS_A_DAY = 86_400.0
_HINT = "--rate gives the rate of saturate mode, --prices a price"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the inputs of the prediction that are not settings."""
    parser.add_argument(
        "--rate",
        type=float,
        metavar="N",
        help="messages per second (default: the schedule's; needed in saturate mode)",
    )
    parser.add_argument(
        "--prices", type=Path, metavar="FILE.json", help="prices that replace those of the built-in table"
    )
    parser.add_argument("--node-type", default="cache.t4g.small", help="ElastiCache node (cache.t4g.small)")
    parser.add_argument("--engine", choices=["valkey", "redis"], default="valkey")
    parser.add_argument("--memory-gb", type=float, default=2.0, help="memory of the Fargate task (2)")
    parser.add_argument("--architecture", choices=["X86_64", "ARM64"], default="X86_64")


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
    results = trio.run(_check, settings, environ)
    items = predict(settings, inputs, prices)
    console = Console(highlight=False, markup=False)
    _print_results(console, results)
    _print_prediction(console, inputs, items, f"{prices['region']}, {prices['as_of']}")
    complaints = [] if settings.max_cost_usd is None else list(_objections(settings.max_cost_usd, items))
    failed = complaints or any(result.grade is Grade.FAILED for result in results)
    return complain(FAILED if failed else OK, *complaints)


def _scheduled_rate(settings: Settings) -> float | None:
    """Return the configured rate; None in saturate mode, where the CPU determines it."""
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
        rate = f"{inputs.rate:g} messages/s"
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
